"""Commands on nodes, run by engines that say what a test wants, when it wants it."""

import contextlib
import os
import queue
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker.errors import APIError, NotFound
from hypothesis import given
from hypothesis import strategies as st
from requests import Response

from labkit.transport import commands, marked
from labkit.transport.attach import STDERR, STDOUT
from labkit.transport.commands import CancelToken, Result, run_on
from labkit.transport.target import Target
from labkit.util.deadline import Deadline
from labkit.util.errors import CommandFailed, CommandInterrupted, CommandTimedOut, LabNotRunning

SECONDS = 20.0  # until a test gives up


class Process:
    """A process on a node, attached: it says what is put into it."""

    def __init__(self, pid: int = 7) -> None:
        self.id, self.pid = uuid.uuid4().hex, pid
        self.code: int | None = None
        self.forgotten = False  # by the engine
        self.closed = False
        self._said: queue.SimpleQueue[tuple[int, bytes] | Exception | None] = queue.SimpleQueue()

    def say(self, *data: bytes, stream: int = STDOUT) -> "Process":
        for piece in data:
            self._said.put((stream, piece))
        return self

    def breaks(self, error: Exception, code: int | None = None) -> "Process":
        """The connection breaks; the process has ended, or goes on."""
        self.code = code
        self._said.put(error)
        return self

    def ends(self, code: int | None = 0) -> "Process":
        """Its output ends; without a code it goes on."""
        self.code = code
        self._said.put(None)
        return self

    def frames(self) -> Iterator[tuple[int, bytes]]:
        while (said := self._said.get(timeout=SECONDS)) is not None:
            if isinstance(said, Exception):
                raise said
            yield said

    def exit_code(self) -> int | None:
        if self.forgotten:
            raise NotFound("No such exec instance")
        return self.code

    def settimeout(self, _: float) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        self._said.put(None)


