"""Finding the outer engine: which places are asked, in which order, and what a failure tells."""

import importlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer, ThreadingUnixStreamServer

import pytest
from docker.context.config import get_context_id

from labkit.engine import forget, places, vm
from labkit.engine.choice import client
from labkit.engine.choice import find as find_engine
from labkit.engine.find import ask, own_engine
from labkit.engine.machine import Machine
from labkit.engine.places import EXPORTED, Endpoint, Failure
from labkit.errors import EngineNotFound, EngineUnsuitable
from tests.certificates import Certificate, client_folder, self_signed

FIND = importlib.import_module("labkit.engine.find")  # as an attribute, that name is the function
VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", EXPORTED)


def ping(status: int = 200, **headers: str) -> type[BaseHTTPRequestHandler]:
    """Answers as a Docker engine's `/_ping` does, with empty lists to all else."""
    sent = {"Api_Version": "1.41", **headers}

    class Ping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in sent.items():
                if value:
                    self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK" if self.path.endswith("/_ping") else b"[]")  # no containers

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    return Ping


@contextmanager
def engine_at(path: Path, status: int = 200, **headers: str) -> Iterator[str]:
    """A Docker engine's `/_ping` and empty lists on a unix socket; yields its URL."""
    with ThreadingUnixStreamServer(str(path), ping(status, **headers)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


@contextmanager
def engine_over_tls(certificate: Certificate, trusted: Certificate) -> Iterator[str]:
    """The same over TCP with TLS, for a client whose certificate is `trusted`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    context.load_verify_locations(trusted.file)
    context.verify_mode = ssl.CERT_REQUIRED
    with ThreadingTCPServer(("127.0.0.1", 0), ping()) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No engine anywhere, no Docker settings, and nothing remembered from another test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(places, "usual_urls", lambda: [f"unix://{tmp_path}/usual.sock"])
    monkeypatch.setattr(vm, "found", lambda _: None)  # no virtual machine either
    forget()
    yield
    forget()
    for name in VARIABLES:
        os.environ.pop(name, None)


def make_context(config: Path, name: str, url: str, *, current: bool = True) -> None:
    meta = config / "contexts/meta" / get_context_id(name)
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": url, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    (config / "config.json").write_text(json.dumps({"currentContext": name} if current else {}))


def test_docker_host_is_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_at(tmp_path / "mine.sock") as url, engine_at(tmp_path / "usual.sock"):
        monkeypatch.setenv("DOCKER_HOST", url)
        found = find_engine()
    assert (found.url, found.source, found.api_version) == (url, f"DOCKER_HOST {url}", "1.41")


def test_docker_host_that_fails_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    with engine_at(tmp_path / "usual.sock"), pytest.raises(EngineNotFound) as caught:
        find_engine()
    assert len(caught.value.evidence) == 1
    assert caught.value.evidence[0].endswith("no such file")
    assert "DOCKER_HOST" in caught.value.next_step


def test_current_context_comes_before_the_usual_sockets(tmp_path: Path) -> None:
    with engine_at(tmp_path / "ctx.sock") as url, engine_at(tmp_path / "usual.sock"):
        make_context(tmp_path / "config", "class", url)
        found = find_engine()
    assert (found.url, found.source) == (url, "docker context class")


def test_docker_context_variable_wins_and_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_context(tmp_path / "config", "class", f"unix://{tmp_path}/gone.sock", current=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "class")
    with engine_at(tmp_path / "usual.sock"), pytest.raises(EngineNotFound) as caught:
        find_engine()
    assert [line.split("  ")[0] for line in caught.value.evidence] == ["DOCKER_HOST", "docker context class"]
    assert "docker context class" in caught.value.next_step


def test_unreadable_context_is_evidence(tmp_path: Path) -> None:
    make_context(tmp_path / "config", "class", "unix:///nowhere")
    next((tmp_path / "config/contexts/meta").glob("*/meta.json")).write_text("{")
    with pytest.raises(EngineNotFound, match="corrupted meta file for context class"):
        find_engine()


def test_missing_context_falls_through_to_the_usual_sockets(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.json").write_text('{"currentContext": "removed"}')
    with engine_at(tmp_path / "usual.sock") as url:
        assert find_engine().url == url


@pytest.mark.parametrize("files", [("ca", "cert", "key"), ("cert", "key")])
def test_context_with_tls_exports_its_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...]
) -> None:
    make_context(tmp_path / "config", "class", "tcp://engine.test:2376")
    certificates = tmp_path / "config/contexts/tls" / get_context_id("class") / "docker"
    certificates.mkdir(parents=True)
    for name in files:
        (certificates / f"{name}.pem").touch()
    monkeypatch.setattr(FIND, "ask", lambda candidate: candidate)
    found = find_engine()
    assert (found.url, found.cert_path, found.verify) == ("tcp://engine.test:2376", certificates, True)
    assert os.environ["DOCKER_CERT_PATH"] == str(certificates)
    assert os.environ["DOCKER_TLS_VERIFY"] == "1"


def test_tls_variables_belong_to_docker_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(EngineNotFound, match="certificate and key files"):
        find_engine()


def test_docker_host_with_tls_goes_by_its_own_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, own = self_signed(tmp_path, "server"), self_signed(tmp_path, "client")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", server, own)))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(own.file))  # which has not signed the engine's
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    with engine_over_tls(server, own) as url:
        monkeypatch.setenv("DOCKER_HOST", url)
        assert find_engine().url == url
        assert client().ping()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_without_docker_tls_verify_any_certificate_of_an_engine_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, own = self_signed(tmp_path, "server", address="192.0.2.1"), self_signed(tmp_path, "client")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", own, own)))
    with engine_over_tls(server, own) as url:
        monkeypatch.setenv("DOCKER_HOST", url)
        assert find_engine().verify is False
        forget()
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        with pytest.raises(EngineNotFound, match="TLS failed: its certificate was refused here") as caught:
            find_engine()
    assert "certificates that go with DOCKER_HOST" in caught.value.next_step


def test_tls_with_what_does_not_speak_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = self_signed(tmp_path, "client")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", own, own)))
    with ThreadingTCPServer(("127.0.0.1", 0), ping()) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(EngineNotFound, match="TLS failed: "):
            find_engine()
        server.shutdown()


def test_found_engine_is_exported_and_remembered(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock") as url:
        found = find_engine()
        assert os.environ["DOCKER_HOST"] == url
    assert find_engine() is found  # though nobody answers there any more


def test_forget_takes_the_export_back(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock"):
        find_engine()
    forget()
    assert not {"DOCKER_HOST", EXPORTED} & set(os.environ)
    with pytest.raises(EngineNotFound):
        find_engine()


def test_forget_leaves_the_users_own_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_at(tmp_path / "mine.sock") as url:
        monkeypatch.setenv("DOCKER_HOST", url)
        find_engine()
    forget()
    assert os.environ["DOCKER_HOST"] == url


def test_child_process_does_not_take_the_export_for_a_choice(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock"):
        find_engine()
    for remembered in (find_engine, own_engine):  # a child has the environment and nothing else
        remembered.cache_clear()
    with pytest.raises(EngineNotFound) as caught:
        find_engine()
    assert caught.value.evidence[0].split() == ["DOCKER_HOST", "not", "set"]


def test_client_is_new_each_time_and_negotiates_nothing(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock", Api_Version="1.47"):
        first, second = client(timeout=2.5), client()
        assert first.api is not second.api
        assert first.api.api_version == "1.47"
        assert first.api.timeout == 3
        assert first.ping()


@pytest.mark.parametrize(
    ("headers", "what"),
    [({"Api_Version": "1.40"}, "too old"), ({"Ostype": "windows"}, "Windows containers")],
)
def test_unsuitable_engine_is_refused(tmp_path: Path, headers: dict[str, str], what: str) -> None:
    with (
        engine_at(tmp_path / "usual.sock", 200, **headers),
        pytest.raises(EngineUnsuitable, match=what) as caught,
    ):
        find_engine()
    assert caught.value.evidence
    assert caught.value.next_step
    assert "DOCKER_HOST" not in os.environ


def test_api_versions_are_compared_as_numbers(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock", Api_Version="1.100"):
        assert find_engine().api_version == "1.100"


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, {"Api_Version": ""}, "no Docker engine"),
        (200, {"Libpod_Api_Version": "5.0"}, "podman"),
        (503, {}, "HTTP 503: OK"),
    ],
)
def test_other_answers_are_no_engine(
    tmp_path: Path, status: int, headers: dict[str, str], reason: str
) -> None:
    with engine_at(tmp_path / "a.sock", status, **headers) as url:
        answer = ask(Endpoint(url, "there"))
    assert isinstance(answer, Failure)
    assert reason in answer.reason


def test_reasons_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIND, "PING_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as refusing, socket.socket(socket.AF_UNIX) as silent:
        refusing.bind(str(tmp_path / "refusing.sock"))
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        names = ("gone.sock", "refusing.sock", "silent.sock")
        answers = [ask(Endpoint(f"unix://{tmp_path / name}", name)) for name in names]
    reasons = [answer.reason for answer in answers if isinstance(answer, Failure)]
    assert reasons == ["no such file", "refused: no engine listens there", "timed out after 3 s"]


@pytest.mark.parametrize("url", ["what://x", "tcp://", "tcp://host:port"])
def test_unusable_docker_host_is_evidence(url: str) -> None:
    assert isinstance(ask(Endpoint(url, "DOCKER_HOST")), Failure)


def test_permission_denied_asks_for_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root, who may run this test, is never refused

    monkeypatch.setattr("docker.transport.unixconn.socket.socket.connect", refuse)
    with pytest.raises(EngineNotFound) as caught:
        find_engine()
    assert caught.value.evidence[1].endswith("permission denied")
    assert caught.value.next_step.startswith("sudo usermod -aG docker $USER, then log in again")


def test_evidence_is_aligned_and_names_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIND, "this_machine", lambda: Machine("Darwin"))
    with pytest.raises(EngineNotFound) as caught:
        find_engine()
    place = f"{tmp_path}/usual.sock"
    assert caught.value.evidence == (f"{'DOCKER_HOST':<{len(place)}}   not set", f"{place}   no such file")
    assert caught.value.next_step.startswith("open -a Docker")


def test_usual_places_on_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert places.usual_urls() == [
        "unix:///var/run/docker.sock",
        f"unix://{tmp_path}/.docker/desktop/docker.sock",
        "unix:///run/user/7/docker.sock",
    ]
