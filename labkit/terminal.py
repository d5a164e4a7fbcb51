"""Joins this process's terminal or standard streams to a process on a node."""

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Sequence

from labkit import hint
from labkit.errors import LabError
from labkit.execution import STDERR, Execution
from labkit.node import Node
from labkit.running import marked, stop_marked

_CHUNK = 65536


def attach_streams(node: Node, command: Sequence[str]) -> int:
    """Run an argument vector on a node with this process's stdin, stdout and stderr; return its exit code.

    An interrupt stops it on the node too.
    """
    process, mark = marked(node, command, stdin=True)
    threading.Thread(target=_feed, args=(process,), daemon=True).start()
    try:
        for number, data in process.frames():
            stream = sys.stderr.buffer if number == STDERR else sys.stdout.buffer
            stream.write(data)
            stream.flush()
    except BaseException:
        stop_marked(node, mark)
        raise
    return process.exit_code()


def open_shell(node: Node) -> int:
    """Open a login shell on a node in this terminal; return its exit code.

    Raises LabError when standard input or output is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError(
            "labkit shell needs a terminal, and this is none",
            next_step=hint.command("exec", node.name, "--", "COMMAND", lab=node.lab),
        )
    process, mark = marked(
        node, ["bash", "-l"], env={"TERM": os.environ.get("TERM", "xterm")}, stdin=True, tty=True
    )
    try:
        with _raw_mode(), _resizing(process), _ending_with_the_terminal():
            threading.Thread(target=_feed_keys, args=(process,), daemon=True).start()
            for _, data in process.frames():
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except BaseException:
        stop_marked(node, mark)
        raise
    return process.exit_code()


def _feed(process: Execution) -> None:
    with contextlib.suppress(OSError):  # there is no input, or the process ended before it did
        while data := os.read(0, _CHUNK):
            process.write(data)
    with contextlib.suppress(OSError):
        process.close_stdin()


def _feed_keys(process: Execution) -> None:
    with contextlib.suppress(OSError):  # the shell has ended
        for data in _keys():
            process.write(data)


def _keys() -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            yield data
    os.kill(os.getpid(), signal.SIGHUP)  # the terminal is gone; where it does not control us, it is silent


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin, termios.TCSADRAIN)  # keeps what was typed ahead
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _ending_with_the_terminal() -> Iterator[None]:
    """A terminal that is closed sends SIGHUP, which alone ends this process and not the one on the node."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def _resizing(process: Execution) -> Iterator[None]:
    def resize(*_: object) -> None:
        size = shutil.get_terminal_size()
        process.resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
