"""One at a time, in threads and in processes; a lock dies with its holder."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.util import lock
from labkit.util.errors import LabBusy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")

PATIENCE = 30.0  # for what must come and has no reason to take long
HOLD = """
import subprocess, sys
from labkit.util import lock
with lock.hold("lab-x"):
    if "with a program" in sys.argv:
        subprocess.Popen(["cat"])  # lives until our standard input is closed
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path))


@pytest.fixture(params=["alone", "with a program"])
def holder(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.stdin.close()
    process.wait()
    process.stdout.close()


def assert_free(name: str) -> None:
    with lock.hold(name, wait=0):
        pass


def test_the_second_holder_waits_and_goes_on_when_the_first_has_finished() -> None:
    said: list[str] = []
    is_waiting, has_it = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        is_waiting.set()

    def second() -> None:
        with lock.hold("lab-x", wait=PATIENCE, say=say):
            has_it.set()

    thread = threading.Thread(target=second)
    with lock.hold("lab-x", wait=0):
        thread.start()
        assert is_waiting.wait(PATIENCE)
        assert not has_it.is_set()
    assert has_it.wait(PATIENCE)
    thread.join()
    assert said[0].startswith(f"Waiting for process {os.getpid()} (")


def test_a_holder_that_does_not_finish_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/labkit", "up", "--swarm", "--keep"])
    with lock.hold("lab-x"), pytest.raises(LabBusy) as caught, lock.hold("lab-x", wait=0):
        pytest.fail("held twice")
    assert (
        caught.value.what
        == f"lab-x is busy: process {os.getpid()} (labkit up --swarm) did not finish within 0 s"
    )
    assert caught.value.next_step


def test_waiting_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "Deadline", lambda _: SimpleNamespace(attempts=lambda: range(3)))
    said: list[str] = []
    with lock.hold("lab-x"), pytest.raises(LabBusy), lock.hold("lab-x", say=said.append):
        pytest.fail("held twice")
    assert len(said) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), FileNotFoundError()])
def test_a_holder_that_cannot_be_noted_holds_the_lock_nevertheless(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, "write_text", refuse)
    with (
        lock.hold("lab-x"),
        pytest.raises(LabBusy, match="another command"),
        lock.hold("lab-x", wait=0),
    ):
        pytest.fail("held twice")
    with pytest.raises(KeyError), lock.hold("lab-x"):
        raise KeyError  # which the end of the lock must not hide


def test_a_command_in_any_bytes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["labkit", "up", "--lab=\udcff"])
    with (
        lock.hold("lab-x"),
        pytest.raises(LabBusy, match=r"labkit up --lab=\?"),
        lock.hold("lab-x", wait=0),
    ):
        pytest.fail("held twice")


def test_locks_of_other_names_are_free() -> None:
    with lock.hold("lab-x"):
        assert_free("lab-y")


def test_a_lock_is_free_after_an_error_in_its_block() -> None:
    with pytest.raises(OSError), lock.hold("lab-x"):
        raise OSError
    assert_free("lab-x")


def test_a_lock_that_is_free_is_taken_without_a_word() -> None:
    with lock.hold("lab-x", say=pytest.fail):
        pass


def test_a_killed_process_frees_its_lock_even_when_its_children_live(
    holder: "subprocess.Popen[str]",
) -> None:
    with pytest.raises(LabBusy, match=f"process {holder.pid} "), lock.hold("lab-x", wait=0):
        pytest.fail("held twice")
    holder.kill()
    holder.wait()
    assert_free("lab-x")
