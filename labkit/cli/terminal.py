"""Connects this process's terminal or standard streams to a process on a node."""

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence

from labkit.cluster.node import Node
from labkit.transport import marked
from labkit.transport.attach import STDERR, Execution
from labkit.util.errors import LabError

_CHUNK = 65536


def attach_streams(node: Node, command: Sequence[str]) -> int:
    """Run an argument vector on a node with this process's standard streams; return its exit code.

    An interrupt stops it on the node too.
    """
    with marked.attached(node, command, stdin=True) as process:
        threading.Thread(target=_feed, args=(process,), daemon=True).start()
        for number, data in process.frames():
            stream = sys.stderr.buffer if number == STDERR else sys.stdout.buffer
            stream.write(data)
            stream.flush()
        return process.wait()


def open_shell(node: Node) -> int:
    """Open a login shell on a node in this terminal; return its exit code.

    Raises LabError if standard input or output isn't a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError(
            "labkit shell needs a terminal", next_step=node.hint("exec", node.name, "--", "COMMAND")
        )
    env = {"TERM": os.environ.get("TERM", "xterm")}
    with (
        marked.attached(node, ["bash", "-l"], env=env, stdin=True, tty=True) as process,
        _raw_mode(),
        _handling(signal.SIGWINCH, lambda *_: _resize(process)),
        _handling(signal.SIGHUP, _interrupt),
    ):
        _resize(process)
        threading.Thread(target=_feed_keys, args=(process,), daemon=True).start()
        for _, data in process.frames():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return process.wait()


def _feed(process: Execution) -> None:
    with contextlib.suppress(OSError):  # there's no input, or the process ended before the input did
        while data := os.read(0, _CHUNK):
            process.write(data)
    with contextlib.suppress(OSError):
        process.close_stdin()


def _feed_keys(process: Execution) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            try:
                process.write(data)
            except OSError:  # the shell has ended
                return
    os.kill(os.getpid(), signal.SIGHUP)  # the terminal is gone; it sends no SIGHUP unless it controls us


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin, termios.TCSADRAIN)  # keeps what has been typed ahead
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _handling(number: signal.Signals, handler: Callable[..., None]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _interrupt(*_: object) -> None:
    """Treat SIGHUP, which a closing terminal sends, as an interrupt, to stop the process on the node too."""
    raise KeyboardInterrupt


def _resize(process: Execution) -> None:
    size = shutil.get_terminal_size()
    process.resize(size.lines, size.columns)
