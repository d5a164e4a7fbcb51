"""HTTP with a node's engine over the frames of an attached process, which says what a test wants."""

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.transport import tunnel
from labkit.transport.attach import STDERR, STDOUT
from labkit.transport.tunnel import Tunnel

JSON = "Content-Type: application/json"
PING = "GET /_ping"
EVENTS = "/events?since=1"
Frames = list[tuple[int, bytes]]


def reply(body: str, *headers: str, status: str = "200 OK") -> bytes:
    length = f"Content-Length: {len(body.encode())}"
    return "\r\n".join([f"HTTP/1.1 {status}", length, *headers, "", body]).encode()


PONG = reply("OK", "Content-Type: text/plain", "Api-Version: 1.45", "Swarm: active/manager")


def out(*data: bytes) -> Frames:
    return [(STDOUT, piece) for piece in data]


class Process:
    """`docker system dial-stdio` in the node: it answers each request with frames; None hangs up."""

    def __init__(self, answer: Callable[[str], Frames | None]) -> None:
        self._answer = answer
        self._frames: list[tuple[int, bytes] | None] = []
        self.asked: list[str] = []
        self.timeouts: list[float | None] = []
        self.closed = False
        self._idle = os.pipe()  # readable once the other side has hung up

    def write(self, data: bytes) -> None:
        self.asked.append(data.decode().partition("\r\n")[0].removesuffix(" HTTP/1.1"))
        frames = self._answer(self.asked[-1])
        self._frames += [None] if frames is None else frames

    def read_frame(self) -> tuple[int, bytes] | None:
        return self._frames.pop(0) if self._frames else None

    def hang_up(self) -> None:
        os.write(self._idle[1], b"x")

    def fileno(self) -> int:
        return self._idle[0]

    def settimeout(self, seconds: float | None) -> None:
        self.timeouts.append(seconds)

    def close(self) -> None:
        if not self.closed:
            for end in self._idle:
                os.close(end)
        self.closed = True


class Node:
    """A node's container, in which `answer` answers all but pings; each connection is a process."""

    def __init__(self, answer: Callable[[str], Frames | None]) -> None:
        self.answer = lambda asked: out(PONG) if asked == PING else answer(asked)
        self.processes: list[Process] = []
        self.commands: list[Sequence[str]] = []

    def execute(self, _: str, command: Sequence[str], *, stdin: bool) -> Process:
        assert stdin
        self.commands.append(command)
        self.processes.append(Process(self.answer))
        return self.processes[-1]


@pytest.fixture(autouse=True)
def executions(monkeypatch: pytest.MonkeyPatch) -> None:
    def execution(node: Any, container: str, command: Sequence[str], **options: Any) -> Process:
        found: Process = node.execute(container, command, **options)
        return found

    monkeypatch.setattr(tunnel, "Execution", execution)


def connected(answer: Callable[[str], Frames | None]) -> tuple[Node, Tunnel]:
    node: Any = Node(answer)
    return node, Tunnel(lambda: node, "container")


def test_an_answer_is_its_status_the_swarm_and_the_json() -> None:
    node, opened = connected(lambda _: out(reply('{"a": [1]}', JSON)))
    assert opened.get("/_ping") == tunnel.Answer(200, "active/manager", None)
    assert opened.get("/nodes") == tunnel.Answer(200, None, {"a": [1]})
    assert node.commands == [["docker", "system", "dial-stdio"]]
    assert node.processes[0].asked == [PING, "GET /v1.45/nodes"]


@given(
    body=st.text(max_size=60),
    cuts=st.lists(st.integers(0, 250), max_size=10),
    noise=st.lists(st.binary(min_size=1, max_size=9), max_size=10),
)
def test_an_answer_is_the_same_in_any_frames_with_any_noise_between(
    body: str, cuts: list[int], noise: list[bytes]
) -> None:
    data = reply(f'"{body.encode("unicode_escape").hex()}"', JSON)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    frames: Frames = []
    for number, (start, end) in enumerate(pairwise(edges)):
        frames += [(STDERR, piece) for piece in noise[number : number + 1]]
        frames += out(data[start:end]) if start < end else []
    _, opened = connected(lambda _: frames)
    assert opened.get("/x").body == body.encode("unicode_escape").hex()


WHOLE = reply('{"a": "a long answer"}', JSON)


@pytest.mark.parametrize("kept", range(len(WHOLE)))
def test_an_answer_that_ends_early_is_none(kept: int) -> None:
    whole = WHOLE
    node, opened = connected(lambda _: out(whole[:kept]) if kept else None)
    with pytest.raises(tunnel.ERRORS):
        opened.get("/x")
    assert opened_again(node, opened, whole)


def opened_again(node: Node, opened: Tunnel, whole: bytes) -> bool:
    """Whether the next question gets an answer, by a connection of its own."""
    node.answer = lambda _: out(whole)
    return opened.get("/x").status == 200 and len(node.processes) == 2


def test_docker_py_speaks_through_it() -> None:
    def answer(asked: str) -> Frames:
        return out(reply('{"Name": "worker1"}' if "/info" in asked else "[]", JSON))

    node, opened = connected(answer)
    api = opened.open_api(timeout=7)
    assert api.info() == {"Name": "worker1"}
    assert api.containers() == []
    assert {timeout for timeout in node.processes[0].timeouts if timeout} == {7}


def test_a_refusal_of_the_engine_is_docker_pys() -> None:
    _, opened = connected(lambda _: out(reply('{"message": "no such task"}', JSON, status="404 Not Found")))
    with pytest.raises(docker.errors.NotFound, match="no such task"):
        opened.open_api().inspect_task("x")


def test_a_client_of_its_own_ends_its_connections_when_it_is_closed() -> None:
    node: Any = Node(lambda _: out(reply("{}", JSON)))
    api = tunnel.open_api(node, "container")
    api.info()
    api.close()
    assert [process.closed for process in node.processes] == [True]


# -- answers without end --------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_lines_come_as_they_are_said_until_the_other_side_hangs_up() -> None:
    said = [*out(HEAD, chunk(b'{"a": 1}\n')), (STDERR, b"noise"), *out(chunk(b'{"b"'), chunk(b": 2}\n"))]
    node, opened = connected(lambda _: said)
    lines = opened.lines(EVENTS)
    assert list(lines) == [b'{"a": 1}\n', b'{"b": 2}\n']
    assert [process.asked for process in node.processes] == [[PING], [f"GET /v1.45{EVENTS}"]]
    assert node.processes[1].timeouts == [tunnel.ANSWER_SECONDS, None]
    lines.close()
    lines.close()
    assert node.processes[1].closed