class Node:
    """A node whose engine has these processes to start, one after the other; errors are raised instead."""

    def __init__(self, name: str, *processes: "Process | BaseException", status: str = "running") -> None:
        self.name = self.container_id = name
        self.status: str | None = status
        self.processes = list(processes)
        self.started: list[Process] = []
        self.stopped: list[list[str]] = []  # with which arguments
        self.env: Mapping[str, str] = {}

    @property
    def client(self) -> Any:
        return SimpleNamespace(node=self, api=SimpleNamespace(exec_inspect=self._inspect))

    @property
    def container(self) -> Any:
        if self.status is None:
            raise LabNotRunning(f"{self.name} is gone")
        return SimpleNamespace(status=self.status)

    def _inspect(self, exec_id: str) -> dict[str, Any]:
        process = next(process for process in self.started if process.id == exec_id)
        return {"Pid": process.pid, "ExitCode": process.code}

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds)

    def hint(self, *words: str) -> str:
        return f"labkit {' '.join(words)}"

    def explained(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def execute(self, command: Sequence[str], env: Mapping[str, str] | None) -> Process:
        if command[:2] == ["bash", "-c"]:
            return self._asked(command[2], list(command[4:]))
        self.env = env or {}
        process = self.processes.pop(0)
        if isinstance(process, BaseException):
            raise process
        self.started.append(process)
        return process

    def _asked(self, script: str, arguments: list[str]) -> Process:
        if script == marked._SHOW:
            return Process().say(f"  00:01 sleep 60 on {self.name}\n".encode()).ends()
        self.stopped.append(arguments)
        return Process().ends()


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    def execution(client: Any, _: str, command: Sequence[str], **options: Any) -> Process:
        found: Process = client.node.execute(list(command), options.get("env"))
        return found

    monkeypatch.setattr(marked, "Execution", execution)


def run(*nodes: Node, **options: Any) -> list[Result]:
    options.setdefault("timeout", SECONDS)
    return run_on([cast("Target", node) for node in nodes], "command", **options)


def refusal(code: int) -> APIError:
    response = Response()
    response.status_code = code
    return APIError("refused", response=response, explanation="no")


# -- output ---------------------------------------------------------------------------------------------


def test_no_node_runs_nothing() -> None:
    assert run() == []


def test_the_output_of_several_nodes_comes_by_streams_and_in_order() -> None:
    one = Process().say(b"a\n", b"b\n").say(b"oops\n", stream=STDERR).ends()
    two = Process().say(b"c\n").ends(3)
    seen: list[tuple[str, str, str]] = []
    results = run(Node("n1", one), Node("n2", two), check=False, sink=lambda *said: seen.append(said))
    assert [(result.node, result.stdout, result.stderr, result.exit_code) for result in results] == [
        ("n1", "a\nb\n", "oops\n", 0),
        ("n2", "c\n", "", 3),
    ]
    assert [said for said in seen if said[0] == "n1"] == [
        ("n1", "stdout", "a\n"),
        ("n1", "stdout", "b\n"),
        ("n1", "stderr", "oops\n"),
    ]
    assert one.closed and two.closed


def test_output_is_handed_on_while_the_command_runs() -> None:
    process = Process().say(b"first")
    results = run(
        Node("n1", process),
        sink=lambda *said: process.say(b"last").ends() and None if said[2] == "first" else None,
    )
    assert results[0].stdout == "firstlast"


@given(
    text=st.text(max_size=50),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    streams=st.sampled_from([STDOUT, STDERR]),
)
def test_text_is_the_same_however_it_is_cut_into_frames(text: str, cuts: list[int], streams: int) -> None:
    data = text.encode("utf-8", "replace")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    seen: list[str] = []
    (result,) = run(
        Node("n1", Process().say(*pieces, stream=streams).ends()), sink=lambda *said: seen.append(said[2])
    )
    assert (result.stdout if streams == STDOUT else result.stderr) == data.decode()
    assert "".join(seen) == data.decode()


def test_what_is_no_text_is_replaced_and_half_a_character_at_the_end_too() -> None:
    (result,) = run(Node("n1", Process().say(b"\xff!", "é".encode()[:1]).ends()))
    assert result.stdout == "\N{REPLACEMENT CHARACTER}!\N{REPLACEMENT CHARACTER}"


# -- ends -----------------------------------------------------------------------------------------------


def test_the_first_failure_in_the_order_of_the_nodes_is_raised() -> None:
    processes = [
        Process().ends(),
        Process().say(b"why\n", stream=STDERR).ends(4),
        Process().ends(5),
    ]
    with pytest.raises(CommandFailed, match="on n1, `command` exited 4") as caught:
        run(*(Node(f"n{number}", process) for number, process in enumerate(processes)))
    assert (caught.value.exit_code, caught.value.evidence) == (4, ("why",))


def test_a_process_may_go_on_after_its_output_has_ended() -> None:
    """Its exit code is waited for, not taken for 0."""
    process = Process().ends(None)
    looks = iter([None, None, 5])
    process.exit_code = lambda: next(looks)  # type: ignore[method-assign]
    assert run(Node("n1", process), check=False)[0].exit_code == 5


def test_a_deadline_says_what_still_runs_and_stops_it() -> None:
    ended, hung, silent = (
        Node("n1", Process().ends()),
        Node("n2", Process()),
        Node("n3", Process().ends(None)),
    )
    with pytest.raises(CommandTimedOut, match=r"on n2, `command` still ran after 0.2 s") as caught:
        run(ended, hung, timeout=0.2)
    assert caught.value.evidence == ("n2: 00:01 sleep 60 on n2",)
    assert hung.stopped == [[hung.env[marked._MARK], "0"]]
    assert hung.started[0].closed
    with pytest.raises(CommandTimedOut, match="on n3, "):
        run(silent, timeout=0.2)
    assert len(silent.stopped) == 1


def test_a_silent_command_is_asked_about_until_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SILENCE_SECONDS", 0.01)
    answers = iter([False, False, True])
    with pytest.raises(CommandTimedOut, match=r"after 0\.5 s"):  # it is silent to its end
        run(Node("n1", Process()), timeout=0.5, on_silence=lambda: next(answers))
    assert list(answers) == []


def test_what_comes_after_a_silence_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SILENCE_SECONDS", 0.01)
    process = Process()
    results = run(Node("n1", process), on_silence=lambda: bool(process.say(b"late").ends()))
    assert results[0].stdout == "late"


def test_a_node_that_does_not_run_is_told_by_its_state() -> None:
    with pytest.raises(LabNotRunning, match="n1 does not run: its container is paused") as caught:
        run(Node("n1", refusal(409), status="paused"))
    assert "unpause()" in caught.value.next_step


def test_another_refusal_is_raised_as_it_is() -> None:
    with pytest.raises(APIError):
        run(Node("n1", refusal(500)))


@pytest.mark.parametrize(("status", "words"), [(None, "n1 is gone"), ("running", "n1 was restarted")])
def test_a_node_that_is_removed_meanwhile_is_no_answer(status: str | None, words: str) -> None:
    node = Node("n1", Process().ends())
    node.processes[0].forgotten = True  # type: ignore[union-attr]
    node.status = status
    with pytest.raises(LabNotRunning, match=words):
        run(node)


@pytest.mark.parametrize("code", [None, 0])
def test_a_connection_that_breaks_is_no_result(code: int | None) -> None:
    node = Node("n1", Process().say(b"half").breaks(ConnectionAbortedError("reset"), code))
    with pytest.raises(ConnectionResetError, match="the connection to n1 broke while the command ran: reset"):
        run(node)
    assert len(node.stopped) == (code is None)


def test_a_node_that_dies_ends_its_command_by_its_exit_code() -> None:
    node = Node("n1", Process().breaks(ConnectionResetError("reset"), 137))
    assert run(node, check=False)[0].exit_code == 137


def test_a_reader_that_fails_otherwise_is_told_too() -> None:
    node = Node("n1", Process().breaks(AttributeError("a mistake")))
    with pytest.raises(ConnectionResetError, match="a mistake"):
        run(node)


# -- stopping -------------------------------------------------------------------------------------------


def test_what_is_cancelled_before_it_begins_does_not_begin() -> None:
    token, node = CancelToken(), Node("n1", Process())
    token.cancel()
    with pytest.raises(CommandInterrupted, match="before it began"):
        run(node, token=token)
    assert node.started == []


def test_cancelling_stops_it_on_every_node() -> None:
    token = CancelToken()
    nodes = [Node("n1", Process().say(b"begun")), Node("n2", Process()), Node("n3", Process().ends(None))]
    with pytest.raises(CommandInterrupted, match="stopped, on n1, n2, n3 too"):
        run(*nodes, token=token, sink=lambda *_: token.cancel())
    assert [len(node.stopped) for node in nodes] == [1, 1, 1]


def test_cancelling_ends_the_wait_for_a_process_without_output() -> None:
    token, node = CancelToken(), Node("n1", Process().ends(None))
    look = node.processes[0].exit_code  # type: ignore[union-attr]
    node.processes[0].exit_code = lambda: token.cancel() or look()  # type: ignore[union-attr, method-assign, func-returns-value]
    with pytest.raises(CommandInterrupted, match="on n1"):
        run(node, token=token)
    assert len(node.stopped) == 1


def test_a_sink_that_fails_stops_the_command() -> None:
    node = Node("n1", Process().say(b"text"))

    def fail(*_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(node, sink=fail)
    assert len(node.stopped) == 1


def test_an_interrupt_while_nodes_are_started_stops_those_that_may_run() -> None:
    """The engine may have started it even where we heard no more of it: then it may come a bit later."""
    nodes = [Node("n1", Process()), Node("n2", KeyboardInterrupt()), Node("n3", Process())]
    with pytest.raises(KeyboardInterrupt):
        run(*nodes)
    assert [[arguments[1] for arguments in node.stopped] for node in nodes] == [["0"], ["3"], []]


def test_a_process_that_the_engine_has_not_started_yet_is_waited_for_to_be_stopped() -> None:
    token, node = CancelToken(), Node("n1", Process(pid=0))
    other = Node("n2", Process().say(b"begun"))
    with pytest.raises(CommandInterrupted):
        run(node, other, token=token, sink=lambda *_: token.cancel())
    assert [node.stopped[0][1], other.stopped[0][1]] == ["3", "0"]


def test_an_engine_that_fails_while_it_stops_does_not_hide_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node("n1", Process())

    def refuse(*_: object) -> Process:
        raise ConnectionRefusedError

    monkeypatch.setattr(node, "_asked", refuse)
    with pytest.raises(CommandTimedOut) as caught:
        run(node, timeout=0.1)
    assert caught.value.evidence == ()


def test_a_token_calls_each_once_and_late_comers_at_once() -> None:
    token, calls = CancelToken(), list[str]()
    token.on_cancel(lambda: calls.append("early"))
    assert not token.cancelled
    token.cancel()
    token.cancel()
    token.on_cancel(lambda: calls.append("late"))
    assert calls == ["early", "late"]


# -- the scripts that find a run again ------------------------------------------------------------------

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="nodes have /proc")


@pytest.fixture
def sleeper() -> Iterator[Callable[[str, str], "subprocess.Popen[bytes]"]]:
    """Starts processes of a run, as on a node."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str, script: str) -> "subprocess.Popen[bytes]":
        env = {**os.environ, marked._MARK: mark}
        started.append(
            subprocess.Popen(["bash", "-c", script], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def script(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = ["bash", "-c", code, "labkit", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@on_linux
def test_all_processes_of_a_run_are_found_and_stopped(
    sleeper: Callable[[str, str], "subprocess.Popen[bytes]"],
) -> None:
    mark, other = marked.new_mark(), sleeper(marked.new_mark(), "cat")
    run = sleeper(mark, "trap '' INT TERM; setsid cat <&0 & echo begun; cat")
    assert run.stdout and run.stdout.readline() == b"begun\n"
    shown, _ = script(marked._SHOW, mark).communicate(timeout=SECONDS)
    assert len(shown.splitlines()) == 2
    assert script(marked._STOP, mark, "0").communicate(timeout=SECONDS)[0] == ""
    assert run.wait(SECONDS) == -9
    assert script(marked._SHOW, mark).communicate(timeout=SECONDS)[0] == ""
    assert other.poll() is None


@on_linux
def test_a_run_that_comes_late_is_stopped_too(
    sleeper: Callable[[str, str], "subprocess.Popen[bytes]"],
) -> None:
    mark = marked.new_mark()
    stopping = script("echo begun;" + marked._STOP, mark, "20")
    assert stopping.stdout and stopping.stdout.readline() == "begun\n"
    run = sleeper(mark, "exec cat")
    stopping.communicate(timeout=SECONDS)
    assert run.wait(SECONDS) < 0


@on_linux
def test_a_run_that_has_ended_is_nothing_to_stop() -> None:
    assert script(marked._STOP, marked.new_mark(), "0").wait(SECONDS) == 0
