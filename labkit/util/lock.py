"""Locks, so that only one command at a time works on something. The system releases a dead holder's lock."""

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

_UNKNOWN = "another command"


@contextmanager
def hold(name: str, *, wait: float = 600, say: Say | None = None) -> Iterator[None]:
    """Hold the lock called `name`; wait up to `wait` seconds for another command to finish.

    `say` gets a line about the command that this waits for, and another one whenever that command notes its
    progress. Raises LabBusy with the other command's pid if it doesn't finish.
    """
    import fcntl  # here because Windows doesn't have it, and its users deserve a better message

    path = _path(name)
    with path.open("a") as file:
        told = ""
        for _ in Deadline(wait).attempts():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = f"Waiting for {_holder(path)} to finish{_progress(path)} …"
                if (
                    say and now != told and not (told and _UNKNOWN in now)
                ):  # its holder hasn't written its name yet
                    say(now)
                    told = now
        else:
            raise LabBusy(
                f"{name} is busy: {_holder(path)} did not finish within {wait:.0f} s",
                next_step="wait for it, or stop that process, then run the command again",
            )
        _note(path, _myself())
        try:
            yield
        finally:
            _note(path, "")  # so that the next one to wait doesn't name this process


def note(name: str, progress: str) -> None:
    """Note the progress of this process, which holds a lock, for the commands that wait for it."""
    _note(_path(name), f"{_myself()}\n{progress}")


def is_held(name: str) -> bool:
    """Whether any process holds the lock now."""
    import fcntl

    with _path(name).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _path(name: str) -> Path:
    path = state_dir() / "locks" / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    return path


def _myself() -> str:
    return f"{os.getpid()} {' '.join([Path(sys.argv[0]).name, *sys.argv[1:3]])}"


def _note(path: Path, text: str) -> None:
    """Write who holds the lock, for others to read. It's only a courtesy, so a full disk doesn't matter."""
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8", errors="replace")


def _holder(path: Path) -> str:
    pid, _, command = _lines(path)[0].partition(" ")
    return f"process {pid} ({command})" if pid else _UNKNOWN


def _progress(path: Path) -> str:
    return "".join(f": {line}" for line in _lines(path)[1:])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
