"""Commands on nodes: what comes back and when, and what if they fail, hang or are interrupted."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from labkit import Lab, checks
from labkit.cluster.node import Node
from labkit.transport.commands import run_on
from labkit.util.errors import CommandFailed, CommandTimedOut, LabNotRunning
from tests.helpers import LABKIT, eventually, labkit, spawn, wait_for_line

pytestmark = pytest.mark.engine


def running(node: Node, word: str) -> str:
    """The node's processes whose command line holds `word`."""
    return node.run(f"pgrep -af -- '{word[0]}[{word[1]}]{word[2:]}' || true", quiet=True).stdout


def test_result_tells_streams_exit_code_and_duration(lab: Lab) -> None:
    result = lab.node("manager1").run("echo out; echo err >&2; exit 3", check=False, quiet=True)
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)
    assert result.duration > 0


def test_output_comes_while_the_command_runs(lab: Lab) -> None:
    node = lab.node("manager1")
    seen: list[str] = []

    def sink(_name: str, _stream: str, text: str) -> None:
        seen.append(text)
        # The command waits for this file: had the output been held back, it would wait until the deadline.
        node.run("touch /tmp/go-on", quiet=True)

    run_on(
        [node], "echo first; until [ -e /tmp/go-on ]; do sleep 0.01; done; echo last", sink=sink, timeout=20
    )
    assert "".join(seen) == "first\nlast\n"


