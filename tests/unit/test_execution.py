"""The attach protocol, spoken by an engine that says what a test wants, when it wants it."""

import gc
import io
import json
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.transport.attach import STDERR, STDOUT, Execution

SECONDS = 20  # until a test gives up
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

Send = Callable[[bytes], object]


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@contextmanager
def attached(folder: Path, talk: Callable[[Send], object], timeout: float = SECONDS) -> Iterator[Execution]:
    """A process at an engine that says what `talk` sends; `timeout` is the client's, for its calls."""

    class Engine(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/start"):
                talk(self.wfile.write)
                return
            body = json.dumps({"Id": "1"}).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingUnixStreamServer(str(folder / "docker.sock"), Engine) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = docker.DockerClient(f"unix://{folder}/docker.sock", version="1.41", timeout=timeout)
        process = Execution(client, "container", ["command"])
        yield process
        process.close()
        server.shutdown()


def test_frames_that_come_with_the_replys_header_are_read(tmp_path: Path) -> None:
    with attached(
        tmp_path, lambda send: send(UPGRADED + frame(STDOUT, b"a") + frame(STDERR, b"b"))
    ) as process:
        assert list(process.frames()) == [(STDOUT, b"a"), (STDERR, b"b")]


def test_a_process_may_be_silent_for_longer_than_a_call_may_take(tmp_path: Path) -> None:
    speak = threading.Event()

    def talk(send: Send) -> None:
        send(UPGRADED)
        speak.wait(SECONDS)
        send(frame(STDOUT, b"at last"))

    with attached(tmp_path, talk, timeout=1) as process:
        heard: list[object] = []
        reader = threading.Thread(target=lambda: heard.extend(process.frames()))
        reader.start()
        reader.join(1.2)
        assert reader.is_alive()
        speak.set()
        reader.join(SECONDS)
    assert heard == [(STDOUT, b"at last")]


class Pieces(io.RawIOBase):
    """A connection that brings its bytes in pieces, as networks do."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(next(self._sizes, len(self._data)), len(self._data), len(buffer))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size


def reading(data: bytes, sizes: list[int], *, tty: bool = False) -> Execution:
    """A process whose connection brings this, in pieces of these sizes, and ends."""
    process = Execution.__new__(Execution)
    process.tty, process._reader = tty, io.BufferedReader(Pieces(data, sizes), 16)
    return process


FRAMES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=40)), max_size=6
)
SIZES = st.lists(st.integers(1, 30), max_size=30)


@given(FRAMES, SIZES)
def test_frames_are_the_same_however_the_network_cuts_them(
    frames: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    assert list(reading(b"".join(frame(*each) for each in frames), sizes).frames()) == frames


@given(st.binary(max_size=80), SIZES)
def test_a_terminals_bytes_are_the_same_however_the_network_cuts_them(data: bytes, sizes: list[int]) -> None:
    heard = list(reading(data, sizes, tty=True).frames())
    assert b"".join(piece for _, piece in heard) == data
    assert {stream for stream, _ in heard} <= {STDOUT}


@given(FRAMES.filter(bool), SIZES, st.data())
def test_a_connection_that_breaks_within_a_frame_is_an_error(
    frames: list[tuple[int, bytes]], sizes: list[int], data: st.DataObject
) -> None:
    last = frame(*frames[-1])
    kept = last[: data.draw(st.integers(1, len(last) - 1))]
    process = reading(b"".join(frame(*each) for each in frames[:-1]) + kept, sizes)
    heard = []
    with pytest.raises(ConnectionResetError, match="in the middle of its output"):
        heard.extend(process.frames())
    assert heard == frames[:-1]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"Running": True, "ExitCode": None}, None),
        ({"Running": False, "ExitCode": None}, None),  # the engine has not started it yet
        ({"Running": False, "ExitCode": 0}, 0),
        ({"Running": False, "ExitCode": 137}, 137),
    ],
)
def test_an_exit_code_is_that_of_a_process_that_has_ended(state: dict[str, Any], code: int | None) -> None:
    process = reading(b"", [])
    process.id, process._api = "1", SimpleNamespace(exec_inspect=lambda _: state)
    assert process.exit_code() == code


def test_the_end_of_a_process_is_waited_for() -> None:
    process, codes = reading(b"", []), iter([None, 3])
    process.id = "1"
    process._api = SimpleNamespace(exec_inspect=lambda _: {"Running": False, "ExitCode": next(codes)})
    assert process.wait() == 3


def test_a_closed_process_is_collected_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []  # from Python 3.13 on: files that could not be closed
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with attached(tmp_path, lambda send: send(UPGRADED)) as process:
        assert list(process.frames()) == []
    del process
    gc.collect()
    assert said == []
