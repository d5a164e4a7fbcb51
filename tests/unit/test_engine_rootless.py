"""Rootless Docker is recognized, refused before anything is created, and comes with a way out."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from labkit.cluster.cluster import Cluster
from labkit.engine import doctor, rootless
from labkit.engine.endpoints import Endpoint
from labkit.util.console import ProgressReporter
from labkit.util.errors import EngineUnsuitable
from tests.api_rules import without_version

ENDPOINT = Endpoint("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock", api_version="1.51")
# As Docker 28.5.2 of Debian testing says it, with root's powers and without.
ROOTFUL = ["name=seccomp,profile=builtin"]
ROOTLESS = [*ROOTFUL, "name=rootless"]
INFO = {
    "ServerVersion": "28.5.2",
    "NCPU": 2,
    "MemTotal": 8_000_000_000,
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
}


class Engine:
    """An engine that knows what it is; whatever else it's asked for is an error."""

    def __init__(self, options: list[str] | None) -> None:
        self._options = options

    def info(self) -> dict[str, Any]:
        return {**INFO, "SecurityOptions": self._options}


@pytest.mark.parametrize(("options", "refused"), [(ROOTFUL, False), (None, False), (ROOTLESS, True)])
def test_doctor_has_a_verdict(options: list[str] | None, refused: bool) -> None:
    found = doctor._judge_system(Engine(options).info(), ENDPOINT, "")["engine"]
    assert found.ok is not refused
    assert ("rootless" in found.found) is refused
    if refused:
        assert found.advice and "labkit up --engine vm-direct" in found.advice


@pytest.mark.parametrize("options", [ROOTFUL, None])
def test_an_engine_with_roots_powers_is_accepted(options: list[str] | None) -> None:
    engine: Any = Engine(options)
    rootless.require_root(engine, ENDPOINT)


def test_an_engine_without_them_is_refused_with_its_address_and_a_way_out() -> None:
    engine: Any = Engine(ROOTLESS)
    with pytest.raises(EngineUnsuitable, match=r"/run/user/1000/docker\.sock is rootless") as caught:
        rootless.require_root(engine, ENDPOINT)
    assert caught.value.evidence
    assert "docs.docker.com/engine/install" in caught.value.next_step
    assert "labkit up --engine vm-direct" in caught.value.next_step


# -- before anything is created -------------------------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    """A rootless engine that holds nothing, and that creates nothing."""

    changes: list[str]

    def do_GET(self) -> None:
        match without_version(self.path).partition("?")[0]:
            case "/_ping":
                body: Any = "OK"
            case "/info":
                body = Engine(ROOTLESS).info()
            case "/version":
                body = {"Version": "28.5.2", "MinAPIVersion": "1.24"}
            case "/volumes":
                body = {"Volumes": []}
            case _:
                body = []
        self._answer(200, body)

    def do_POST(self) -> None:
        self.changes.append(self.path)
        self._answer(500, {"message": "rootless engines create nothing in this test"})

    do_DELETE = do_POST

    def _answer(self, status: int, body: Any) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Api-Version", ENDPOINT.api_version)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


def test_up_refuses_before_it_creates_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[str] = []
    handler = type("Handler", (Answers,), {"changes": changes})
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    with ThreadingUnixStreamServer(f"{tmp_path}/docker.sock", handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            with pytest.raises(EngineUnsuitable, match="is rootless"):
                Cluster("test-rootless", engine="docker").up(reporter=ProgressReporter(quiet=True))
        finally:
            server.shutdown()
    assert changes == []
