"""Commands on nodes: output as it comes, a deadline, a way to stop them; on several nodes at once."""

import codecs
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError

from labkit import advice, engine, hint
from labkit.deadline import Deadline
from labkit.errors import CommandFailed, CommandInterrupted, CommandTimedOut, LabNotRunning
from labkit.execution import STDERR, Execution

if TYPE_CHECKING:
    from labkit.node import Node

DEFAULT_TIMEOUT = 120.0
_ASK_SECONDS = 60.0  # for a node that freezes meanwhile; to stop a run takes up to 4

# A run is marked in its environment, which all its processes inherit: that finds them again on the node,
# whatever they did to their process group, to tell what still runs and to stop it.
_MARK = "LABKIT_RUN"
_LIST_RUN = f'grep -lsxz "{_MARK}=$1" /proc/[0-9]*/environ | cut -d/ -f3'
_SHOW_RUN = f'ps -o etime=,args= -p "$({_LIST_RUN} | paste -sd,)"'
_STOP_RUN = f"""
gone() {{
    # Looks again: a process that is just becoming another program has no environment for a moment.
    for _ in 1 2 3; do [ -z "$({_LIST_RUN})" ] || return 1; sleep 0.02; done
}}
for signal in INT TERM KILL; do
    ! gone $1 || exit 0
    kill -s $signal $({_LIST_RUN}) 2>/dev/null
    for _ in $(seq 20); do ! gone $1 || exit 0; sleep 0.05; done
done"""

Sink = Callable[[str, str, str], None]
"""Takes output as it comes: the node's name, `stdout` or `stderr`, the text."""


@dataclass(frozen=True)
class Result:
    """What a command on a node did. `duration` in seconds."""

    node: str
    command: str
    exit_code: int
    stdout: str
    stderr: str
    duration: float

    def __repr__(self) -> str:
        return f"<{self.node}: exit {self.exit_code}, {self.duration:.2f} s>"


class Switch:
    """Stops a `run_on` from another thread: `run_on(…, switch=switch)`, then `switch.off()`. For one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []
        self.is_off = False

    def off(self) -> None:
        """Stop the run; one that has not begun yet stops when it begins. Twice is fine."""
        with self._lock:
            self.is_off = True
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def when_off(self, call: Callable[[], object]) -> None:
        """Let the switch make a call, at once if it is off already."""
        with self._lock:
            if not self.is_off:
                self._calls.append(call)
                return
        call()


def write_through(_node: str, stream: str, text: str) -> None:
    """Print output unchanged, colours and all, to this process's stream of the same name."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    target.write(text)
    target.flush()


@engine.explained()
def run_on(
    nodes: "Sequence[Node]",
    command: str,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    check: bool = True,
    sink: Sink | None = None,
    switch: Switch | None = None,
) -> list[Result]:
    """Run one command on several nodes at once; hand output to `sink` from the calling thread.

    Raises as `Node.run` does; with several nodes the first failure in the order of `nodes`.
    CommandInterrupted when `switch` was turned off.
    """
    output: queue.SimpleQueue[tuple[_Running, int, bytes] | _Running | None] = queue.SimpleQueue()
    if switch:
        switch.when_off(lambda: output.put(None))
    deadline = Deadline(timeout)
    running: list[_Running] = []
    try:
        for node in nodes:
            running.append(_Running(node, command, output))
        left = len(running)
        while left:
            try:
                item = output.get(timeout=deadline.left)
            except queue.Empty:
                raise _timed_out([run for run in running if not run.done], deadline.seconds) from None
            if item is None:
                names = ", ".join(run.node.name for run in running)
                raise CommandInterrupted(f"stopped, on {names} too")
            if isinstance(item, _Running):
                left -= 1
                for stream, text in item.finish():
                    if sink:
                        sink(item.node.name, stream, text)
            else:
                run, number, data = item
                stream, text = run.decode(number, data)
                if sink and text:
                    sink(run.node.name, stream, text)
    except BaseException:
        for run in running:
            run.stop()
        raise
    results = [run.result() for run in running]
    if check:
        for result in results:
            if result.exit_code:
                raise failure(result)
    return results


