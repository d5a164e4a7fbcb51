"""One command at a time works on a lab; the system frees the lock when its holder dies."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labkit.deadline import Deadline
from labkit.errors import LabBusy
from labkit.state import state_dir


@contextmanager
def lab_lock(lab: str, *, wait: float = 300, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of the lab named `lab`; wait up to `wait` seconds for another command to finish.

    Raises LabBusy with the other command's process number when it does not.
    """
    folder = state_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{lab}.lock").open("a+", encoding="utf-8") as file:
        told = False
        for _ in Deadline(wait).attempts():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if say and not told:
                    say(f"Waiting for {_holder(file)}, which works on lab '{lab}' …")
                    told = True
        else:
            raise LabBusy(
                f"lab '{lab}' is busy: {_holder(file)} did not finish within {wait:.0f} s",
                next_step="wait for it, or stop that process, and run the command again",
            )
        file.truncate(0)
        file.write(f"{os.getpid()} {' '.join(sys.argv[:1] + sys.argv[1:3])}")
        file.flush()
        yield


def _holder(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    pid, _, command = file.read().partition(" ")  # type: ignore[attr-defined]
    return f"process {pid} ({command.rpartition('/')[2]})" if pid else "another command"
