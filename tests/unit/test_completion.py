"""`labkit completion`: every shell accepts it and completes commands, options, choices, and files with it."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.cli import completion, main, parser

pexpect = pytest.importorskip(
    "pexpect", reason="completing needs a terminal"
)  # IPython brings it, not on Windows

SYNTAX = {"bash": ("bash", "-n"), "zsh": ("zsh", "-n"), "fish": ("fish", "--no-execute")}
INTERACTIVE = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"]),
    "zsh": ("zsh", ["-f", "-i"]),
    "fish": ("fish", ["--no-config", "-i"]),
}
# `lab` stands for ./lab: it shows the arguments that it got.
PREPARE = {
    "bash": ('lab() { echo "<$*>"; }', "source FILE"),
    "zsh": ('lab() { echo "<$*>"; }', 'autoload -U compinit; compinit -u -D; eval "$(cat FILE)"'),
    "fish": ('function lab; echo "<$argv>"; end', "source FILE"),
}

TYPED = {
    "lab stat\t": "status",
    "lab status --js\t": "status --json",
    "lab --lab mine up --sw\t": "--lab mine up --swarm",
    "lab images prel\t": "images preload",
    "lab up --engine vm-\t": "up --engine vm-direct",
    "lab bundle lo\tclas\t": "bundle load class-7.tar",
    "lab start --notebooks chap\t": "start --notebooks chapters",
    "lab comp\tfi\t": "completion fish",
}


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def file(shell: str, tmp_path: Path) -> Path:
    """The completions in a file, as somebody who calls ./lab gets them."""
    path = tmp_path / "completions"
    path.write_text(completion.script(shell, "./lab"))
    return path


def commands() -> list[str]:
    [found] = [action for action in parser.make()._actions if isinstance(action, argparse._SubParsersAction)]
    return list(found.choices)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_every_command_is_in_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", name]) == 0
    words = capsys.readouterr().out.replace(":", " ").replace("(", " ").replace(")", " ").split()
    assert set(commands()) <= set(words)


def test_the_shell_accepts_it(shell: str, file: Path) -> None:
    done = subprocess.run([*SYNTAX[shell], str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def terminal(shell: str, file: Path, tmp_path: Path) -> Iterator["pexpect.spawn[str]"]:
    """An interactive shell that has the completions, in a folder with a file and a folder."""
    (tmp_path / "class-7.tar").touch()
    (tmp_path / "chapters").mkdir()
    program, arguments = INTERACTIVE[shell]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8"}
    child = pexpect.spawn(
        program,
        arguments,
        env=environment,
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 200),
    )
    for line in PREPARE[shell]:
        child.sendline(line.replace("FILE", str(file)))
    child.sendline("echo pre''pared")
    child.expect("prepared")
    yield child
    child.close(force=True)


def test_a_tab_completes_what_is_typed(terminal: "pexpect.spawn[str]") -> None:
    for typed, becomes in TYPED.items():
        terminal.sendline(typed)
        terminal.expect(f"<{becomes}/? ?>")  # shells end a word with a space, a folder with a slash


def test_it_is_quick_because_shells_evaluate_it_as_they_start() -> None:
    code = "import sys; from labkit.cli import completion; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"docker", "jupyterlab", "yaml"} & set(done.stdout.split())
