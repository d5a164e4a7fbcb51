"""What `labkit start` does in the background: its steps and its end are shown, and it ends with labkit."""

import os
import select
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.cli import preparation
from labkit.util.deadline import Deadline

PATIENCE = 30.0  # for what must come and has no reason to take long


def program(text: str) -> list[str]:
    return [sys.executable, "-uc", text]


class Said(list[str]):
    """What was said, and a way to wait for it."""

    def wait_for(self, line: str) -> None:
        for _ in Deadline(PATIENCE).attempts():
            if line in self:
                return
        raise AssertionError(f"'{line}' was not said within {PATIENCE:g} s, but {self}")


def test_steps_are_shown_and_everything_is_in_the_log(tmp_path: Path) -> None:
    said, log = Said(), tmp_path / "start.log"
    with preparation.in_background(program("print('   Step 1/9'); print(' ✓ Images')"), log, said.append):
        said.wait_for(" ✓ Images")
    assert said == [" ✓ Images"]
    assert log.read_text() == "   Step 1/9\n ✓ Images\n"


def test_a_failure_is_told_with_its_reason_and_where_all_is(tmp_path: Path) -> None:
    said, log = Said(), tmp_path / "start.log"
    text = "import sys; print('   Step 1'); sys.exit('ImageUnavailable: no mirror\\n  evidence\\nTry: again')"
    with preparation.in_background(program(text), log, said.append):
        said.wait_for("Lab().up() in a notebook tries again, and shows the reason there.")
    assert said[:3] == ["ImageUnavailable: no mirror", "  evidence", "Try: again"]
    assert said[3] == f"The work in the background has failed (exit code 1); all it said is in {log}."


def test_what_still_runs_is_interrupted_and_cleans_up(tmp_path: Path) -> None:
    said, done = Said(), tmp_path / "done"
    text = f"""
import pathlib, signal, sys
def end(*_):
    pathlib.Path({str(done)!r}).touch()
    print("interrupted")
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
print("ready")
signal.pause()
"""
    with preparation.in_background(program(text), tmp_path / "start.log", said.append):
        said.wait_for("ready")
    assert done.exists()
    assert said == ["ready", "Stopping the work in the background …"]


def test_what_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_END_SECONDS", 0.2)
    said = Said()
    text = "import os, signal; signal.signal(15, signal.SIG_IGN); print(os.getpid()); signal.pause()"
    with preparation.in_background(program(text), tmp_path / "start.log", said.append):
        for _ in Deadline(PATIENCE).attempts():
            if said:
                break
    with pytest.raises(ProcessLookupError):
        os.kill(int(said[0]), 0)


KILLED = """
import sys
from pathlib import Path
from labkit.cli import preparation
text = "import os\\nprint(os.getpid())\\nwhile True: print('   Step')"
with preparation.in_background([sys.executable, "-uc", text], Path(sys.argv[1]), print):
    sys.stdin.read()
"""


def test_a_killed_labkit_takes_the_work_with_it(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-uc", KILLED, str(tmp_path / "start.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout
    handle = os.pidfd_open(int(killed.stdout.readline()))
    try:
        killed.kill()
        assert select.select([handle], [], [], PATIENCE)[0], "the work went on"
    finally:
        os.close(handle)
        killed.communicate()


def test_the_command_is_for_the_same_lab_on_the_same_engine() -> None:
    options = Namespace(cluster=SimpleNamespace(name="a"), engine="docker", docker=["26.1", "worker2=28.5"])
    command = preparation.command(options)
    assert Path(command[0]).name == "labkit"
    assert command[1:] == [
        *("up", "--early", "--lab", "a", "--engine", "docker"),
        *("--docker", "26.1", "--docker", "worker2=28.5"),
    ]


def test_sigterm_is_how_it_is_told() -> None:
    """`labkit.cli.main` turns it into an interrupt."""
    from labkit.cli import main

    with pytest.raises(KeyboardInterrupt):
        main._as_interrupt(signal.SIGTERM, None)
