"""Commands on one or more nodes: streamed output, a deadline, and cancellation."""

import codecs
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from docker.errors import NotFound

from labkit.swarm import advice
from labkit.transport import marked
from labkit.transport.attach import STDERR, STDOUT, Execution
from labkit.transport.target import Target
from labkit.util.deadline import Deadline
from labkit.util.errors import (
    CommandFailed,
    CommandInterrupted,
    CommandTimedOut,
    LabNotRunning,
)
from labkit.util.parallel import in_parallel

DEFAULT_TIMEOUT = 120.0

SILENCE_SECONDS = 8.0  # most Docker commands that print nothing take less

Sink = Callable[[str, str, str], None]
"""Takes output as it arrives: the node's name, `stdout` or `stderr`, the text."""


Output: TypeAlias = "queue.SimpleQueue[tuple[_Running, int, bytes | None] | None]"
"""Each run's output with its stream number, None at its end; a single None if all runs should stop."""


@dataclass(frozen=True)
class Result:
    """The result of a command on a node. `duration` is in seconds."""

    node: str
    command: str
    exit_code: int
    stdout: str
    stderr: str
    duration: float

    def __repr__(self) -> str:
        return f"<{self.node}: exit {self.exit_code}, {self.duration:.2f} s>"


class CancelToken:
    """Stops a `run_on` from another thread: `run_on(…, token=token)`, then `token.cancel()`. For one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []
        self.cancelled = False

    def cancel(self) -> None:
        """Stop the run, or a run that begins later. Idempotent."""
        with self._lock:
            self.cancelled = True
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def on_cancel(self, call: Callable[[], object]) -> None:
        """Call `call` when the run is canceled, or immediately if it already is."""
        with self._lock:
            if not self.cancelled:
                self._calls.append(call)
                return
        call()


def write_through(_node: str, stream: str, text: str) -> None:
    """Print output unchanged, including colors, to this process's stream of the same name."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    target.write(text)
    target.flush()


def run_on(
    nodes: Sequence[Target],
    command: str,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    check: bool = True,
    sink: Sink | None = None,
    token: CancelToken | None = None,
    on_silence: Callable[[], bool] | None = None,
) -> list[Result]:
    """Run one command on several nodes at once; pass output to `sink` in the calling thread.

    Whenever no node has printed anything for SILENCE_SECONDS, call `on_silence` there too, until it returns
    True. Raises what `Node.run` raises (with several nodes, the first failure in the order of `nodes`), and
    CommandInterrupted if `token` was canceled.
    """
    if not nodes:
        return []
    with nodes[0].explained():
        results = _run(nodes, command, nodes[0].deadline(timeout), sink or _drop, token, on_silence)
    if check:
        for result in results:
            if result.exit_code:
                raise failure(result)
    return results


def _drop(_node: str, _stream: str, _text: str) -> None:
    """A sink for output that nobody wants to see as it arrives."""


def _run(
    nodes: Sequence[Target],
    command: str,
    deadline: Deadline,
    sink: Sink,
    token: CancelToken | None,
    on_silence: Callable[[], bool] | None,
) -> list[Result]:
    output: Output = queue.SimpleQueue()
    running = [_Running(node, command, output) for node in nodes]
    if token:
        if token.cancelled:
            raise CommandInterrupted("stopped before it began")
        token.on_cancel(lambda: output.put(None))
    try:
        for run in running:
            run.start()
        _pass_on(output, running, deadline, sink, on_silence)
        for run in running:
            run.wait(deadline, token)
    except BaseException:
        in_parallel(_Running.stop, running)  # stops all of them, even after another interrupt
        raise
    return [run.result() for run in running]


def _pass_on(
    output: Output,
    running: Sequence["_Running"],
    deadline: Deadline,
    sink: Sink,
    on_silence: Callable[[], bool] | None,
) -> None:
    """Pass everything that the runs print to the sink, until all output has ended."""
    left = len(running)
    while left:
        try:
            item = output.get(timeout=min(deadline.left, SILENCE_SECONDS) if on_silence else deadline.left)
        except queue.Empty:
            if on_silence and not deadline.passed:
                on_silence = None if on_silence() else on_silence
                continue
            raise _timed_out([run for run in running if not run.ended], deadline.seconds) from None
        if item is None:
            raise _stopped(running)
        run, number, data = item
        left -= data is None
        for stream, text in run.decode(number, data):
            sink(run.node.name, stream, text)


