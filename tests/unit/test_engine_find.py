"""Finding the outer engine: which places are asked, in which order, and what a failure tells."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer, ThreadingUnixStreamServer
from types import SimpleNamespace
from typing import Any

import pytest
from docker.context.config import get_context_id

from labkit.engine import endpoints, find
from labkit.engine.endpoints import Endpoint, Failure
from labkit.engine.find import ask
from labkit.engine.host_info import Host
from labkit.engine.selection import DOCKER, EngineContext
from labkit.util.errors import EngineNotFound, EngineUnsuitable
from tests.api_rules import Versions, without_version
from tests.certificates import Certificate, client_folder, self_signed
from tests.docker_contexts import make_context

PODMAN = {"Api_Version": "1.44", "Libpod_Api_Version": "5.8.6"}  # as Podman 5.8.6 of Debian testing
VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "LABKIT_ENGINE")


def ping(status: int = 200, least: str = "1.12", **headers: str) -> type[BaseHTTPRequestHandler]:
    """Answers as a Docker engine does: to `/_ping`, `/version`, and with empty lists to all else.

    It refuses requests in versions that it doesn't accept, which are those outside `least` and `Api_Version`.
    """
    sent = {"Api_Version": "1.41", **headers}
    accepted = Versions(sent["Api_Version"] or "1.41", least or "1.24")

    class Ping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refusal = accepted.refusal(self.path)
            match without_version(self.path):
                case _ if refusal:
                    body = json.dumps({"message": refusal})
                case "/_ping":
                    body = "OK"
                case "/version":
                    body = json.dumps({"MinAPIVersion": least} if least else {})
                case _:
                    body = "[]"  # no containers
            self.send_response(400 if refusal else status)
            for name, value in sent.items():
                if value:
                    self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    return Ping


@contextmanager
def engine_at(path: Path, status: int = 200, **headers: str) -> Iterator[str]:
    """What `ping` answers, on a unix socket; yields its URL."""
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
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine anywhere, no Docker settings, no virtual machine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(endpoints, "usual_urls", lambda: [f"unix://{tmp_path}/usual.sock"])


def find_engine() -> Endpoint:
    """The engine that a lab finds which has not looked yet."""
    return EngineContext("test").endpoint()


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
def test_context_with_tls_brings_its_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...]
) -> None:
    make_context(tmp_path / "config", "class", "tcp://engine.test:2376")
    certificates = tmp_path / "config/contexts/tls" / get_context_id("class") / "docker"
    certificates.mkdir(parents=True)
    for name in files:
        (certificates / f"{name}.pem").touch()
    monkeypatch.setattr(find, "ask", lambda candidate: candidate)
    found = EngineContext("test").own_endpoint()
    assert (found.url, found.cert_path, found.verify) == ("tcp://engine.test:2376", certificates, True)
    assert not set(VARIABLES) & set(os.environ)


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
        assert EngineContext("test").client().ping()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_without_docker_tls_verify_any_certificate_of_an_engine_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, own = self_signed(tmp_path, "server", address="192.0.2.1"), self_signed(tmp_path, "client")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", own, own)))
    with engine_over_tls(server, own) as url:
        monkeypatch.setenv("DOCKER_HOST", url)
        assert find_engine().verify is False
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        with pytest.raises(EngineNotFound, match="TLS failed: its certificate is not trusted here") as caught:
            find_engine()
    assert "certificates for DOCKER_HOST" in caught.value.next_step


def test_tls_with_what_does_not_speak_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = self_signed(tmp_path, "client")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", own, own)))
    with ThreadingTCPServer(("127.0.0.1", 0), ping()) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(EngineNotFound, match="TLS failed: "):
            find_engine()
        server.shutdown()


# -- what a lab remembers of it -------------------------------------------------------------------------


def test_found_engine_is_remembered_until_the_cache_is_cleared(tmp_path: Path) -> None:
    context = EngineContext("test")
    with engine_at(tmp_path / "usual.sock"):
        found = context.endpoint()
    assert context.endpoint() is found  # though nobody answers there any more
    context.clear_cache()
    with pytest.raises(EngineNotFound) as caught:
        context.endpoint()
    assert caught.value.evidence[0].split() == ["DOCKER_HOST", "not", "set"]


def test_the_users_choice_is_read_again_when_the_cache_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = EngineContext("test")
    with engine_at(tmp_path / "usual.sock") as usual, engine_at(tmp_path / "mine.sock") as mine:
        assert context.endpoint().url == usual
        monkeypatch.setenv("DOCKER_HOST", mine)
        assert (context.endpoint().url, context.own_endpoint().url) == (usual, usual)
        context.clear_cache()
        assert (context.endpoint().url, context.own_endpoint().url) == (mine, mine)
    assert os.environ["DOCKER_HOST"] == mine


def test_labs_on_different_engines_coexist_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = EngineContext("one"), EngineContext("other")
    with (
        engine_at(tmp_path / "one.sock", Api_Version="1.45") as first,
        engine_at(tmp_path / "other.sock", Api_Version="1.47") as second,
    ):
        monkeypatch.setenv("DOCKER_HOST", first)
        assert one.endpoint().url == first
        monkeypatch.setenv("DOCKER_HOST", second)
        assert other.endpoint().url == second
        before = dict(os.environ)
        for context, version in ((one, "1.45"), (other, "1.47"), (one, "1.45")):
            assert context.client().api.api_version == version
            assert context.own_client().api.api_version == version
            assert context.thread_client().api.api_version == version
            assert context.thread_client() is context.thread_client()
            assert context.client().ping()
        other.clear_cache()
        assert one.endpoint().url == first  # one lab's look is no other's
    assert dict(os.environ) == before


def test_a_lab_on_a_virtual_machine_leaves_the_others_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_at(tmp_path / "usual.sock") as usual, engine_at(tmp_path / "machine.sock") as inside:
        endpoint = ask(Endpoint(inside, "virtual machine of lab 'full'", vm=True))
        home = SimpleNamespace(present=True, running=True)
        machine: Any = SimpleNamespace(home=home, answer=lambda: endpoint, accelerator="tcg")
        monkeypatch.setattr(EngineContext, "vms", lambda lab: [machine] if lab.lab == "full" else [])
        before = dict(os.environ)
        full, plain, refusing = EngineContext("full"), EngineContext("plain"), EngineContext("full", DOCKER)
        assert [context.endpoint().url for context in (full, plain, refusing)] == [inside, usual, usual]
        assert full.own_endpoint().url == usual  # the user's own, whichever carries the lab
        assert (full.deadline(1).seconds, plain.deadline(1).seconds) == (5.0, 1.0)
    assert dict(os.environ) == before


def test_child_processes_get_the_users_environment(tmp_path: Path) -> None:
    program = "import os; print(*sorted(name for name in os.environ if name.startswith('DOCKER_')))"
    with engine_at(tmp_path / "usual.sock"):
        assert EngineContext("test").client().ping()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "DOCKER_CONFIG\n"  # the one that this test has set


def test_each_thread_has_its_own_client(tmp_path: Path) -> None:
    context = EngineContext("test")
    with engine_at(tmp_path / "usual.sock"):
        clients = [context.thread_client()]
        thread = threading.Thread(target=lambda: clients.append(context.thread_client()))
        thread.start()
        thread.join()
    assert len(set(map(id, clients))) == 2


def test_client_is_new_each_time_and_negotiates_nothing(tmp_path: Path) -> None:
    with engine_at(tmp_path / "usual.sock", Api_Version="1.47"):
        context = EngineContext("test")
        first, second = context.client(timeout=2.5), context.client()
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


@pytest.mark.parametrize(
    ("newest", "least", "used"),
    [
        pytest.param("1.41", "1.12", "1.41", id="20.10"),
        pytest.param("1.45", "1.24", "1.45", id="26.1"),
        pytest.param("1.51", "1.24", "1.51", id="28.5"),
        pytest.param("1.51", "1.44", "1.51", id="28.5 as strict as 29"),
        pytest.param("1.52", "1.44", "1.51", id="newer than tested"),
        pytest.param("1.52", "1.9", "1.51", id="versions are compared as numbers"),
        pytest.param("1.100", "1.52", "1.52", id="too new for what was tested"),
        pytest.param("1.100", "1.100", "1.100", id="accepts one version only"),
        pytest.param("1.100", "", "1.51", id="a minimum of 1.24 that it does not tell"),
    ],
)
def test_the_highest_version_that_both_know_and_that_is_tested_is_used(
    tmp_path: Path, newest: str, least: str, used: str
) -> None:
    with engine_at(tmp_path / "usual.sock", least=least, Api_Version=newest):
        assert find_engine().api_version == used
        client = EngineContext("test").client()
        assert client.api.api_version == used
        assert client.api.containers() == []


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, {"Api_Version": ""}, "not a Docker engine"),
        (200, PODMAN, "Podman answered, which has no Swarm mode"),
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


@pytest.mark.parametrize("chosen", [False, True])
def test_podman_alone_gets_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: bool) -> None:
    with engine_at(tmp_path / "usual.sock", **PODMAN) as url:
        if chosen:
            monkeypatch.setenv("DOCKER_HOST", url)
        with pytest.raises(EngineNotFound) as caught:
            find_engine()
    assert "Podman answered" in caught.value.evidence[-1]
    assert "docs.docker.com/engine/install" in caught.value.next_step
    assert "labkit up --engine vm-direct" in caught.value.next_step


def test_reasons_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "PING_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as refusing, socket.socket(socket.AF_UNIX) as silent:
        refusing.bind(str(tmp_path / "refusing.sock"))
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        names = ("gone.sock", "refusing.sock", "silent.sock")
        answers = [ask(Endpoint(f"unix://{tmp_path / name}", name)) for name in names]
    reasons = [answer.reason for answer in answers if isinstance(answer, Failure)]
    assert reasons == ["no such file", "connection refused: no engine is listening", "timed out after 3 s"]


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
    monkeypatch.setattr(find, "this_host", lambda: Host("Darwin"))
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
    assert endpoints.usual_urls() == [
        "unix:///var/run/docker.sock",
        f"unix://{tmp_path}/.docker/desktop/docker.sock",
        "unix:///run/user/7/docker.sock",
    ]
