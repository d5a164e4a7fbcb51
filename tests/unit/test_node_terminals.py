"""JupyterLab's terminals by name: a node's, or a plain shell. With real processes, without nodes."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.jupyter import terminals
from labkit.jupyter.terminals import NodeTerminals


def made(*names: str, look: Callable[[NodeTerminals], object]) -> object:
    """Make terminals of these names, look at their manager, and end them."""

    async def run() -> object:
        manager = NodeTerminals(
            shell_command=["sh", "-l"], lab="class-7", nodes=["manager1"], cull_inactive_timeout=0
        )
        for name in names:
            assert manager.create(name=name)["name"] == name
        seen = look(manager)
        await manager.terminate_all()
        return seen

    return asyncio.run(run())


def command_of(name: str) -> Callable[[NodeTerminals], list[str]]:
    """The argument vector of a terminal's process, without the folder of its program."""

    def look(manager: NodeTerminals) -> list[str]:
        program, *arguments = manager.terminals[name].ptyproc.argv
        return [Path(program).name, *arguments]

    return look


def test_a_nodes_name_gets_a_terminal_on_the_node() -> None:
    command = made("manager1", look=command_of("manager1"))
    assert command == terminals.command("class-7", "manager1")


def test_any_other_name_gets_a_shell_that_keeps_the_path() -> None:
    assert made("1", look=command_of("1")) == ["sh"]


def test_asking_again_gives_the_same_terminal() -> None:
    seen = made("manager1", "manager1", look=lambda manager: len(manager.ptys_by_fd))
    assert seen == 1


def test_the_command_names_node_and_lab() -> None:
    command = terminals.command("class-7", "worker1")
    assert command[-5:] == ["labkit.cli.main", "shell", "worker1", "--lab", "class-7"]


def test_the_terminal_says_why_it_is_not_on_the_node_and_tries_again_on_enter(tmp_path: Path) -> None:
    stand_in = tmp_path / "shell"
    stand_in.write_text("#!/bin/sh\necho worker1 does not run >&2\nexit 1\n")
    stand_in.chmod(0o700)
    shell = terminals.command("class-7", "worker1")[:4]
    done = subprocess.run(
        [*shell, str(stand_in)],
        input="\n",
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    once = "worker1 does not run\n\nThis terminal is disconnected from worker1. Press Enter to reconnect. "
    assert done.stdout == 2 * once  # the end of the input is the end of the terminal


@pytest.mark.parametrize("node", ["a b", "$(id)"])
def test_a_name_is_never_code(node: str) -> None:
    done = subprocess.run(
        [*terminals.command("x", node)[:4], "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert f"This terminal is disconnected from {node}." in done.stdout
