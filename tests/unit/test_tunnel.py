"""The way into a node's engine, without a node: sockets answer in its place."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

import pytest
from requests.exceptions import ConnectionError as NoConnection

from labkit.transport import tunnel
from labkit.transport.tunnel import ERRORS, Tunnel
from tests.api_rules import Versions, without_version
from tests.helpers import eventually


def reply(body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """An HTTP answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Engine:
    """Answers each path on each connection; None hangs up, an empty answer never comes.

    Like a real engine, it announces its newest version on each ping and refuses other versions than its own.
    """

    def __init__(self) -> None:
        self.versions = Versions()
        self.answers: dict[str, bytes | None] = {}
        self.lines: list[socket.socket] = []
        self.asked: list[str] = []

    def dial(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.lines.append(theirs)
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, line: socket.socket) -> None:
        requests = line.makefile("rb")
        while first := requests.readline():
            while requests.readline() not in (b"\r\n", b""):
                pass
            path = first.split()[1].decode()
            self.asked.append(path)
            answer = self._answer(path)
            if answer is None:
                break
            line.sendall(answer)
        line.shutdown(socket.SHUT_RDWR)

    def _answer(self, path: str) -> bytes | None:
        if refusal := self.versions.refusal(path):
            return reply(json.dumps({"message": refusal}).encode(), status="400 Bad Request")
        if (known := path.partition("?")[0]) in self.answers:
            return self.answers[known]
        match without_version(path):
            case "/_ping":
                return self.ping(Swarm="inactive")
            case "/version":
                return reply(json.dumps({"MinAPIVersion": self.versions.least}).encode())
        return reply(b"{}")

    def ping(self, **headers: str) -> bytes:
        return reply(b"OK", kind="text/plain", **{"Api-Version": self.versions.newest}, **headers)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    for line in made.lines:
        line.close()


@pytest.fixture
def way(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Tunnel:
    monkeypatch.setattr(Tunnel, "_dial", engine.dial)
    no_client: Any = None
    return Tunnel(no_client, "id")


def test_an_answer_has_its_status_its_header_and_its_body(engine: Engine, way: Tunnel) -> None:
    engine.answers = {
        "/_ping": engine.ping(Swarm="active/manager"),
        "/v1.45/nodes": reply(b'[{"ID": "n1"}]'),
        "/v1.45/tasks": reply(b'{"message": "no leader"}', status="503 Service Unavailable"),
    }
    assert way.get("/_ping") == tunnel.Answer(200, "active/manager", None)
    assert way.get("/nodes") == tunnel.Answer(200, None, [{"ID": "n1"}])
    assert way.get("/tasks") == tunnel.Answer(503, None, {"message": "no leader"})
    assert len(engine.lines) == 1


@pytest.mark.parametrize("answer", [None, b"", b"no HTTP\r\n\r\n", reply(b"{"), reply(b"[1")[:-1]])
def test_without_a_readable_answer_it_raises_and_the_next_one_is_asked_anew(
    engine: Engine, way: Tunnel, answer: bytes | None
) -> None:
    engine.answers = {"/v1.45/bad": answer, "/v1.45/good": reply(b'"this"')}
    with pytest.raises(ERRORS):
        way.get("/bad", timeout=0.3)
    assert way.get("/good").body == "this"


def test_a_connection_that_the_engine_dropped_is_dialed_again(engine: Engine, way: Tunnel) -> None:
    assert way.get("/nodes").body == {}
    engine.lines[0].shutdown(socket.SHUT_RDWR)
    assert way.get("/nodes").body == {}
    assert len(engine.lines) == 2


def test_threads_share_the_connections_and_each_gets_its_own_answer(engine: Engine, way: Tunnel) -> None:
    engine.answers = {f"/v1.45/{number}": reply(json.dumps(number).encode()) for number in range(200)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: way.get(f"/{number}").body, range(200)))
    assert found == list(range(200))
    kept = len(engine.lines)
    for number in range(10):
        way.get(f"/{number}")
    assert len(engine.lines) == kept


def test_docker_pys_client_is_on_the_same_connections(engine: Engine, way: Tunnel) -> None:
    engine.answers = {"/v1.45/nodes": reply(b'[{"ID": "n1"}]')}
    way.get("/nodes")
    api = way.open_api()
    assert api.nodes() == [{"ID": "n1"}]
    assert len(engine.lines) == 1
    engine.answers = {"/v1.45/nodes": None}
    with pytest.raises(NoConnection):
        api.nodes()


def test_lines_come_as_they_are_said_until_they_are_closed(engine: Engine, way: Tunnel) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    engine.answers = {"/v1.45/events": head + b'9\r\n{"n": 1}\n\r\n'}
    lines, seen = way.lines("/events?since=1"), []

    def read() -> None:
        for line in lines:
            seen.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    eventually(lambda: seen == [b'{"n": 1}\n'], "a line")
    engine.lines[-1].sendall(b'9\r\n{"n": 2}\n\r\n')
    eventually(lambda: seen[1:] == [b'{"n": 2}\n'], "another line")
    assert engine.asked == ["/_ping", "/v1.45/events?since=1"]
    engine.lines[-1].sendall(b"0\r\n\r\n")
    reader.join(10)
    assert not reader.is_alive()


