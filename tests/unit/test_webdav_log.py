"""The logging plugin's program, against a real HTTP server and real FIFOs; only the engine is played."""

import fcntl
import importlib
import json
import os
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import eventually

FOLDER = Path(__file__).parents[2] / "labkit" / "images" / "sources" / "webdav-log"
ENV = {"FLUSH_SECONDS": "0.1"}


def load(name: str) -> ModuleType:
    """One of the plugin's modules: they are no part of the package and find each other in their folder."""
    written = sys.dont_write_bytecode
    sys.path.insert(0, str(FOLDER))
    sys.dont_write_bytecode = True  # the folder's content is the image's tag
    try:
        return importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(FOLDER))


@pytest.fixture
def plugin() -> ModuleType:
    return load("webdav_log")


@pytest.fixture
def entries() -> ModuleType:
    return load("log_entries")


@pytest.fixture
def upload() -> ModuleType:
    return load("log_upload")


@pytest.fixture(autouse=True)
def impatient(upload: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(upload, "RETRY_SECONDS", 0.3)


class Storage:
    """A WebDAV server as strict as RFC 4918 about collections: no file in one that was not made."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.collections = {"/"}
        self.puts = 0
        self.authorization: str | None = None
        self.status = 0  # what every request is answered with; 0: by what it does
        self.answers = threading.Event()
        self.answers.set()
        storage = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                storage.authorization = self.headers["Authorization"]
                storage.answers.wait()
                missing = self.path.rpartition("/")[0] + "/" not in storage.collections
                if not (storage.status or missing):
                    storage.puts += 1
                    storage.files[self.path] = content
                self._answer(storage.status or (409 if missing else 201))

            def do_MKCOL(self) -> None:
                parent = self.path.rstrip("/").rpartition("/")[0] + "/"
                there, orphan = self.path in storage.collections, parent not in storage.collections
                storage.collections |= set() if orphan else {self.path}
                self._answer(405 if there else 409 if orphan else 201)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.place = f"127.0.0.1:{self.server.server_port}/logs"
        self.url = f"http://{self.place}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def text(self) -> str:
        return b"".join(self.files[name] for name in sorted(self.files)).decode()

    def messages(self) -> list[str]:
        return [line.split(" ", 2)[2] for line in self.text().splitlines()]


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage()
    yield storage
    storage.answers.set()
    storage.server.shutdown()
    storage.server.server_close()


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def frame(line: bytes, source: str = "stdout", when: int = 1_795_420_800_123_456_789, **part: Any) -> bytes:
    """An entry as moby's encoder writes it. `part`: last, ordinal."""
    message = b"\x0a" + varint(len(source)) + source.encode() + b"\x10" + varint(when)
    message += b"\x1a" + varint(len(line)) + line if line else b""
    if part:
        meta = b"\x08\x01" if part["last"] else b""
        meta += b"\x12\x04abcd\x18" + varint(part["ordinal"])
        message += b"\x20\x01\x2a" + varint(len(meta)) + meta
    return struct.pack(">I", len(message)) + message


def until(true: Callable[[], object]) -> None:
    eventually(true, "what the test waits for", 10)


def read_empty(fifo: int) -> bool:
    """Whether the plugin has taken everything that was written to a FIFO."""
    return fcntl.ioctl(fifo, termios.FIONREAD, bytes(4)) == bytes(4)


# --- entries


def test_entries_are_taken_whole_and_in_order(entries: ModuleType) -> None:
    data = bytearray(frame(b"one") + frame(b"", "stderr") + frame("drei ✓".encode()))
    assert entries.take_entries(data) == [
        ("stdout", 1_795_420_800_123_456_789, b"one", False),
        ("stderr", 1_795_420_800_123_456_789, b"", False),
        ("stdout", 1_795_420_800_123_456_789, "drei ✓".encode(), False),
    ]
    assert not data


def test_an_entry_may_come_byte_by_byte(entries: ModuleType) -> None:
    data, found = bytearray(), []
    for byte in frame(b"x" * 300) + frame(b"y"):
        data.append(byte)
        found += entries.take_entries(data)
    assert [entry.line for entry in found] == [b"x" * 300, b"y"]


def test_a_part_says_whether_more_comes(entries: ModuleType) -> None:
    parts = frame(b"a", last=False, ordinal=1) + frame(b"b", last=True, ordinal=2)
    assert [entry.more for entry in entries.take_entries(bytearray(parts))] == [True, False]


@pytest.mark.parametrize(
    "rubbish",
    [
        frame(b"the end of an entry whose beginning is lost")[9:],
        b"\xff\xff\xff\xff" + b"\x0a" * 50,
        b"\x00\x00\x00\x00",
        struct.pack(">I", 6) + b"\x0a\x7fabcd",  # a field longer than its entry
        struct.pack(">I", 3) + b"\x0a\xff\xff",  # a number without an end
        struct.pack(">I", 5) + b"\x0a\x03\xff\xfe\xfd",  # a source that is no text
    ],
)
def test_rubbish_is_skipped_up_to_the_next_entry(entries: ModuleType, rubbish: bytes) -> None:
    data = bytearray(frame(b"before") + rubbish + frame(b"after") + frame(b"last"))
    assert [entry.line for entry in entries.take_entries(data)] == [b"before", b"after", b"last"]


def test_rubbish_without_an_end_is_not_kept(entries: ModuleType) -> None:
    data = bytearray(b"\xff" * 100_000)
    assert entries.take_entries(data) == [] and len(data) < 20


# --- options and names


def test_options_of_the_container_come_before_the_plugins(plugin: ModuleType) -> None:
    env = {"URL": "http://a/b", "FLUSH_SECONDS": "3"}
    assert plugin.read_options({}, {}) == ("http://storage:8080/logs", 1.0, "")
    assert plugin.read_options({"Config": None}, env) == ("http://a/b", 3.0, "")
    info = {
        "Config": {"url": "http://c", "flush": "0.5", "tag": "T", "labels": "role, none", "mode": "blocking"},
        "ContainerLabels": {"role": "db", "other": "x"},
    }
    assert plugin.read_options(info, env) == ("http://c", 0.5, "T role=db ")


def test_an_unknown_option_is_named(plugin: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^unknown log opt 'ulr'; known: flush, labels, tag, url$"):
        plugin.read_options({"Config": {"ulr": "x"}}, {})


@pytest.mark.parametrize("seconds", ["0", "abc", "-1", "nan", "1e9", "99999"])
def test_flush_is_checked(plugin: ModuleType, seconds: str) -> None:
    with pytest.raises(ValueError, match="flush must be seconds"):
        plugin.read_options({"Config": {"flush": seconds}}, {})


def test_a_template_as_tag_is_refused(plugin: ModuleType) -> None:
    with pytest.raises(ValueError, match="templates"):
        plugin.read_options({"Config": {"tag": "{{.Name}}"}}, {})


@pytest.mark.parametrize(
    "url",
    ["https://u:secret@h/x", "h/x", "http://", "http://u:secret@h:port/", "http://[u:secret", "http://h/?q"],
)
def test_an_unusable_url_is_refused_and_not_repeated(upload: ModuleType, url: str) -> None:
    with pytest.raises(ValueError, match="url must look like http://HOST") as refused:
        upload.WebDav(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("web", "web"),
        ("../../etc", "_.._etc"),
        ("..", "_"),
        ("a/b c", "a_b_c"),
        (".x", "x"),
        ("é" * 500, "_" * 128),
    ],
)
def test_names_cannot_leave_their_folder(plugin: ModuleType, name: str, part: str) -> None:
    assert plugin.file_name(name) == part


def test_a_tasks_log_lies_with_its_service(plugin: ModuleType) -> None:
    info = {"ContainerID": "0123456789abcdef", "ContainerName": "/web.1.abc"}
    assert plugin.place(info) == "web.1.abc/web.1.abc.0123456789ab"
    labels = {"com.docker.swarm.service.name": "web", "com.docker.swarm.task.name": "web.1.abc"}
    assert plugin.place({**info, "ContainerLabels": labels}) == "web/web.1.abc"


def test_times_are_utc_to_the_microsecond(upload: ModuleType) -> None:
    assert upload.stamp(1_795_420_800_000_009_999) == "2026-11-23T08:00:00.000009Z"


# --- uploading


def open_log(upload: ModuleType, storage: Storage, flush: float = 0.05) -> Any:
    return upload.Log(upload.WebDav(storage.url), "web/web.1.abc", flush)


def test_a_growing_log_is_one_file(upload: ModuleType, storage: Storage) -> None:
    log = open_log(upload, storage)
    for number in range(3):
        log.add(0, b"t stdout line %d\n" % number)
        until(lambda: storage.puts == number + 1)  # noqa: B023
    assert log.close(5)
    assert storage.messages() == ["line 0", "line 1", "line 2"]
    (name,) = storage.files
    assert name.startswith("/logs/web/web.1.abc.20") and name.endswith("Z-0001.log")


def test_uploads_are_as_rare_as_asked_and_closing_does_not_wait(upload: ModuleType, storage: Storage) -> None:
    log = open_log(upload, storage, flush=60)
    for number in range(100):
        log.add(0, b"t stdout %d\n" % number)
    assert storage.puts == 0
    assert log.close(5) and storage.puts == 1
    assert storage.messages() == [str(number) for number in range(100)]


def test_a_full_segment_is_followed_by_the_next(upload: ModuleType, storage: Storage) -> None:
    log = open_log(upload, storage, flush=60)
    lines = [f"t stdout {number:06} {'x' * 80}\n" for number in range(9000)]
    for line in lines:
        log.add(0, line.encode())
    assert log.close(5)
    assert storage.text() == "".join(lines)
    sizes = [len(storage.files[name]) for name in sorted(storage.files)]
    assert len(sizes) == 4 and all(upload.SEGMENT <= size < upload.SEGMENT + 200 for size in sizes[:-1])


def test_an_empty_log_makes_no_file(upload: ModuleType, storage: Storage) -> None:
    assert open_log(upload, storage).close(5)
    assert not storage.files and not storage.puts


@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_lines_outlast_a_storage_that_fails(upload: ModuleType, storage: Storage, fault: str) -> None:
    log = open_log(upload, storage)
    log.add(0, b"t stdout before\n")
    until(lambda: storage.files)
    if fault == "hangs":
        storage.answers.clear()
    else:
        storage.status = 503
    log.add(0, b"t stdout during\n")
    assert not log.close(0.7)
    storage.answers.set()
    storage.status = 0
    assert log.close(5)
    assert storage.messages() == ["before", "during"]


def test_what_did_not_fit_is_told_in_the_log(upload: ModuleType, storage: Storage) -> None:
    storage.status = 507
    log = open_log(upload, storage)
    line = b"t stdout " + b"x" * 1014 + b"\n"
    log.add(0, line)
    until(lambda: log._failing)
    began = time.monotonic()
    for second in range(1, 2000):
        log.add(second * 10**9, line)
    assert time.monotonic() - began < 0.5  # the container does not wait
    assert len(log._text) <= upload.BUFFER
    storage.status = 0
    until(lambda: "dropped" in storage.text())
    log.add(0, b"t stdout after\n")
    assert log.close(5)
    *kept, told, after = storage.messages()
    assert kept == ["x" * 1014] * 1024 and after == "after"
    assert told == (
        "… 976 lines dropped, from 1970-01-01T00:17:04.000000Z to 1970-01-01T00:33:19.000000Z: "
        "storage did not answer"
    )


def test_a_slow_storage_that_answers_loses_nothing(upload: ModuleType, storage: Storage) -> None:
    log = open_log(upload, storage)
    line = b"t stdout " + b"x" * 1014 + b"\n"
    storage.answers.clear()
    threading.Timer(0.3, storage.answers.set).start()
    for _ in range(3000):
        log.add(0, line)
    assert log.close(5)
    assert storage.messages() == ["x" * 1014] * 3000


def test_a_stopped_containers_lines_are_given_up_in_the_end(
    upload: ModuleType, storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upload, "GIVE_UP_SECONDS", 0.2)
    storage.status = 503
    log = open_log(upload, storage)
    log.add(0, b"t stdout one\n")
    log.close(5)
    assert "1 lines lost" in caplog.text


def test_the_password_is_sent_and_never_told(
    upload: ModuleType, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.status = 401
    log = upload.Log(upload.WebDav(f"http://ada:s%40cret@{storage.place}"), "web/a", 0.05)
    log.add(0, b"t stdout one\n")
    until(lambda: "401" in caplog.text)
    storage.status = 0
    assert log.close(5)
    assert storage.authorization == "Basic YWRhOnNAY3JldA=="
    assert "cret" not in caplog.text


# --- the whole plugin, as an engine uses it


class Engine:
    """Plays the engine: holds FIFOs open for reading and writing, as moby does, and calls the driver."""

    def __init__(self, plugin: ModuleType, folder: Path, url: str) -> None:
        self.folder, self.state, self.url = folder, folder / "state", url
        self.state.mkdir()
        self.fifos: dict[str, int] = {}
        self.restart(plugin)

    def restart(self, plugin: ModuleType) -> None:
        self.driver = plugin.Driver({**ENV, "URL": self.url}, self.state)
        self.driver.resume()

    def start(self, name: str, **config: str) -> str:
        file = str(self.folder / name)
        os.mkfifo(file)
        self.fifos[file] = os.open(file, os.O_RDWR)
        info = {
            "Config": config,
            "ContainerID": name * 20,
            "ContainerName": f"/{name}",
            "ContainerEnv": ["KEY=hidden"],
        }
        assert self.driver.answer("/LogDriver.StartLogging", {"File": file, "Info": info}) == {"Err": ""}
        return file

    def stop(self, file: str) -> None:
        assert self.driver.answer("/LogDriver.StopLogging", {"File": file}) == {"Err": ""}
        os.close(self.fifos.pop(file))


@pytest.fixture
def engine(plugin: ModuleType, storage: Storage, tmp_path: Path) -> Iterator[Engine]:
    if not hasattr(os, "eventfd"):
        pytest.skip("the plugin runs on Linux")
    engine = Engine(plugin, tmp_path, storage.url)
    yield engine
    storage.answers.set()
    engine.driver.leave()
    for fifo in engine.fifos.values():
        os.close(fifo)


def test_everything_is_there_when_the_engine_hears_of_the_end(engine: Engine, storage: Storage) -> None:
    file = engine.start("one", tag="T")
    for number in range(500):
        os.write(engine.fifos[file], frame(b"%d" % number))
    engine.stop(file)
    assert storage.messages() == [f"T {number}" for number in range(500)]
    assert storage.text().startswith("2026-11-23T08:00:00.123456Z stdout T 0\n")
    assert not list(engine.state.iterdir())


def test_parts_become_one_line_for_each_source(engine: Engine, storage: Storage) -> None:
    file = engine.start("one")
    for data in (
        frame(b"a" * 16384, last=False, ordinal=1),
        frame(b"x\r", "stderr"),
        frame(b"b" * 16384, last=False, ordinal=2),
        frame(b"c", last=True, ordinal=3),
        frame(b"no end", last=False, ordinal=1),
    ):
        os.write(engine.fifos[file], data)
    engine.stop(file)
    assert storage.messages() == ["x", "a" * 16384 + "b" * 16384 + "c", "no end"]


def test_a_huge_line_is_cut_not_kept_in_memory(engine: Engine, plugin: ModuleType, storage: Storage) -> None:
    file = engine.start("one")
    for ordinal in range(40):
        os.write(engine.fifos[file], frame(b"a" * 16384, last=False, ordinal=ordinal))
    engine.stop(file)
    assert [len(message) for message in storage.messages()] == [plugin.LINE] * 5


def test_a_storage_that_hangs_holds_up_neither_container_nor_stop(
    engine: Engine, plugin: ModuleType, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "CLOSE_SECONDS", 0.5)
    storage.answers.clear()
    file = engine.start("one")
    began = time.monotonic()
    for _ in range(300):
        os.write(engine.fifos[file], frame(b"x" * 10_000))
    engine.stop(file)
    assert time.monotonic() - began < 5
    storage.answers.set()
    until(lambda: "lines dropped" in storage.text())


def test_another_process_goes_on_without_loss(engine: Engine, plugin: ModuleType, storage: Storage) -> None:
    file = engine.start("one")
    os.write(engine.fifos[file], frame(b"first"))
    until(lambda: storage.files)
    engine.driver.leave()
    os.write(engine.fifos[file], frame(b"meanwhile"))
    engine.restart(plugin)
    os.write(engine.fifos[file], frame(b"then"))
    engine.stop(file)
    assert storage.messages() == ["first", "meanwhile", "then"]
    assert len(storage.files) == 2


def test_leaving_keeps_what_the_storage_did_not_take(
    engine: Engine, plugin: ModuleType, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "CLOSE_SECONDS", 0.5)
    storage.status = 503
    file = engine.start("one")
    os.write(engine.fifos[file], frame("lost? ✓".encode()))
    until(lambda: read_empty(engine.fifos[file]))
    engine.driver.leave()
    storage.status = 0
    engine.restart(plugin)
    os.write(engine.fifos[file], frame(b"then"))
    engine.stop(file)
    assert storage.messages() == ["lost? ✓", "then"]


def test_leaving_ends_between_two_entries_of_a_busy_container(
    engine: Engine, plugin: ModuleType, storage: Storage
) -> None:
    file = engine.start("one")
    done = threading.Event()

    def write() -> None:
        for number in range(3000):
            os.write(engine.fifos[file], frame(b"%d %s" % (number, b"x" * (number * 7 % 9000))))
        done.set()

    threading.Thread(target=write, daemon=True).start()
    while not done.is_set():
        engine.driver.leave()
        engine.restart(plugin)
    engine.stop(file)
    numbers = [int(message.split()[0]) for message in storage.messages()]
    assert sorted(numbers) == list(range(3000))


def test_a_log_that_no_engine_holds_any_more_is_forgotten(engine: Engine, plugin: ModuleType) -> None:
    file = engine.start("one")
    engine.driver.leave()
    os.close(engine.fifos.pop(file))
    engine.restart(plugin)
    assert not list(engine.state.iterdir())


def test_the_record_holds_no_environment(engine: Engine) -> None:
    engine.start("one")
    (record,) = engine.state.iterdir()
    assert (
        "hidden" not in record.read_text()
        and json.loads(record.read_text())["Info"]["ContainerName"] == "/one"
    )


def test_requests_over_the_socket(
    plugin: ModuleType, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import http.client
    import socket

    path = tmp_path_factory.mktemp("s") / "s"
    with plugin.Server(path, engine.driver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def ask(method: str, **request: Any) -> Any:
            connection = http.client.HTTPConnection("plugin")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("POST", f"/{method}", json.dumps(request) if request else None)
            return json.loads(connection.getresponse().read())

        assert ask("Plugin.Activate") == {"Implements": ["LogDriver"]}
        assert ask("LogDriver.Capabilities") == {"Cap": {"ReadLogs": False}}
        info = {"ContainerID": "a" * 64, "Config": {"nope": "1"}}
        refused = "webdav-log: unknown log opt 'nope'; known: flush, labels, tag, url"
        assert ask("LogDriver.StartLogging", File="/x", Info=info) == {"Err": refused}
        assert "No such file" in ask("LogDriver.StartLogging", File="/x", Info={**info, "Config": {}})["Err"]
        assert ask("LogDriver.StopLogging", File="/x") == {"Err": ""}
        assert ask("LogDriver.ReadLogs") == {"Err": "unknown request /LogDriver.ReadLogs"}
        server.shutdown()


def test_the_settings_are_settable() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["interface"]["types"] == ["docker.logdriver/1.0"]
    assert {each["name"] for each in config["env"] if each["settable"]} == {
        "URL",
        "FLUSH_SECONDS",
        "LOG_LEVEL",
    }
    assert config["linux"]["capabilities"] == [] and config["network"]["type"] == "host"