class _Running:
    """A running command on one node; its own thread reads the output into the caller's queue."""

    def __init__(self, node: Target, command: str, output: Output) -> None:
        self.node, self.command = node, command
        self.ended = False  # whether its output has ended
        self._output, self._mark = output, marked.new_mark()
        self._text: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._text}
        self._begun = False
        self._process: Execution | None = None
        self._exit_code: int | None = None
        self._broken: Exception | None = None

    def start(self) -> None:
        self._started = self._ended = time.monotonic()
        self._begun = True  # from now on it may be running, even if we never hear of it
        self._process = marked.start(self.node, ["bash", "-ec", self.command], self._mark)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: Execution) -> None:
        try:
            for number, data in process.frames():
                self._output.put((self, number, data))
        except Exception as error:  # closed by `stop`, or the connection broke; `wait` reports it
            self._broken = error
        finally:
            self._ended = time.monotonic()
            self.ended = True
            self._output.put((self, STDOUT, None))

    def decode(self, number: int, data: bytes | None) -> Iterator[tuple[str, str]]:
        """Yield each stream's name with its new text; with None, the incomplete characters that are left."""
        ended = data is None
        for stream in self._decoders if ended else ("stderr" if number == STDERR else "stdout",):
            if text := self._decoders[stream].decode(data or b"", ended):
                self._text[stream].append(text)
                yield stream, text

    def wait(self, deadline: Deadline, token: CancelToken | None) -> None:
        """Wait until the process, whose output has ended, has ended too.

        Raises CommandTimedOut or CommandInterrupted, and ConnectionResetError if the connection broke but the
        process didn't fail, because then part of its output is missing.
        """
        assert self._process
        for _ in deadline.attempts():
            try:
                self._exit_code = self._process.exit_code()
            except NotFound:
                status = self.node.container.status  # raises LabNotRunning if it is gone
                raise LabNotRunning(
                    f"{self.node.name} was restarted while the command ran: its container is {status}",
                    next_step="run the command again",
                ) from None
            if self._broken and not self._exit_code:
                what = f"the connection to {self.node.name} broke while the command ran"
                raise ConnectionResetError(f"{what}: {self._broken}") from self._broken
            if self._exit_code is not None:
                return
            if token and token.cancelled:
                raise _stopped([self])
        raise _timed_out([self], deadline.seconds)

    def result(self) -> Result:
        assert self._process
        assert self._exit_code is not None
        self._process.close()
        return Result(
            node=self.node.name,
            command=self.command,
            exit_code=self._exit_code,
            stdout="".join(self._text["stdout"]),
            stderr="".join(self._text["stderr"]),
            duration=self._ended - self._started,
        )

    def still_running(self) -> str:
        """The processes of this run that are still running on the node, with their age."""
        return marked.show(self.node, self._mark)

    def stop(self) -> None:
        """Stop the command on the node, unless it has ended."""
        if self._begun and self._exit_code is None:
            marked.stop(self.node, self._mark, self._process)
        if self._process:
            self._process.close()


def _stopped(running: Sequence[_Running]) -> CommandInterrupted:
    return CommandInterrupted(f"stopped, on {', '.join(run.node.name for run in running)} too")


def failure(result: Result, shown: bool = False) -> CommandFailed:
    """The error for a command that exited with a code other than 0.

    Its evidence is what the command printed to stderr, unless that was already `shown`.
    """
    lines = result.stderr.strip().splitlines()[-10:]
    return CommandFailed(
        f"on {result.node}, `{_short(result.command)}` exited {result.exit_code}",
        exit_code=result.exit_code,
        evidence=[] if lines and shown else lines or ["it printed no error message"],
        next_step=advice.for_output(result.stderr),
    )


def _timed_out(running: list[_Running], timeout: float) -> CommandTimedOut:
    names = ", ".join(run.node.name for run in running)
    return CommandTimedOut(
        f"on {names}, `{_short(running[0].command)}` still ran after {timeout:g} s and was stopped",
        evidence=[
            f"{run.node.name}: {line.strip()}" for run in running for line in run.still_running().splitlines()
        ],
        next_step="give it more time with --timeout SECONDS (in Python: timeout=…), or see what it waits for",
    )


def _short(command: str) -> str:
    first, *more = command.strip().splitlines() or [""]
    return f"{first} …" if more else first
