"""Images are built several at a time, in order, on a client each; a failure or an interrupt stops all."""

import contextlib
import http.server
import socketserver
import threading
from collections.abc import Iterator, Mapping

import docker
import pytest

from labkit.images import builder, catalog, parallel_build
from labkit.images.dockerfile import holds

PATIENCE = 30.0  # for what must come and has no reason to take long
BELOW: Mapping[str, list[str]] = {
    "base": [],
    "busybox": ["base"],
    "nginx": ["base", "busybox"],
    "web": ["nginx"],
    "bank": ["web", "busybox"],
}


def client() -> docker.DockerClient:
    return docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")


# -- what there is to build -----------------------------------------------------------------------------


def test_everything_is_built_when_nothing_is_there() -> None:
    todo = parallel_build.missing(["bank"], BELOW.__getitem__, lambda _: False)
    assert list(todo) == ["base", "busybox", "nginx", "web", "bank"]
    assert todo == {name: set(others) for name, others in BELOW.items()}


def test_what_a_present_image_was_built_on_is_not_needed() -> None:
    todo = parallel_build.missing(["bank"], BELOW.__getitem__, {"web"}.__contains__)
    assert todo == {"base": set(), "busybox": {"base"}, "bank": {"busybox"}}


def test_nothing_is_built_when_all_is_there() -> None:
    assert parallel_build.missing(["bank", "web"], BELOW.__getitem__, lambda _: True) == {}


# -- in order, side by side -----------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_an_image_is_built_after_what_it_stands_on(at_once: int) -> None:
    done: list[str] = []
    parallel_build.build_all(
        client(),
        {name: set(others) for name, others in BELOW.items()},
        lambda _, name: done.append(name),
        at_once,
    )
    assert sorted(done) == sorted(BELOW)
    assert all(done.index(other) < done.index(name) for name, others in BELOW.items() for other in others)


def test_independent_images_are_built_at_the_same_time_on_a_client_each() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)
    seen: list[docker.DockerClient] = []

    def build(own: docker.DockerClient, _: str) -> None:
        seen.append(own)
        meeting.wait()

    parallel_build.build_all(client(), {"node": set(), "busybox": set()}, build, 2)
    assert seen[0].api is not seen[1].api


def test_what_waits_for_a_failed_image_is_not_built() -> None:
    built: list[str] = []

    def build(_: docker.DockerClient, name: str) -> None:
        if name == "nginx":
            raise KeyError(name)
        built.append(name)

    with pytest.raises(KeyError, match="nginx"):
        parallel_build.build_all(client(), {name: set(others) for name, others in BELOW.items()}, build)
    assert built == ["base", "busybox"]


# -- stopping -------------------------------------------------------------------------------------------


@pytest.fixture
def endless() -> Iterator[str]:
    """An engine whose answers take longer than anybody waits here."""
    over, waited = threading.Event(), list[str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\n{}\n\r\n")
            self.wfile.flush()
            over.wait(PATIENCE)
            waited.append(self.path)
            with contextlib.suppress(OSError):
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"tcp://127.0.0.1:{server.server_address[1]}"
    assert waited == []  # nobody waited for the end of an answer
    over.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("end", [KeyError, KeyboardInterrupt])
def test_a_build_under_way_is_stopped_when_another_one_fails(endless: str, end: type[BaseException]) -> None:
    engine = docker.DockerClient(base_url=endless, version="1.41")
    running = threading.Event()
    endings: list[str] = []

    def build(own: docker.DockerClient, name: str) -> None:
        if name == "fails":
            assert running.wait(PATIENCE)
            raise end
        for _ in own.api.events():
            running.set()
        endings.append(name)

    with pytest.raises(end):
        parallel_build.build_all(engine, {"endless": set(), "fails": set()}, build, 2)
    assert endings == ["endless"]  # before `build_all` returned


def test_the_failure_that_stopped_the_others_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, threading.Thread] = {}
    started, closing = threading.Barrier(2), threading.Event()

    def build(_: docker.DockerClient, name: str) -> None:
        threads[name] = threading.current_thread()
        started.wait(PATIENCE)
        if name == "first":
            raise KeyError(name)
        assert closing.wait(PATIENCE)
        raise OSError("cut off")

    def close(_: parallel_build.Connections) -> None:
        closing.set()
        if threading.current_thread() is threads["first"]:
            threads["later"].join(PATIENCE)  # its error is there before the one that it is due to

    monkeypatch.setattr(parallel_build.Connections, "close", close)
    with pytest.raises(KeyError, match="first"):
        parallel_build.build_all(client(), {"first": set(), "later": set()}, build, 2)


# -- the shared package list ----------------------------------------------------------------------------

INSTALLS = {
    "busybox",
    "docker-registry",
    "nginx",
    "node",
    "rclone",
    "redis",
    "registry",
    "storage",
    "toolbox",
}


def test_images_that_install_packages_share_a_list_but_never_keep_it() -> None:
    folders = [path.name for path in builder.FOLDER.iterdir()]
    todo = parallel_build.missing(folders, builder.needs, lambda _: False)
    assert {name for name, needs in todo.items() if "packages" in needs} == INSTALLS | {"webdav-log"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM ${BASE}", True),
        ("FROM ${BASE} AS qemu\nRUN x\nFROM qemu", True),
        ("FROM ${BASE} AS one\nFROM one AS two\nFROM two", True),
        ("FROM ${BASE} AS installed\nFROM scratch\nCOPY --from=installed / /", False),
        ("FROM ${BUSYBOX} AS small\nFROM ${BASE} AS installed\nFROM small", False),
    ],
)
def test_an_image_holds_its_base_unless_it_only_copies_from_it(text: str, expected: bool) -> None:
    assert holds(text, "BASE") is expected


def test_the_starter_and_the_rest_make_the_bank() -> None:
    references = [entry.reference for entry in (*catalog.starters(), *catalog.rest())]
    assert sorted(references) == sorted(entry.reference for entry in (*catalog.IMAGES, *catalog.PLUGINS))
    assert {entry.reference for entry in catalog.starters()} == set(catalog.FIRST)
