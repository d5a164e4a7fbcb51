"""A small forward proxy, as companies have them, that writes down what it was asked for."""

import base64
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS = 30
HOP_BY_HOP = ("connection", "proxy-connection", "proxy-authorization", "keep-alive", "transfer-encoding")


class ForwardProxy(ThreadingHTTPServer):
    """Forwards requests and CONNECT tunnels. `hosts` says where the names `HOST:PORT` are that only it knows.

    `requests` holds what it was asked for: `GET http://hub:5000/v2/`, `CONNECT hub:443`. With `login`, a
    `name:password`, it answers 407 to all who don't give that.
    """

    daemon_threads = True

    def __init__(
        self, address: str, hosts: Mapping[str, tuple[str, int]], login: str = "", port: int = 0
    ) -> None:
        super().__init__((address, port), _Handler)
        self.hosts, self.login = hosts, login
        self.requests: list[str] = []
        self.port = int(self.server_address[1])


@contextmanager
def forward_proxy(
    address: str = "127.0.0.1",
    hosts: Mapping[str, tuple[str, int]] | None = None,
    login: str = "",
    port: int = 0,
) -> Iterator[ForwardProxy]:
    """A proxy that listens on an address of this computer, on a port or any free one."""
    with ForwardProxy(address, hosts or {}, login, port) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        proxy.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: ForwardProxy
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        if not self._is_admitted():
            return
        try:
            there = socket.create_connection(self._place(self.path), SECONDS)
        except OSError as error:
            self.send_error(502, str(error))
            return
        with there:
            self.send_response(200)
            self.end_headers()
            self._pass_on(there)
        self.close_connection = True

    def _pass_on(self, there: socket.socket) -> None:
        """Carry bytes both ways until one side ends."""
        other = {self.connection: there, there: self.connection}
        with selectors.DefaultSelector() as waiting:
            for one in other:
                waiting.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    other[key.fileobj].sendall(data)

    def do_GET(self) -> None:
        if not self._is_admitted():
            return
        parts = urlsplit(self.path)
        connection = HTTPConnection(*self._place(parts.netloc), timeout=SECONDS)
        try:
            target = self.path.partition(parts.netloc)[2] or "/"
            connection.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # registries' clients send several Accept
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders()
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, HTTPException) as error:
            self.send_error(502, str(error))
            return
        finally:
            connection.close()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in (*HOP_BY_HOP, "content-length"):
                self.send_header(name, value)
        length = reply.headers["Content-Length"] if self.command == "HEAD" else str(len(body))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def _is_admitted(self) -> bool:
        self.server.requests.append(f"{self.command} {self.path}")
        wanted = f"Basic {base64.b64encode(self.server.login.encode()).decode()}"
        if not self.server.login or self.headers["Proxy-Authorization"] == wanted:
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _place(self, name: str) -> tuple[str, int]:
        host, _, port = name.partition(":")
        return self.server.hosts.get(name, (host, int(port or 80)))

    def log_message(self, *_: object) -> None:
        pass
