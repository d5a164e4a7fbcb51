"""Locks, so that only one command at a time works on something; the system releases a dead holder's."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.util.console import Say
from labkit.util.deadline import Deadline
from labkit.util.errors import LabBusy
from labkit.util.paths import state_dir


@contextmanager
def hold(name: str, *, wait: float = 600, say: Say | None = None) -> Iterator[None]:
    """Hold the lock called `name`; wait up to `wait` seconds for another command to finish.

    Raises LabBusy with the other command's pid if it doesn't.
    """
    import fcntl  # here because Windows doesn't have it, and its users deserve a better message

    path = state_dir() / "locks" / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        waiting = False
        for _ in Deadline(wait).attempts():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if say and not waiting:
                    say(f"Waiting for {_holder(path)} to finish …")
                    waiting = True
        else:
            raise LabBusy(
                f"{name} is busy: {_holder(path)} did not finish within {wait:.0f} s",
                next_step="wait for it, or stop that process, then run the command again",
            )
        _note(path, f"{os.getpid()} {' '.join([Path(sys.argv[0]).name, *sys.argv[1:3]])}")
        try:
            yield
        finally:
            _note(path, "")  # so that the next one to wait doesn't name this process


def _note(path: Path, text: str) -> None:
    """Write who holds the lock, for others to read. Only a courtesy: a full disk must not stop the work."""
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8", errors="replace")


def _holder(path: Path) -> str:
    pid, _, command = path.read_text(encoding="utf-8", errors="replace").partition(" ")
    return f"process {pid} ({command})" if pid else "another command"
