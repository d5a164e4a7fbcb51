"""The user's proxies: engines, nodes, and services do without; builds and the way to Docker Hub use them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from labkit.cluster import hub
from labkit.cluster.containers import LabContainer
from labkit.engine.client import EngineClient
from labkit.engine.endpoints import Endpoint
from labkit.engine.find import ask, connect
from labkit.images import base_image, dockerfile, proxies
from labkit.images.proxies import CONFIGURATION, ENVIRONMENT, Proxies
from labkit.topology import topology
from labkit.topology.topology import Service
from labkit.util.errors import ImageUnavailable, LabError
from tests.certificates import self_signed
from tests.forward_proxy import ForwardProxy, forward_proxy

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY")
CORPORATE = "http://me:secret@proxy.corp.test:3128"
CONFIG = {"httpProxy": CORPORATE, "httpsProxy": CORPORATE, "noProxy": ".corp.test,10.0.0.0/8"}


class Engine(ThreadingHTTPServer):
    """Answers what creating containers and building images asks of an engine, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.posts: list[tuple[str, Any]] = []
        self.fails = False
        self.url = f"tcp://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self._answer({"Id": "1", "Image": "sha256:1", "Name": "/one"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.posts.append((self.path, json.loads(body) if "/containers/create" in self.path else None))
        self._answer({"error": "no such host"} if self.server.fails else {"Id": "1"})

    def _answer(self, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy anywhere, and a Docker configuration of the test's own."""
    for name in (*NAMES, "LABKIT_HUB", "LABKIT_HUB_PROXY", "LABKIT_CA", "LABKIT_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy() as server:
        yield server


def configure(tmp_path: Path, **by_engine: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"proxies": by_engine}))


def client(url: str = "tcp://engine.test:2375") -> EngineClient:
    return EngineClient(base_url=url, version="1.41")


def real_service(name: str) -> Service:
    return next(service for service in topology.load(env={}).services if service.name == name)


# -- the engine is reached directly, and containers get no proxy ------------------------------------------


