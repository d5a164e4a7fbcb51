"""TLS to an engine over TCP: connections that carry an attached process's data both ways at once.

`ssl.SSLSocket` can't do that: OpenSSL doesn't allow reading and writing a connection at the same time, and
`unwrap()`, which closes the writing side, loses the connection if the other side still sends data
(APPLICATION_DATA_AFTER_CLOSE_NOTIFY). Here TLS works in memory, under a lock that is never held while
waiting for the network.
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

    It takes over the connected socket `plain`. `shutdown(SHUT_WR)` closes only the writing side, with TLS's
    close_notify; `shutdown(SHUT_RDWR)` drops the connection, and other threads get b"" or an OSError. The
    end of the input is b"", with or without close_notify. Raises ssl.SSLError; its subclass
    ssl.SSLCertVerificationError means that the other side isn't trusted.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        timeout = plain.gettimeout()
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.settimeout(timeout)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._early = b""  # decrypted, but not read yet
        self._state = threading.Lock()  # guards all of the above
        self._header, self._due = b"", 0  # of the incoming record: its header so far, the rest of its body
        self._sending = threading.Lock()  # data must be sent in the order in which it was encrypted
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
                super().sendall(
                    self._outgoing.read()
                )  # includes the alert if this side doesn't trust the other
            self._receive()

    def _receive(self) -> None:
        """Wait for data from the network, but never for more than the current TLS record.

        This way, a poll still sees the next record: an engine ends a stream with a record of its own and may
        keep the connection open.
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
        """Up to `size` bytes that have arrived, b"" at the end of the input; None if there's nothing yet."""
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
                while data := self._decrypted(_CHUNK):  # unwrap must not find it
                    self._early += data
                with contextlib.suppress(
                    ssl.SSLWantReadError
                ):  # it has sent ours, then looks for the other side's
                    self._tls.unwrap()
                encrypted = self._outgoing.read()
            super().sendall(encrypted)

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise NotImplementedError("would bypass TLS")

    sendto = sendmsg = sendfile = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refuse


class _Context(ssl.SSLContext):
    def wrap_socket(  # type: ignore[override]  # urllib3 only needs a socket
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
    """Certificates and key for an engine. Clients that use them connect through `TLSSocket`."""

    def configure_client(self, client: "APIClient") -> None:
        super().configure_client(client)
        # Ignore proxies, and REQUESTS_CA_BUNDLE, which would replace the engine's CA.
        client.trust_env = False
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = bool(self.verify)
        client.mount("https://", _Adapter(context))