def test_lines_of_an_engine_that_refuses_are_an_error(engine: Engine, way: Tunnel) -> None:
    engine.answers = {"/v1.45/events": reply(b'{"message": "no"}', status="503 Service Unavailable")}
    with pytest.raises(HTTPException, match="/events answered 503"):
        list(way.lines("/events"))


# -- versions of the API ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "least", "used"),
    [
        pytest.param("1.41", "1.12", "1.41", id="20.10"),
        pytest.param("1.45", "1.24", "1.45", id="26.1"),
        pytest.param("1.51", "1.24", "1.51", id="28.5"),
        pytest.param("1.51", "1.44", "1.51", id="28.5 as strict as 29"),
        pytest.param("1.51", "1.51", "1.51", id="28.5 at its strictest"),
        pytest.param("1.52", "1.44", "1.51", id="newer than tested"),
        pytest.param("1.100", "1.60", "1.60", id="too new for what was tested"),
    ],
)
def test_requests_have_the_version_that_suits_the_engine(
    engine: Engine, way: Tunnel, newest: str, least: str, used: str
) -> None:
    engine.versions = Versions(newest, least)
    engine.answers = {f"/v{used}/nodes": reply(b'[{"ID": "n1"}]')}
    assert way.get("/nodes").body == [{"ID": "n1"}]
    assert way.open_api().nodes() == [{"ID": "n1"}]
    assert b"".join(way.lines("/events")) == b"{}"
    versioned = {path for path in engine.asked if path.startswith("/v1.")}
    assert versioned == {f"/v{used}/nodes", f"/v{used}/events"}


def test_the_version_costs_one_ping(engine: Engine, way: Tunnel) -> None:
    for _ in range(3):
        way.get("/nodes")
        way.open_api().nodes()
    assert engine.asked == ["/_ping", *["/v1.45/nodes"] * 6]
    way.get("/_ping")
    assert engine.asked[7:] == ["/_ping"]


def test_a_snapshot_that_begins_with_pings_pays_nothing_for_the_version(engine: Engine, way: Tunnel) -> None:
    for path in ("/_ping", "/nodes", "/_ping", "/nodes"):
        way.get(path)
    assert engine.asked == ["/_ping", "/v1.45/nodes"] * 2


def test_a_ping_notices_that_the_container_runs_another_engine(engine: Engine, way: Tunnel) -> None:
    assert way.get("/nodes").status == 200
    engine.versions = Versions("1.51", "1.51")
    assert way.get("/nodes").status == 400
    assert way.get("/_ping").status == 200
    assert way.get("/nodes").status == 200


@pytest.mark.parametrize("answer", [None, reply(b"OK"), reply(b"OK", **{"Api-Version": "x"})])
def test_without_a_version_nothing_is_asked_until_the_engine_tells(
    engine: Engine, way: Tunnel, answer: bytes | None
) -> None:
    engine.answers = {"/_ping": answer}
    with pytest.raises(ERRORS):
        way.get("/nodes")
    with pytest.raises(NoConnection):
        way.open_api()
    with pytest.raises(ERRORS):
        way.lines("/events")
    assert set(engine.asked) == {"/_ping"}
    engine.answers = {}
    assert way.open_api().nodes() == {}


@pytest.mark.parametrize(
    ("state", "control", "header"),
    [
        ("active", True, "active/manager"),
        ("active", False, "active/worker"),
        ("inactive", False, "inactive"),
        ("locked", False, "locked"),
    ],
)
def test_the_state_in_the_swarm_of_an_engine_without_the_header(
    engine: Engine, way: Tunnel, state: str, control: bool, header: str
) -> None:
    """Docker 20.10 doesn't send it (moby v20.10.24, api/server/router/system/system_routes.go)."""
    engine.versions = Versions("1.41", "1.12")
    info = {"Swarm": {"LocalNodeState": state, "ControlAvailable": control}}
    engine.answers = {"/_ping": engine.ping(), "/v1.41/info": reply(json.dumps(info).encode())}
    assert way.get("/_ping") == tunnel.Answer(200, header, None)


def test_a_manager_without_the_header_that_waits_for_a_leader_is_a_manager(
    engine: Engine, way: Tunnel
) -> None:
    engine.answers = {"/_ping": engine.ping(), "/v1.45/info": b""}
    assert way.get("/_ping", timeout=0.3) == tunnel.Answer(200, "active/manager", None)


def test_without_any_word_about_the_swarm_the_state_is_unknown(engine: Engine, way: Tunnel) -> None:
    engine.answers = {"/_ping": engine.ping(), "/v1.45/info": reply(b"{}", status="500 Oops")}
    assert way.get("/_ping") == tunnel.Answer(200, None, None)
