"""The command `labkit` without an engine: usage, help, exit codes, and how errors are told."""

import argparse
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from docker.errors import DockerException

import labkit
from labkit.cli import consent, lab_commands, main, parser, testing
from labkit.cli import status as lab_status
from labkit.cluster import provision
from labkit.cluster.cluster import Cluster
from labkit.engine import install
from labkit.engine.endpoints import Endpoint
from labkit.engine.selection import EngineContext
from labkit.util.errors import EngineUnsuitable, LabError

CONTRACT = {"up", "down", "status", "doctor", "start", "exec", "shell", "logs", "reset", "images"}


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves this process's signals as they were, and everybody's engine and state alone."""
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("LABKIT_COMMAND", "labkit")
    monkeypatch.delenv("LABKIT_LAB", raising=False)

    def no_engine(*_: object, **__: object) -> NoReturn:
        pytest.fail("asked for an engine")

    for name in ("client", "endpoint", "own_endpoint"):
        monkeypatch.setattr(EngineContext, name, no_engine)
    monkeypatch.setattr(install, "ensure", no_engine)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine without a lab."""
    monkeypatch.setattr(EngineContext, "client", lambda _: None)
    monkeypatch.setattr(EngineContext, "thread_client", lambda _: None)
    monkeypatch.setattr(EngineContext, "vms", lambda _: [])
    monkeypatch.setattr(provision, "node_entries", lambda *_: {})
    monkeypatch.setattr(provision, "service_entries", lambda *_: {})


def parsers() -> dict[str, argparse.ArgumentParser]:
    actions = parser.make()._actions
    return next(action.choices for action in actions if isinstance(action, argparse._SubParsersAction))


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `labkit status` raise."""

    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(lab_commands, "cluster_of", fail)


# -- usage and help -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["up", "--no-such-option"],
        ["up", "worker1"],
        ["exec"],
        ["exec", "manager1"],
        ["shell"],
        ["logs", "manager1", "-n", "many"],
        ["start", "--port", "http"],
        ["images", "paint"],
        ["images", "ls", "web:1"],
        ["bundle"],
        ["bundle", "save"],
        ["bundle", "save", "FILE", "--python", "three"],
        ["bundle", "load", "FILE", "--python", "3.12"],
        ["engine"],
        ["up", "--lab"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_and_says_so_on_stderr(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert "usage: labkit" in usage_error(capsys, *arguments)


def test_an_option_of_a_command_on_the_node_without_dashes_is_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "-la" in usage_error(capsys, "exec", "manager1", "ls", "-la")


def test_the_contracts_commands_are_there() -> None:
    assert parsers().keys() >= CONTRACT


# A process of its own, where nobody has imported anything yet.
HELP = """
import sys
from labkit.cli import main
try:
    main.main(sys.argv[1:])
except SystemExit as end:
    print("exit", end.code)