@pytest.mark.parametrize("name", [*NAMES[:3], *(name.lower() for name in NAMES[:3])])
def test_an_engine_on_tcp_is_asked_directly(
    engine: Engine, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    found = ask(Endpoint(engine.url, "test"))
    assert isinstance(found, Endpoint)
    connect(found).containers.create("image")
    assert proxy.requests == []
    assert len(engine.posts) == 1


def test_no_container_gets_the_clients_proxies(engine: Engine, tmp_path: Path) -> None:
    configure(tmp_path, default=CONFIG)
    mine = connect(Endpoint(engine.url, "test", api_version="1.41"))
    mine.containers.create("image", environment={"A": "b"})
    LabContainer(mine, topology.load(env={}), real_service("manager1"), "image").start()
    ((_, plain), (_, node), _) = engine.posts
    assert plain["Env"] == ["A=b"]
    assert [line for line in node["Env"] if not line.endswith("=")] == []


@pytest.mark.parametrize("name", [service.name for service in topology.load(env={}).services])
def test_what_compose_would_put_into_a_container_is_of_no_effect(name: str) -> None:
    """Compose adds HTTP_PROXY and others where the file says nothing (`getCreateConfigs`, create.go)."""
    said = real_service(name).environment
    if name == "registry":  # where lab-registry alone uses them
        assert {said["NO_PROXY"], said["no_proxy"]} == {"*"}
        return
    for each in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY"):
        assert {said[each], said[each.lower()]} == {""}


# -- builds -----------------------------------------------------------------------------------------------


@pytest.fixture
def all_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every proxy is there."""
    monkeypatch.setattr(proxies, "answers", lambda _: True)


def build(engine: Engine, folder: Path) -> dict[str, str]:
    """Build an image, and return the arguments that the engine got."""
    (folder / "Dockerfile").write_text("FROM scratch\n")
    dockerfile.build(client(engine.url), folder, "image", {"BASE": "a"}, {}, lambda _: None)
    query = parse_qs(urlsplit(engine.posts[-1][0]).query)
    arguments: dict[str, str] = json.loads(query["buildargs"][0])
    return arguments


@pytest.mark.usefixtures("all_answer")
def test_a_build_gets_the_clients_proxies_in_both_spellings(engine: Engine, tmp_path: Path) -> None:
    configure(tmp_path, default=CONFIG)
    got = build(engine, tmp_path)
    assert got.pop("BASE") == "a"
    assert got == {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), CORPORATE),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), CONFIG["noProxy"]),
    }


@pytest.mark.usefixtures("all_answer")
def test_a_build_gets_the_environments_proxies(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, default={"httpProxy": "http://127.0.0.1:3128"})  # which is somewhere else in a build
    monkeypatch.setenv("http_proxy", CORPORATE)
    assert build(engine, tmp_path) == {"BASE": "a", "HTTP_PROXY": CORPORATE, "http_proxy": CORPORATE}


@pytest.mark.usefixtures("all_answer")
def test_a_base_that_is_made_here_comes_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script says what it would have: mmdebstrap's apt reads http_proxy."""
    configure(tmp_path, default=CONFIG)
    script = tmp_path / "build-root"
    script.write_text('#!/bin/sh\necho "got $http_proxy and $https_proxy"\nexit 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("https_proxy", "http://env.test:1")  # which comes first on this computer
    monkeypatch.setattr(base_image.shutil, "which", lambda _: "/usr/bin/mmdebstrap")
    monkeypatch.setattr(base_image, "_pull", lambda *_: "no such host")
    monkeypatch.setattr(base_image, "_require_own_processor", lambda *_: None)
    with pytest.raises(ImageUnavailable) as caught:
        base_image.make(client(), "labkit/base:1", tmp_path, lambda _: None)
    assert "got http://…@proxy.corp.test:3128 and http://env.test:1" in caught.value.evidence


def test_a_build_goes_without_a_proxy_that_does_not_answer(engine: Engine, tmp_path: Path) -> None:
    with forward_proxy("127.0.0.1") as gone:
        pass
    said: list[str] = []
    configure(tmp_path, default={"httpProxy": f"http://me:secret@localhost.:{gone.port}/"})
    way = proxies.for_builds(client(), said.append)
    assert not way
    assert said == [f"the proxy localhost.:{gone.port} does not answer; continuing without it"]
    assert build(engine, tmp_path) == {"BASE": "a"}


def test_a_proxy_that_takes_connections_answers(proxy: ForwardProxy) -> None:
    assert proxies.answers(f"http://me:secret@127.0.0.1:{proxy.port}")
    assert proxies.answers(f"127.0.0.1:{proxy.port}")
    assert not proxies.answers("http://[oops")


def test_a_build_without_proxies_gets_none(engine: Engine, tmp_path: Path) -> None:
    assert build(engine, tmp_path) == {"BASE": "a"}


@pytest.mark.usefixtures("all_answer")
def test_a_build_that_fails_names_the_proxy_without_its_password(engine: Engine, tmp_path: Path) -> None:
    configure(tmp_path, default=CONFIG)
    engine.fails = True
    with pytest.raises(ImageUnavailable) as caught:
        build(engine, tmp_path)
    assert caught.value.evidence[-1] == (
        "through the proxy http://…@proxy.corp.test:3128, from the Docker client's configuration"
    )


# -- which proxy ------------------------------------------------------------------------------------------


def test_the_clients_configuration_comes_before_the_environment(tmp_path: Path) -> None:
    environment = {"HTTP_PROXY": "http://env.test:1", "https_proxy": "http://env.test:2", "no_proxy": "x"}
    assert proxies.of(client(), environment) == Proxies(
        "http://env.test:1", "http://env.test:2", "x", ENVIRONMENT
    )
    configure(tmp_path, default=CONFIG)
    assert proxies.of(client(), environment) == Proxies(
        CORPORATE, CORPORATE, CONFIG["noProxy"], CONFIGURATION
    )
    assert proxies.of(client(), {}).source == CONFIGURATION


def test_an_engine_has_proxies_of_its_own(tmp_path: Path) -> None:
    configure(tmp_path, default=CONFIG, **{"tcp://engine.test:2375": {"httpProxy": "http://near.test:8080"}})
    assert proxies.of(client(), {}).http == "http://near.test:8080"
    assert proxies.of(client("tcp://other.test:2375"), {}).http == CORPORATE


@pytest.mark.parametrize(
    "loopback", ["http://127.0.0.1:3128", "localhost:3128", "http://[::1]:3128", "http://me:pw@127.1.2.3:80/"]
)
def test_a_proxy_on_loopback_is_not_there_for_a_container(tmp_path: Path, loopback: str) -> None:
    environment = {"http_proxy": "http://env.test:1"}
    configure(tmp_path, default={"httpProxy": loopback, "httpsProxy": loopback})
    assert proxies.of(client(), environment).http == "http://env.test:1"
    assert not proxies.of(client(), {"HTTP_PROXY": loopback, "HTTPS_PROXY": loopback})


def test_what_is_no_url_is_left_to_those_who_use_it() -> None:
    assert proxies.of(client(), {"http_proxy": "http://[oops"}).http == "http://[oops"


@pytest.mark.parametrize(
    ("no_proxy", "host", "excepted"),
    [
        ("", "hub.corp.test", False),
        ("*", "hub.corp.test", True),
        ("corp.test", "hub.corp.test", True),
        ("other.test, .corp.test", "hub.corp.test", True),
        ("*.corp.test", "hub.corp.test", True),
        ("hub.corp.test:443", "hub.corp.test", True),
        ("HUB.corp.test", "hub.corp.test", True),
        ("b.corp.test", "hub.corp.test", False),
        ("192.168.0.0/16", "192.168.7.7", True),
        ("192.168.7.7", "192.168.7.7", True),
        ("192.168.0.0/16", "192.169.7.7", False),
        ("192.168.0.0/16", "hub.corp.test", False),
    ],
)
def test_no_proxy_is_read_as_go_and_curl_read_it(no_proxy: str, host: str, excepted: bool) -> None:
    way = Proxies("http://one.test:1", "http://two.test:2", no_proxy)
    assert way.towards(f"https://{host}/v2/") == ("" if excepted else "http://two.test:2")
    assert way.towards(f"http://{host}:5000/v2/") == ("" if excepted else "http://one.test:1")


# -- the registry's way to Docker Hub ---------------------------------------------------------------------


def test_the_registry_gets_the_clients_proxy_for_docker_hub(tmp_path: Path) -> None:
    assert hub.environment(client(), real_service("registry"))["HUB_PROXY"] == ""
    configure(tmp_path, default=CONFIG)
    assert hub.environment(client(), real_service("registry"))["HUB_PROXY"] == CORPORATE
    node = real_service("manager1")
    assert hub.environment(client(), node) == node.environment


def test_a_mirror_that_needs_no_proxy_gets_none(tmp_path: Path) -> None:
    configure(tmp_path, default=CONFIG)
    registry = real_service("registry")
    near = replace(registry, environment=registry.environment | {"HUB": "https://mirror.corp.test"})
    assert hub.environment(client(), near)["HUB_PROXY"] == ""


@pytest.mark.parametrize("chosen", ["http://chosen.test:1", "none"])
def test_the_users_own_choice_is_kept(tmp_path: Path, chosen: str) -> None:
    configure(tmp_path, default=CONFIG)
    registry = topology.load(env={"LABKIT_HUB_PROXY": chosen, "LABKIT_CA": "PEM"}).services[-2]
    found = hub.environment(client(), registry)
    assert (found["HUB_PROXY"], found["HUB_CA"]) == (chosen, "PEM")


def test_an_authority_is_read_from_its_file_without_what_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = self_signed(tmp_path, "one"), self_signed(tmp_path, "two")
    expected = [file.read_text().strip() for file in (one.file, two.file)]
    both = tmp_path / "both.pem"
    both.write_bytes(
        b"# T\xc3\xbcrk\n%b# key\n%b%b" % tuple(each.read_bytes() for each in (one.file, one.key, two.file))
    )
    monkeypatch.setenv("LABKIT_CA_FILE", str(both))
    found = hub.environment(client(), real_service("registry"))["HUB_CA"]
    assert found == "\n".join(expected)
    assert "PRIVATE" not in found


@pytest.mark.parametrize(
    ("content", "evidence"),
    [
        (None, "No such file"),
        (b"", "does not contain a certificate"),
        (b"\x30\x82\x01\x0a\xff", "does not contain a certificate"),
        (b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----", "ca.pem: "),
    ],
)
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes | None, evidence: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LabError) as caught:
        hub.certificates(file)
    assert evidence in caught.value.evidence[0]
    assert "PEM" in caught.value.next_step


def test_too_many_certificates_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(self_signed(tmp_path, "one").file.read_text() * 300)
    with pytest.raises(LabError, match="too many certificates"):
        hub.certificates(file)


@pytest.mark.parametrize(
    ("wanted", "outdated"),
    [
        ({"HUB": "https://hub.test", "HUB_PROXY": "a", "HUB_CA": "b"}, False),
        ({"HUB": "https://hub.test", "HUB_PROXY": "", "HUB_CA": ""}, False),  # set in another terminal
        ({"HUB": "https://other.test", "HUB_PROXY": "a", "HUB_CA": "b"}, False),
        ({"HUB": "https://hub.test", "HUB_PROXY": "none", "HUB_CA": "b"}, True),
        ({"HUB": "https://hub.test", "HUB_PROXY": "a", "HUB_CA": "c"}, True),
        ({"A": "b"}, False),
    ],
)
def test_a_registry_is_made_anew_for_another_way_to_the_hub(wanted: dict[str, str], outdated: bool) -> None:
    container = {"Config": {"Env": ["PATH=/bin", "HUB=https://hub.test", "HUB_PROXY=a", "HUB_CA=b"]}}
    assert hub.is_outdated(container, wanted) is outdated


def test_another_hub_that_the_user_names_makes_the_registry_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    container = {"Config": {"Env": ["HUB=https://hub.test"]}}
    monkeypatch.setenv("LABKIT_HUB", "https://other.test")
    assert hub.is_outdated(container, {"HUB": "https://other.test"})
    assert not hub.is_outdated(container, {"HUB": "https://hub.test"})
