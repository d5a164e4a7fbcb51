"""TLS to an engine that is reached over TCP: connections that carry an attached process both ways at once.

`ssl.SSLSocket` cannot: OpenSSL allows no reading and writing of one connection at the same time, and
`unwrap()`, which ends the writing side, reads on and loses the connection when it meets data of the other
side (APPLICATION_DATA_AFTER_CLOSE_NOTIFY). Here TLS works on memory, under a lock that is never held while
the network is waited for.
"""

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from docker import APIClient

_CHUNK = 65536
_HEADER = 5  # bytes of a TLS record: its type, a version, its length in two (RFC 8446, 5.1)


class TLSSocket(socket.socket):
    """The client's end of a TLS connection; one thread may read while others write or close it.

    It takes over the connected socket `plain`. `shutdown(SHUT_WR)` ends the writing side alone, with TLS's
    close_notify; `shutdown(SHUT_RDWR)` drops the connection, and other threads meet b"" or an OSError. The
    end of the input is b"", with close_notify or without. Raises ssl.SSLError, of which
    ssl.SSLCertVerificationError says that the other side is not trusted.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        timeout = plain.gettimeout()
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.settimeout(timeout)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._early = b""  # decrypted before it was asked for
        self._state = threading.Lock()  # of all of these
        self._header, self._due = b"", 0  # of the record that comes in: what is there, what its body lacks
        self._sending = threading.Lock()  # what is encrypted first has to be sent first
        try:
            self._shake_hands()
        except BaseException:
            self.close()
            raise

    def _shake_hands(self) -> None:
        while True:
            try:
                return self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            finally:
                super().sendall(self._outgoing.read())  # that this side does not trust the other, too
            self._receive()

    def _receive(self) -> None:
        """Wait for what the network brings; never for more than the record of TLS that is under way.

        So a poll still sees the next one: an engine that ends a stream says so in a record, and may go on
        without closing the connection.
        """
        data = super().recv(self._due or _HEADER - len(self._header))
        if self._due:
            self._due -= len(data)
        else:
            self._header += data
            if len(self._header) == _HEADER:
                self._due, self._header = int.from_bytes(self._header[3:]), b""
        with self._state:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _decrypted(self, size: int) -> bytes | None:
        """What has come: up to `size` bytes, none at the end of the input; None while there is nothing."""
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def recv(self, size: int, _flags: int = 0, /) -> bytes:
        while True:
            with self._state:
                data = self._early or self._decrypted(size)
                if data is not None:
                    self._early = data[size:]
                    return data[:size]
            self._receive()

    def recv_into(self, buffer: "WriteableBuffer", size: int = 0, _flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(size or len(view))
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: "ReadableBuffer", _flags: int = 0, /) -> None:
        rest = memoryview(data).cast("B")
        with self._sending:
            while rest:
                with self._state:
                    rest = rest[self._tls.write(rest[:_CHUNK]) :]
                    encrypted = self._outgoing.read()
                super().sendall(encrypted)

    def send(self, data: "ReadableBuffer", _flags: int = 0, /) -> int:
        self.sendall(data)
        return memoryview(data).nbytes

    def shutdown(self, how: int, /) -> None:
        if how == socket.SHUT_WR:
            self._close_notify()
        else:
            super().shutdown(how)

    def _close_notify(self) -> None:
        with self._sending:
            with self._state:
                while data := self._decrypted(_CHUNK):  # unwrap must not meet it
                    self._early += data
                with contextlib.suppress(ssl.SSLWantReadError):  # it sends, then looks for the other's
                    self._tls.unwrap()
                encrypted = self._outgoing.read()
            super().sendall(encrypted)

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise NotImplementedError("would bypass TLS")

    sendto = sendmsg = sendfile = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refuse


class _Context(ssl.SSLContext):
    def wrap_socket(  # type: ignore[override]  # all that urllib3 asks of it is a socket
        self, sock: socket.socket, *_args: Any, server_hostname: str | None = None, **_options: Any
    ) -> TLSSocket:
        return TLSSocket(sock, self, server_hostname)


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)


class Credentials(TLSConfig):
    """Certificates and key for an engine. Clients that are made with it connect by `TLSSocket`."""

    def configure_client(self, client: "APIClient") -> None:
        super().configure_client(client)
        # A proxy has no business here, and REQUESTS_CA_BUNDLE would take the place of the engine's CA.
        client.trust_env = False
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = bool(self.verify)
        client.mount("https://", _Adapter(context))
