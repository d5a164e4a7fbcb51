"""Scripts whose `docker` commands are retried while the swarm is in their way; a stand-in for it answers."""

import os
import subprocess
from pathlib import Path

import pytest

from labkit.course.retrying import with_retries

DAEMON = "Error response from daemon: "
PASSING = (
    f"{DAEMON}rpc error: code = Unknown desc = update out of sequence",
    f"{DAEMON}rpc error: code = FailedPrecondition desc = network lp7a is in use by task 9vnr",
    f"failed to create service blog_web: {DAEMON}network blog_default not found",
)
LATE = f"echo '{PASSING[0]}' >&2; exit 1"


def bash(folder: Path, script: str, *answers: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a script, with one of `answers` in shell code to each call of `docker`; what it was called with."""
    for number, answer in enumerate(answers, 1):
        (folder / f"answer{number}").write_text(answer, encoding="utf-8")
    docker, calls = folder / "docker", folder / "calls"
    docker.write_text(f'#!/bin/bash\ncd {folder}; echo "$@" >>calls; . ./answer$(wc -l <calls)\n', "utf-8")
    docker.chmod(0o755)
    (folder / "sleep").write_text(f'#!/bin/bash\necho "$1" >>{folder}/pauses\n', encoding="utf-8")
    (folder / "sleep").chmod(0o755)
    done = subprocess.run(
        ["bash", "-ec", with_retries(script)],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done, calls.read_text(encoding="utf-8").splitlines()


def test_a_command_that_came_too_late_is_repeated_and_the_script_goes_on(tmp_path: Path) -> None:
    done, calls = bash(tmp_path, "docker a 'b c'; docker d", LATE, LATE, "echo done", "echo too")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\ntoo\n", "")
    assert calls == ["a b c", "a b c", "a b c", "d"]


@pytest.mark.parametrize("message", PASSING)
def test_what_passes_by_itself_is_repeated_until_then(tmp_path: Path, message: str) -> None:
    done, calls = bash(tmp_path, "docker a", f"echo '{message}' >&2; exit 1", "echo done")
    assert (done.returncode, done.stdout, calls) == (0, "done\n", ["a", "a"])


def test_a_warning_of_a_command_that_succeeds_is_not(tmp_path: Path) -> None:
    done, calls = bash(tmp_path, "docker a", f"echo '{PASSING[0]}' >&2")
    assert (done.returncode, calls) == (0, ["a"])


def test_another_failure_is_told_and_ends_the_script(tmp_path: Path) -> None:
    done, calls = bash(tmp_path, "docker a; docker b", "echo half; echo 'no such service' >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "half\n", "no such service\n")
    assert calls == ["a"]


def test_a_failure_that_the_script_expects_does_not_end_it(tmp_path: Path) -> None:
    done, calls = bash(tmp_path, "docker a || docker b", "exit 1", "echo warning >&2")
    assert (done.returncode, done.stderr) == (0, "warning\n")
    assert calls == ["a", "b"]


def test_output_can_be_taken_and_input_given(tmp_path: Path) -> None:
    done, calls = bash(tmp_path, 'echo key | docker a; echo "<$(docker b)>"', "cat", LATE, "echo token")
    assert done.stdout == "key\n<token>\n"
    assert calls == ["a", "b", "b"]


def test_pauses_grow_and_after_some_tries_the_last_answer_counts(tmp_path: Path) -> None:
    answers = [f"echo '{number}: {PASSING[0]}' >&2; exit 4" for number in range(1, 61)]
    done, calls = bash(tmp_path, "docker a; docker b", *answers)
    assert (done.returncode, done.stderr) == (4, f"40: {PASSING[0]}\n")
    assert calls == ["a"] * 40
    pauses = [float(pause) for pause in (tmp_path / "pauses").read_text(encoding="utf-8").split()]
    assert pauses == sorted(pauses) and len(pauses) == 39
    assert pauses[0] <= 0.1 < pauses[-1] and 20 < sum(pauses) < 40
