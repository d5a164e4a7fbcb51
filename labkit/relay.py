"""Brings the published ports of nodes to the learner's browser, wherever the engine is.

A listener on this machine's loopback address carries each connection, through the engine's exec, to the
client outside the swarm, which connects to the node's port. So the browser sees what such a client sees:
nothing, while the node is cut off.
"""

import contextlib
import socket
import threading

from labkit import engine, outside
from labkit.errors import LabError
from labkit.execution import STDOUT, Execution
from labkit.node import Node

_LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 5
_CHUNK = 65536
# The end of the input ends the sending side alone, so that a reply may still come; after that long it ends
# all: a browser, or a Python, that is gone looks the same.
_REPLY_SECONDS = 10
_CONNECT = f"""
exec 3<&0
{{ cat <&3; exec >&-; sleep {_REPLY_SECONDS}; kill 0; }} | {{ nc -w {_CONNECT_SECONDS} $1 $2; kill 0; }}
"""

_relays: dict[tuple[str, int], "Relay"] = {}
_relays_lock = threading.Lock()


class Relay:
    """Carries connections from a free local port to a `port` of a node. `to` has one for each such pair."""

    def __init__(self, node: Node, port: int) -> None:
        self.node, self.port = node, port
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._local_port: int = self._listener.getsockname()[1]
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._acceptor = threading.Thread(target=self._accept, name=f"labkit-relay-{port}", daemon=True)
        self._acceptor.start()

    def __repr__(self) -> str:
        state = "closed" if self._closed else self.url
        return f"<Relay to port {self.port} of {self.node.name}: {state}>"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the port, in HTTP."""
        return f"http://{_LOOPBACK}:{self._local_port}/"

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End every connection and listen no more. Twice is as good as once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, self._local_port)):
            pass  # wakes the acceptor: closing a socket in which another thread waits does not, everywhere
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()
        for connection in connections:
            connection.join()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            browser, _ = self._listener.accept()
            with self._lock:
                if self._closed:
                    browser.close()
                    return
                connection = _Connection(self, browser)
                self._connections.add(connection)
            connection.start()

    def _ended(self, connection: "_Connection") -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection(threading.Thread):
    """One connection: this thread carries what the node says, another what the browser says."""

    def __init__(self, relay: Relay, browser: socket.socket) -> None:
        super().__init__(name=f"labkit-relay-{relay.port}-down", daemon=True)
        self._relay, self._browser = relay, browser
        self._process: Execution | None = None

    def run(self) -> None:
        client = engine.client()
        try:
            target = self._relay.node.address, str(self._relay.port)
            self._process = outside.start(client, self._relay.node.lab, _CONNECT, *target)
            if self._relay.closed:  # meanwhile
                self.close()
            up = threading.Thread(target=self._send, args=(self._process,), daemon=True)
            up.start()
            self._receive(self._process)
            self._hang_up()  # wakes the other thread
            self._process.close()
            up.join()
        except (LabError, *engine.ERRORS):
            pass  # the lab is gone: the browser sees a closed connection
        finally:
            self._browser.close()
            client.close()
            self._relay._ended(self)

    def close(self) -> None:
        self._hang_up()
        if self._process:
            self._process.close()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the browser was faster
            self._browser.shutdown(socket.SHUT_RDWR)

    def _receive(self, process: Execution) -> None:
        with contextlib.suppress(OSError, ValueError):  # one side was closed
            for stream, data in process.frames():
                if stream == STDOUT:
                    self._browser.sendall(data)

    def _send(self, process: Execution) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := self._browser.recv(_CHUNK):
                process.write(data)
            process.close_stdin()


def to(node: Node, port: int) -> Relay:
    """The relay to a port of a node: the one that there is, else a new one. It lasts until it is closed."""
    key = node.container_id, port
    with _relays_lock:
        if key not in _relays or _relays[key].closed:
            _relays[key] = Relay(node, port)
        return _relays[key]
