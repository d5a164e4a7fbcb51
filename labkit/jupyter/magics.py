"""`%%on NODE [NODE…]`: runs a cell as a shell script on nodes, and streams what they say.

With `--unless EXERCISE` it holds a solution: it runs only while the exercise is not solved.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.display import display

from labkit.cluster.cluster import Cluster
from labkit.course import command_log, exercises, grading, progress
from labkit.engine.selection import ERRORS
from labkit.swarm import stalled
from labkit.swarm.model import Snapshot
from labkit.transport.commands import DEFAULT_TIMEOUT, Result, failure, run_on, write_through
from labkit.util.errors import CommandInterrupted, CommandTimedOut, LabError, WouldRemove
from labkit.widgets import Begin
from labkit.widgets.notebook import notebook_lab

_PROGRESS = re.compile(r"overall progress: |\d+/\d+: |verify: ")
_PROGRESS_BEGINS = re.compile(r"o(v|$)|v(e|$)|\d+(/|$)")
_LOOK_SECONDS = 3.0  # a node that doesn't answer may be what a command waits for


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage()}")


_parser = _Parser(prog="%%on", add_help=False)
_parser.add_argument("nodes", nargs="+", metavar="NODE")
_parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS")
_parser.add_argument("--unless", metavar="EXERCISE")


@magics_class
class OnMagics(Magics):
    """The cell magic. It uses the notebook's `lab`, or the default one."""

    @cell_magic
    def on(self, line: str, cell: str) -> None:
        """%%on NODE [NODE…] [--timeout SECONDS] [--unless EXERCISE]

        Run the cell with `bash -e` on each node, on several at once. Output streams as it comes; the last
        line says exit code and duration. If `docker service logs` is silent for some seconds, the nodes that
        it waits for are printed too. A command that fails fails the cell. An interrupt, or the deadline
        (120 s by default), stops the command on the node too. With `--unless` it runs only while that
        exercise is not solved, and is recorded as a solution that was looked up.
        """
        arguments = _parser.parse_args(shlex.split(line))
        lab = notebook_lab()
        if arguments.unless:
            if grading.grade(lab, arguments.unless, exercises.find(lab, arguments.unless), settle=0):
                print(f"{arguments.unless} is solved already: the solution was not run.")
                return
            progress.of(lab).note("solution", arguments.unless)
        nodes = [lab.node(name) for name in arguments.nodes]
        log = command_log.of(lab)
        sink = _Plain() if len(nodes) == 1 else _Prefixed(max(len(node.name) for node in nodes))
        try:
            results = run_on(
                nodes,
                cell,
                timeout=arguments.timeout,
                check=False,
                sink=sink,
                on_silence=lambda: _say(_seen(lab, cell, stalled.silent_nodes)),
            )
        except CommandTimedOut as error:
            log.add_stopped(arguments.nodes, cell)
            error.add_evidence(*_seen(lab, cell, stalled.reasons))
            raise
        except KeyboardInterrupt:
            log.add_stopped(arguments.nodes, cell)
            names = ", ".join(arguments.nodes)
            raise CommandInterrupted(f"interrupted; the command was stopped on {names} too") from None
        sink.finish()
        log.add_results(results)
        for result in results:
            print(_status_line(result))
        for result in results:
            if result.exit_code:
                raise failure(result, shown=True)


def register(shell: Any) -> None:
    """Add the magic to an IPython shell, and a button for what needs a learner's consent."""
    shell.register_magics(OnMagics)
    shell.set_custom_exc((WouldRemove,), _offer_to_begin)


def _offer_to_begin(shell: Any, kind: Any, error: WouldRemove, traceback: Any, tb_offset: Any = None) -> None:
    """What IPython does with a WouldRemove: show it like other errors, with a button below."""
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
    display(Begin(notebook_lab(), error.begin))  # type: ignore[no-untyped-call]


def _seen(lab: Cluster, cell: str, look: Callable[[str, Snapshot], list[str]]) -> list[str]:
    """What the swarm shows about a cell's command that hasn't ended."""
    try:
        return look(cell, lab.snapshot(timeout=_LOOK_SECONDS))
    except (LabError, *ERRORS):  # the command itself will say what is wrong
        return []


def _say(lines: Sequence[str]) -> bool:
    """Print what a command waits for; False when that isn't known."""
    for line in lines:
        print(f"… {line}", file=sys.stderr, flush=True)
    return bool(lines)


class _Plain:
    """Prints a node's output as it comes, but each line of Docker's progress only once.

    Without a terminal to draw on, `docker service create` repeats these lines several times per second.
    """

    def __init__(self) -> None:
        self._left: dict[str, str] = {}
        self._seen: set[str] = set()

    def __call__(self, node: str, stream: str, text: str) -> None:
        *lines, rest = (self._left.get(stream, "") + text).split("\n")
        new = "".join(f"{line}\n" for line in lines if self._is_new(line))
        held = rest if _PROGRESS_BEGINS.match(rest) else ""  # it may be a line that was there
        self._left[stream] = held
        write_through(node, stream, new + rest.removeprefix(held))

    def finish(self) -> None:
        for stream, rest in self._left.items():
            write_through("", stream, rest)

    def _is_new(self, line: str) -> bool:
        if _PROGRESS.match(line) is None:
            return True
        new = line not in self._seen
        self._seen.add(line)
        return new


class _Prefixed:
    """Prints several nodes' output by whole lines, each behind its node's name."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._left: dict[tuple[str, str], str] = {}

    def __call__(self, node: str, stream: str, text: str) -> None:
        *lines, rest = (self._left.get((node, stream), "") + text).split("\n")
        self._left[node, stream] = rest
        for line in lines:
            self._print(node, stream, line)

    def finish(self) -> None:
        for (node, stream), rest in self._left.items():
            if rest:
                self._print(node, stream, rest)

    def _print(self, node: str, stream: str, line: str) -> None:
        print(
            f"{node:<{self._width}} │ {line}",
            file=sys.stderr if stream == "stderr" else sys.stdout,
            flush=True,
        )


def _status_line(result: Result) -> str:
    return f"└ {result.node} · exit {result.exit_code} · {result.duration:.1f} s"