def test_output_is_printed_unchanged_colours_and_all(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.node("manager1").run(r"printf '\033[31mred\033[0m →é\n'; echo oops >&2")
    printed = capsys.readouterr()
    assert printed.out == "\x1b[31mred\x1b[0m →é\n"
    assert printed.err == "oops\n"


@pytest.mark.core
def test_large_and_broken_output_arrives_whole(lab: Lab) -> None:
    result = lab.node("worker1").run(r"seq 200000; printf '\xff'", quiet=True)
    assert (
        result.stdout == "".join(f"{number}\n" for number in range(1, 200001)) + "\N{REPLACEMENT CHARACTER}"
    )


def test_quick_output_is_never_lost(lab: Lab) -> None:
    node = lab.node("worker1")
    assert all(node.run("echo here", quiet=True).stdout == "here\n" for _ in range(30))


def test_first_failing_command_ends_the_script(lab: Lab) -> None:
    with pytest.raises(CommandFailed, match=r"on worker1, `docker node ls …` exited 1") as caught:
        lab.node("worker1").run("docker node ls\necho not reached", quiet=True)
    assert caught.value.exit_code == 1
    assert "not a swarm manager" in caught.value.evidence[0]
    assert "docker swarm" in caught.value.next_step


def test_join_tokens_stay_out_of_errors(swarm: Lab) -> None:
    with pytest.raises(CommandFailed) as caught:
        swarm.node("manager1").run("docker swarm join-token -q worker >&2; exit 1", quiet=True)
    assert caught.value.evidence == ("SWMTKN-1-…",)


def test_deadline_stops_the_command_and_says_what_still_ran(lab: Lab) -> None:
    node = lab.node("worker1")
    with pytest.raises(CommandTimedOut, match="still ran after 1 s") as caught:
        node.run("trap '' INT TERM; setsid sleep 4711 & sleep 4712", timeout=1, quiet=True)
    assert any("sleep 4711" in line for line in caught.value.evidence)
    assert any("sleep 4712" in line for line in caught.value.evidence)
    assert running(node, "sleep 471") == ""


@pytest.mark.core
def test_interrupt_stops_the_command_on_the_node_too(lab: Lab) -> None:
    node = lab.node("worker2")
    script = f"from labkit import Lab; Lab({lab.name!r}).node('worker2').run('echo begun; sleep 4713')"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_line(process, "begun")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert running(node, "sleep 4713") == ""


def test_several_nodes_run_at_once(lab: Lab) -> None:
    # Each waits for the other's file in the shared folder, which one after the other could not.
    meet = "until [ -e /lab/worker1 ] && [ -e /lab/worker2 ]; do sleep 0.01; done"
    script = f"touch /lab/$HOSTNAME; {meet}; hostname"
    results = run_on([lab.node("worker1"), lab.node("worker2")], script, timeout=20)
    assert [result.stdout for result in results] == ["worker1\n", "worker2\n"]


def test_a_node_that_dies_ends_its_command(lab: Lab) -> None:
    node = lab.node("worker1")

    def kill(*_: str) -> None:
        node.kill()

    [result] = run_on([node], "echo begun; sleep 4714", sink=kill, check=False, timeout=30)
    assert result.exit_code == 137
    with pytest.raises(LabNotRunning, match="worker1 does not run: its container is exited"):
        node.run("true")


@pytest.mark.core
def test_api_speaks_with_the_nodes_own_engine(swarm: Lab) -> None:
    manager = swarm.node("manager1")
    assert manager.api.info()["Name"] == "manager1"
    assert {entry["Description"]["Hostname"] for entry in manager.api.nodes()} == set(swarm.nodes)
    before = manager.api
    manager.kill()
    manager.start()
    swarm.wait(checks.nodes_ready(3))  # through the same client: a dropped tunnel is opened again
    assert manager.api is before


def test_exec_passes_streams_and_exit_code(lab: Lab) -> None:
    done = labkit(
        "exec", "--lab", lab.name, "manager1", "--", "sh", "-c", "cat; echo bad >&2; exit 7", stdin="in\n"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("in\n", "bad\n", 7)


def test_exec_takes_arguments_as_they_are(lab: Lab) -> None:
    done = labkit("--lab", lab.name, "exec", "worker1", "--", "printf", "%s|", "a b", "$HOME", "*", "-x")
    assert done.stdout == "a b|$HOME|*|-x|"


def test_exec_interrupted_stops_the_command_on_the_node(lab: Lab) -> None:
    process = spawn("exec", "--lab", lab.name, "worker1", "--", "sh", "-c", "echo begun; sleep 4715")
    wait_for_line(process, "begun")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert running(lab.node("worker1"), "sleep 4715") == ""


def open_shell(lab: Lab) -> tuple[int, "subprocess.Popen[bytes]"]:
    """A shell on worker1 in a terminal; returns the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [LABKIT, "shell", "--lab", lab.name, "worker1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return ours, process


def test_shell_is_a_real_terminal(lab: Lab) -> None:
    ours, process = open_shell(lab)
    os.write(ours, b"tty; stty size; hostname; exit 5\n")
    output = b""
    with contextlib.suppress(OSError):  # how Linux says that the terminal's other end has closed
        while select.select([ours], [], [], 30)[0]:
            output += os.read(ours, 65536)
    process.kill()
    assert process.wait() == 5
    assert b"/dev/pts/" in output
    assert b"\r\nworker1\r\n" in output


def test_shell_ends_with_its_terminal_on_the_node_too(lab: Lab) -> None:
    node = lab.node("worker1")
    ours, process = open_shell(lab)
    os.write(ours, b"sleep 4717\n")
    eventually(lambda: running(node, "sleep 4717"), "the command")
    os.close(ours)
    process.wait(timeout=20)
    assert running(node, "sleep 4717") == ""


def test_shell_without_a_terminal_names_the_other_way(lab: Lab) -> None:
    done = labkit("shell", "--lab", lab.name, "worker1")
    assert done.returncode == 1
    assert f"labkit exec worker1 --lab {lab.name} -- COMMAND" in done.stderr


def test_status_tells_every_node(swarm: Lab) -> None:
    report = json.loads(labkit("status", "--json", "--lab", swarm.name).stdout)
    assert report["lab"] == swarm.name
    assert report["running"] is True
    assert report["quorum"] is True
    assert [(node["name"], node["role"], node["status"]) for node in report["nodes"]] == [
        ("manager1", "manager", "ready"),
        ("worker1", "worker", "ready"),
        ("worker2", "worker", "ready"),
    ]
    words = labkit("status", "--lab", swarm.name).stdout
    assert "leader" in words and "MANAGER STATUS" in words


def test_logs_are_the_engines_own(lab: Lab) -> None:
    assert "API listen on" in labkit("logs", "--lab", lab.name, "manager1").stdout
    assert len(labkit("logs", "--lab", lab.name, "manager1", "-n", "2").stdout.splitlines()) == 2


@pytest.mark.usefixtures("lab")
def test_the_notebooks_magic_runs_streams_and_fails(magic: Callable[[str, str], str]) -> None:
    said = magic("worker1 worker2", "hostname; printf end")
    assert "worker1 │ worker1\n" in said and "worker2 │ end\n" in said
    assert "worker1 · exit 0 · " in said
    with pytest.raises(CommandFailed):
        magic("worker1", "false")
    with pytest.raises(CommandTimedOut):
        magic("--timeout 0.5 worker1", "sleep 4716")
