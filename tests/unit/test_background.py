"""Processes that outlive labkit: nobody's child, in a session of their own, with only the files they get."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.util import background
from labkit.util.deadline import Deadline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

RUN = """
import sys
from pathlib import Path
from labkit.util.background import spawn_detached
print(spawn_detached(sys.argv[2:], Path(sys.argv[1])))
"""

Spawn = Callable[..., int]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def spawn(log: Path) -> Iterator[Spawn]:
    """Starts a shell script that then waits until the test ends; returns its pid once the script has run."""
    pids: list[int] = []

    def start(script: str, *descriptors: int) -> int:
        command = ["sh", "-c", f"{script}; echo ready; exec tail -f /dev/null"]
        pids.append(background.spawn_detached(command, log, descriptors))
        for _ in Deadline(30).attempts(every=0.01):
            if log.read_text().endswith("ready\n"):
                return pids[-1]
        raise AssertionError(log.read_text())

    yield start
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_it_is_not_our_child_and_has_a_session_of_its_own(spawn: Spawn) -> None:
    pid = spawn(":")
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert int(status(pid)["PPid"]) != os.getpid()
    assert os.getsid(pid) == pid


def test_it_outlives_its_starter(log: Path) -> None:
    starter = [sys.executable, "-c", RUN, str(log), "tail", "-f", "/dev/null"]
    pid = int(subprocess.run(starter, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert status(pid)["Name"] == "tail"
    os.kill(pid, signal.SIGKILL)


def test_it_ignores_no_signals_unlike_what_a_shell_starts_in_the_background(spawn: Spawn) -> None:
    ignored = int(status(spawn(":"))["SigIgn"], 16)
    assert not ignored & (1 << signal.SIGINT - 1)
    assert not ignored & (1 << signal.SIGQUIT - 1)


def test_its_output_replaces_the_log_and_it_reads_nothing(spawn: Spawn, log: Path) -> None:
    log.write_text("an older run\n")
    spawn("read line || echo 'end of input'; echo complaint >&2")
    assert log.read_text() == "end of input\ncomplaint\nready\n"


def test_it_holds_the_files_that_it_is_given_and_no_others(spawn: Spawn, tmp_path: Path) -> None:
    with (tmp_path / "given").open("w") as given, (tmp_path / "other").open("w") as other:
        os.set_inheritable(other.fileno(), True)
        pid = spawn(":", given.fileno())
        held = {path.readlink().name for path in Path(f"/proc/{pid}/fd").iterdir()}
    assert "given" in held
    assert "other" not in held


def test_a_missing_program_is_an_error_that_names_it(log: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape("'no-such-program'")):
        background.spawn_detached(["no-such-program"], log)
