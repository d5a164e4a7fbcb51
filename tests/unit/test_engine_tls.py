"""A TLS connection both ways at once, each way ending by itself; the other side is Python's own TLS."""

import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from labkit.engine.tls import TLSSocket
from tests.certificates import Certificate, self_signed

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
MUCH = 5_000_000
SECONDS = 20  # until a test gives up

Serve = Callable[[ssl.SSLSocket], None]
Connect = Callable[..., TLSSocket]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture
def connect(certificate: Certificate) -> Iterator[Connect]:
    """Connects to a thread that serves one TLS connection as the test says."""
    threads, sockets = [], []

    def connect(
        serve: Serve, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, name: str = "127.0.0.1"
    ) -> TLSSocket:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate.file, certificate.key)
        server.maximum_version = version
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            plain, _ = listener.accept()
            listener.close()
            plain.settimeout(SECONDS)
            with contextlib.suppress(OSError), server.wrap_socket(plain, server_side=True) as tls:
                serve(tls)
            plain.close()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        plain = socket.create_connection(listener.getsockname(), timeout=SECONDS)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(certificate.file)
        sockets.append(TLSSocket(plain, client, name))
        return sockets[-1]

    yield connect
    for each in sockets:
        each.close()
    for thread in threads:
        thread.join(SECONDS)


def read_all(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65536), b""))


def send_early_then_late(serving: ssl.SSLSocket) -> None:
    serving.sendall(b"early" * 20_000)
    assert read_all(serving) == b"question"
    serving.sendall(b"late" * 20_000)


def echo(serving: ssl.SSLSocket) -> None:
    while data := serving.recv(65536):
        serving.sendall(data)


@pytest.mark.parametrize("version", VERSIONS)
def test_writes_and_reads_at_once(connect: Connect, version: ssl.TLSVersion) -> None:
    tls = connect(echo, version)
    sent = os.urandom(MUCH)

    def write() -> None:
        tls.sendall(sent)
        tls.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_all(tls) == sent  # more than buffers hold: who only wrote would wait for ever
    writer.join()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("read_before", [0, 1, 5_000, 90_000])
def test_end_of_writing_loses_nothing_that_comes(
    connect: Connect, version: ssl.TLSVersion, read_before: int
) -> None:
    tls = connect(send_early_then_late, version)
    tls.sendall(b"question")
    read = b""
    while len(read) < read_before:
        read += tls.recv(read_before - len(read))
    tls.shutdown(socket.SHUT_WR)
    assert read + read_all(tls) == b"early" * 20_000 + b"late" * 20_000


@pytest.mark.parametrize("version", VERSIONS)
def test_end_of_writing_while_another_thread_waits_for_input(
    connect: Connect, version: ssl.TLSVersion
) -> None:
    def answer(serving: ssl.SSLSocket) -> None:
        serving.sendall(b"begun ")
        read_all(serving)
        serving.sendall(b"ended")

    tls = connect(answer, version)
    begun, rest = threading.Event(), bytearray()

    def read() -> None:
        while data := tls.recv(65536):
            rest.extend(data)
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(SECONDS)
    tls.shutdown(socket.SHUT_WR)
    reader.join(SECONDS)
    assert rest == b"begun ended"


def test_dropping_the_connection_wakes_who_reads(connect: Connect) -> None:
    tls = connect(read_all)
    heard: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(ConnectionResetError):  # the other side answers what nobody reads any more
            heard.append(tls.recv(10))

    reader = threading.Thread(target=read)
    reader.start()
    tls.shutdown(socket.SHUT_RDWR)
    reader.join(SECONDS)
    assert not reader.is_alive()
    assert heard in ([], [b""])


def test_dropping_the_connection_wakes_who_writes(connect: Connect) -> None:
    over = threading.Event()
    tls = connect(lambda _: over.wait(SECONDS))  # reads nothing
    begun = threading.Event()

    def write() -> None:
        begun.set()
        with pytest.raises(OSError):
            while True:
                tls.sendall(bytes(MUCH))

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(SECONDS)
    tls.shutdown(socket.SHUT_RDWR)
    writer.join(SECONDS)
    over.set()
    assert not writer.is_alive()


def test_timeout_is_raised_and_spoils_nothing(connect: Connect) -> None:
    asked = threading.Event()

    def serve(serving: ssl.SSLSocket) -> None:
        asked.wait(SECONDS)
        serving.sendall(b"answer")

    tls = connect(serve)
    tls.settimeout(0.01)
    with pytest.raises(TimeoutError):
        tls.recv(10)
    asked.set()
    tls.settimeout(SECONDS)
    assert tls.recv(10) == b"answer"


def test_an_end_without_goodbye_is_an_end(connect: Connect) -> None:
    def vanish(serving: ssl.SSLSocket) -> None:
        serving.sendall(b"half a sen")
        socket.socket.shutdown(serving, socket.SHUT_RDWR)

    tls = connect(vanish)
    assert read_all(tls) == b"half a sen"
    assert tls.recv(10) == b""


def test_reads_as_a_file_through_buffers_of_any_size(connect: Connect) -> None:
    tls = connect(lambda serving: serving.sendall(b"0123456789" * 10_000))
    with tls.makefile("rb", buffering=37) as file:
        assert file.read(5) == b"01234"
        assert file.read() == b"56789" + b"0123456789" * 9_999


def test_a_poll_sees_what_has_not_been_read(connect: Connect) -> None:
    sent, done = threading.Event(), threading.Event()

    def serve(serving: ssl.SSLSocket) -> None:
        serving.sendall(b"first")
        serving.sendall(b"second")
        serving.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            serving.unwrap()  # sends close_notify; the connection stays open
        sent.set()
        done.wait(SECONDS)

    tls = connect(serve)
    assert sent.wait(SECONDS)
    for expected in (b"first", b"second", b""):
        assert select.select([tls], [], [], SECONDS)[0]
        assert tls.recv(100) == expected
    done.set()


def test_nothing_bypasses_tls(connect: Connect) -> None:
    tls = connect(read_all)
    with pytest.raises(NotImplementedError, match="bypass TLS"):
        tls.sendmsg([b"secret"])


def test_another_machines_certificate_is_refused(connect: Connect) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '127\.0\.0\.2'"):
        connect(read_all, name="127.0.0.2")
