"""The attach protocol, spoken by an engine that says what a test wants, when it wants it."""

import gc
import json
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import docker
import pytest

from labkit.execution import STDERR, STDOUT, Execution

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