class _Running:
    """A command under way on one node; its own thread reads the output into the caller's queue."""

    def __init__(
        self,
        node: "Node",
        command: str,
        output: "queue.SimpleQueue[tuple[_Running, int, bytes] | _Running | None]",
    ) -> None:
        self.node, self.command, self.done = node, command, False
        self._text: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._text}
        self._started = time.monotonic()
        self._ended = self._started
        self._process, self._mark = marked(node, ["bash", "-ec", command])
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: "queue.SimpleQueue[tuple[_Running, int, bytes] | _Running | None]") -> None:
        try:
            for number, data in self._process.frames():
                output.put((self, number, data))
        except (OSError, ValueError):
            pass  # the connection was closed by `stop`, or the node died: the exit code tells
        finally:
            self._ended = time.monotonic()
            output.put(self)

    def decode(self, number: int, data: bytes, final: bool = False) -> tuple[str, str]:
        stream = "stderr" if number == STDERR else "stdout"
        text = self._decoders[stream].decode(data, final)
        self._text[stream].append(text)
        return stream, text

    def finish(self) -> list[tuple[str, str]]:
        """Mark the end of the output; returns what incomplete characters were left in it."""
        self.done = True
        rest = [self.decode(number, b"", final=True) for number in (1, STDERR)]
        return [(stream, text) for stream, text in rest if text]

    def result(self) -> Result:
        exit_code = self._process.exit_code()
        self._process.close()
        return Result(
            node=self.node.name,
            command=self.command,
            exit_code=exit_code,
            stdout="".join(self._text["stdout"]),
            stderr="".join(self._text["stderr"]),
            duration=self._ended - self._started,
        )

    def still_running(self) -> str:
        """The processes of this run that are alive on the node, with their age."""
        return _ask(self.node, _SHOW_RUN, self._mark)

    def stop(self) -> None:
        """Stop the command on the node, unless it has ended."""
        if not self.done:
            stop_marked(self.node, self._mark)
            self._process.close()


def marked(
    node: "Node",
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    tty: bool = False,
) -> tuple[Execution, str]:
    """Start an argument vector on a node; return it attached, with the mark that `stop_marked` takes.

    Raises LabNotRunning when the node does not run.
    """
    mark = uuid.uuid4().hex
    try:
        process = Execution(
            node.client, node.container_id, command, env={**(env or {}), _MARK: mark}, stdin=stdin, tty=tty
        )
    except APIError as error:
        status = node.container.status
        if error.status_code not in (404, 409) and status == "running":  # it may have ended in between
            raise
        verb = "unpause" if status == "paused" else "start"
        raise LabNotRunning(
            f"{node.name} does not run: its container is {status}",
            evidence=[str(error.explanation)],
            next_step=f"{hint.command('up', lab=node.lab)}, or lab.node('{node.name}').{verb}() in Python",
        ) from None
    return process, mark


def stop_marked(node: "Node", mark: str) -> None:
    """Stop every process of a run on the node: SIGINT, then SIGTERM, then SIGKILL, a second apart."""
    _ask(node, _STOP_RUN, mark)


def _ask(node: "Node", script: str, mark: str) -> str:
    try:
        asked = Execution(node.client, node.container_id, ["bash", "-c", script, "labkit", mark])
        asked.settimeout(_ASK_SECONDS)
        said = b"".join(data for _, data in asked.frames()).decode(errors="replace")
        asked.close()
        return said
    except (APIError, OSError):
        return ""  # the node is down, and its processes with it


def failure(result: Result) -> CommandFailed:
    """The error for a command that exited with a code other than 0."""
    lines = result.stderr.strip().splitlines()[-10:]
    return CommandFailed(
        f"on {result.node}, `{_short(result.command)}` exited {result.exit_code}",
        exit_code=result.exit_code,
        evidence=lines or ["it printed no error message"],
        next_step=advice.for_output(result.stderr),
    )


def _timed_out(running: list[_Running], timeout: float) -> CommandTimedOut:
    names = ", ".join(run.node.name for run in running)
    return CommandTimedOut(
        f"on {names}, `{_short(running[0].command)}` still ran after {timeout:g} s and was stopped",
        evidence=[
            f"{run.node.name}: {line.strip()}" for run in running for line in run.still_running().splitlines()
        ],
        next_step="give it longer with --timeout SECONDS (in Python: timeout=…), or see what it waits for",
    )


def _short(command: str) -> str:
    first, *more = command.strip().splitlines() or [""]
    return f"{first} …" if more else first