print("imported", *sys.modules)
"""


def test_help_lists_every_command_and_imports_next_to_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    *shown, exit_line, imported = done.stdout.splitlines()
    assert exit_line == "exit 0"
    first_words = {line.split()[0] for line in shown if line.strip()}
    assert first_words >= parsers().keys() | {"--lab", "--version"}
    heavy = {"docker", "testcontainers", "requests", "IPython", "jupyterlab", "yaml", "labkit.lab"}
    assert not heavy & set(imported.split())
    assert "labkit.cli" in imported.split()


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for name, command in parsers().items():
        assert command.description
        with pytest.raises(SystemExit) as caught:
            main.main([name, "--help"])
        assert caught.value.code == 0
        assert command.description in " ".join(capsys.readouterr().out.split())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"labkit {labkit.__version__}\n"


# -- arguments ------------------------------------------------------------------------------------------


def parsed(*arguments: str) -> argparse.Namespace:
    return parser.parse(list(arguments))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["status"], "swarm-lab"),
        (["--lab", "a", "status"], "a"),
        (["status", "--lab", "a"], "a"),
        (["--lab", "a", "status", "--lab", "b"], "b"),
        (["--lab=a", "exec", "manager1", "--", "true"], "a"),
        (["exec", "--lab=a", "manager1", "--", "true"], "a"),
    ],
    ids=" ".join,
)
def test_the_lab_is_named_before_or_after_the_command(arguments: list[str], name: str) -> None:
    assert lab_commands.cluster_of(parsed(*arguments)).name == name


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LAB", "class-7")
    assert lab_commands.cluster_of(parsed("status")).name == "class-7"
    assert lab_commands.cluster_of(parsed("status", "--lab", "mine")).name == "mine"


def test_the_engine_is_named_for_one_command_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_ENGINE", "vm")
    before = dict(os.environ)
    named = lab_commands.cluster_of(parsed("status", "--lab", "a", "--engine", "docker"))
    assert (named.context.kind, named.context.lab) == ("docker", "a")
    assert lab_commands.cluster_of(parsed("status")).context.kind == "vm"
    assert dict(os.environ) == before


def test_what_follows_the_dashes_goes_to_the_node() -> None:
    command = ["docker", "node", "ls", "--format", "{{.ID}}", "--lab", "x"]
    options = parsed("exec", "manager1", "--", *command)
    assert (options.node, options.command, options.lab) == ("manager1", command, None)


def test_dashes_of_the_nodes_own_command_reach_it() -> None:
    command = ["sh", "-c", 'echo "$@"', "--", "x"]
    assert parsed("exec", "manager1", "--", *command).command == command


def test_arguments_of_the_tests_go_to_pytest() -> None:
    assert parsed("test", "tests/unit", "-k", "lock", "-x").pytest == ["tests/unit", "-k", "lock", "-x"]


def test_options_alone_go_to_pytest_too() -> None:
    assert parsed("test", "-k", "lock").pytest == ["-k", "lock"]


# -- errors and exit codes ------------------------------------------------------------------------------


def test_an_error_is_told_in_three_parts_on_stderr_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, LabError("it broke", evidence=["as seen"], next_step="mend it"))
    assert main.main(["status"]) == 1
    assert capsys.readouterr() == ("", "LabError: it broke\n  as seen\nTry: mend it\n")


def test_an_error_of_the_engine_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, DockerException("no space left"))
    assert main.main(["status"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("LabError: the Docker engine refused: no space left\nTry: labkit doctor")


def test_an_engine_that_is_gone_with_its_virtual_machine_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine: Any = SimpleNamespace(
        home=SimpleNamespace(present=True, running=False),
        trouble=lambda: EngineUnsuitable("the virtual machine has stopped"),
    )

    def refuse(lab: Cluster) -> NoReturn:
        lab.context._endpoint = Endpoint("tcp://127.0.0.1:1", "virtual machine", vm=True)
        raise ConnectionError

    monkeypatch.setattr(EngineContext, "vms", lambda _: [machine])
    monkeypatch.setattr(lab_status, "report", refuse)
    assert main.main(["status"]) == 1
    assert capsys.readouterr() == ("", "EngineUnsuitable: the virtual machine has stopped\n")


def test_a_mistake_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main.main(["status"])


def test_an_interrupt_exits_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main.main(["status"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_sigterm_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(lab_commands, "cluster_of", terminate)
    assert main.main(["status"]) == 130


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    "arguments", [["exec", "manager1", "--", "true"], ["shell", "manager1"], ["logs", "manager1"]]
)
def test_what_needs_a_lab_fails_without_one(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main.main([*arguments[:1], "--lab", "class-7", *arguments[1:]]) == 1
    assert capsys.readouterr() == (
        "",
        "LabNotRunning: lab 'class-7' is not running\nTry: labkit up --lab class-7\n",
    )


@pytest.mark.usefixtures("nothing_runs")
def test_removing_a_lab_that_is_not_there_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provision, "remove", lambda *_: [])
    assert main.main(["down"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.usefixtures("nothing_runs")
def test_a_lab_name_that_is_none_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provision, "remove", lambda *_: [])
    assert main.main(["down", "--lab", "a/b"]) == 1
    assert "a/b" in capsys.readouterr().err


def test_a_node_that_exits_decides_the_exit_code_of_exec(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.cli import terminal

    seen: list[Any] = []

    def attach(node: str, command: list[str]) -> int:
        seen.append((node, command))
        return 7

    monkeypatch.setattr(Cluster, "node", lambda _, name: name)
    monkeypatch.setattr(terminal, "attach_streams", attach)
    assert main.main(["exec", "worker1", "--", "sh", "-c", "exit 7"]) == 7
    assert seen == [("worker1", ["sh", "-c", "exit 7"])]


def test_logs_print_the_lines_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "logs", lambda _, name, lines: f"{lines} lines of {name}\n")
    assert main.main(["logs", "worker1", "-n", "5"]) == 0
    assert main.main(["logs", "worker1"]) == 0
    assert capsys.readouterr().out == "5 lines of worker1\nNone lines of worker1\n"


def test_the_exit_code_of_the_tests_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:

    def run(context: EngineContext, arguments: list[str], full_kernel: bool, slow: bool) -> int:
        assert context.lab == "swarm-lab"
        return len(arguments) + 10 * full_kernel + 100 * slow

    monkeypatch.setattr(install, "ensure", lambda *_: None)
    monkeypatch.setattr(testing, "run", run)
    assert main.main(["test", "tests/unit", "-x", "-q"]) == 3
    assert main.main(["test", "--full-kernel", "-x"]) == 11
    assert main.main(["test", "--all"]) == 100


@pytest.mark.parametrize(
    ("answer", "yes"), [("", True), ("y", True), (" YES ", True), ("n", False), ("what?", False)]
)
def test_a_question_takes_return_for_a_yes(monkeypatch: pytest.MonkeyPatch, answer: str, yes: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
    assert consent._ask("Install it?") is yes
