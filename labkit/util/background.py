"""Starts processes that outlive labkit."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# A separate program: once it exits, the new process is an orphan, so labkit never has to wait for it. A
# shell's `&` won't do, because the new process would ignore SIGINT, and so would every container of an engine
# that was started that way.
_STARTER = """
import subprocess, sys
inherited, *command = sys.argv[1:]
try:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        pass_fds=[int(number) for number in inherited.split()],
        start_new_session=True,
    )
except OSError as error:
    print("error", error.errno)
else:
    print("pid", process.pid, flush=True)
    process.returncode = 0  # so that Python doesn't warn that it's still running
"""


def spawn_detached(command: Sequence[str], log: Path, pass_fds: Sequence[int] = ()) -> int:
    """Start a command that keeps running when labkit ends; return its pid. Its output replaces `log`.

    It has its own session, so Ctrl-C in the terminal doesn't reach it. It inherits none of labkit's open
    files except `pass_fds`. Raises OSError if the command can't be started.
    """
    with log.open("wb") as output:
        starter = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _STARTER, " ".join(map(str, pass_fds)), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            pass_fds=pass_fds,
            check=True,
            text=True,
        )
    outcome, number = starter.stdout.split()
    if outcome == "error":
        raise OSError(int(number), os.strerror(int(number)), command[0])
    return int(number)
