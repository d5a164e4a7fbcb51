"""The record of a learner's last commands: bounded, without secrets, and only in a workshop."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster.cluster import Cluster
from labkit.course import command_log
from labkit.jupyter import magics
from labkit.transport.commands import Result
from labkit.util.errors import CommandInterrupted, CommandTimedOut
from labkit.widgets import panel
from labkit.widgets.command import Command


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LABKIT_CLASS_URL", "http://class.test/services/class")
    monkeypatch.delenv("LABKIT_CLASS_ROLE", raising=False)
    return tmp_path


def recorded() -> list[tuple[str, str, int | None]]:
    return [(entry["node"], entry["command"], entry["code"]) for entry in command_log.commands()]


def test_commands_are_recorded_in_their_order() -> None:
    log = command_log.of(Cluster("class-7"))
    log.add("manager1", "docker node ls\n", 0, "ID")
    log.add_stopped(["worker1", "worker2"], "sleep 99")
    assert recorded() == [
        ("manager1", "docker node ls", 0),
        ("worker1", "sleep 99", None),
        ("worker2", "sleep 99", None),
    ]
    assert [entry["output"] for entry in command_log.commands()] == ["", "", ""]
    assert [entry["node"] for entry in command_log.commands(after=1, limit=1)] == ["worker2"]


def test_outside_a_workshop_nothing_is_recorded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_CLASS_URL")
    command_log.of(Cluster("class-7")).add("manager1", "docker node ls", 0)
    assert recorded() == []
    assert list(data.iterdir()) == []


def test_an_instructors_outputs_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_CLASS_ROLE", "instructor")
    log = command_log.of(Cluster("class-7"))
    log.add("manager1", "seq 1000000", 0, "SWMTKN-1-abc-def\n" + "x" * 30_000 + "end")
    (entry,) = command_log.commands()
    assert entry["output"].endswith("xend")
    assert entry["output"].startswith("… 10")
    assert len(entry["output"]) < command_log.OUTPUT_CHARACTERS + 100


def test_the_file_stays_small_and_no_row_is_numbered_twice() -> None:
    log = command_log.of(Cluster("class-7"))
    for number in range(command_log.KEPT + 20):
        log.add("manager1", f"echo {number} " + "x" * 10_000, 0)
    entries = command_log.commands(limit=10 * command_log.KEPT)
    assert len(entries) == command_log.KEPT
    assert entries[-1]["id"] == command_log.KEPT + 20
    assert command_log.file().stat().st_size < 2 * command_log.KEPT * command_log.COMMAND_CHARACTERS


def test_a_disk_that_is_full_disturbs_no_learner(data: Path) -> None:
    (data / "commands.sqlite").write_text("this is no database, and it is long enough to be read as one" * 20)
    command_log.of(Cluster("class-7")).add("manager1", "docker node ls", 0)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("docker login -u anna -p hunter2 registry", "docker login -u anna -p … registry"),
        ("docker login --password=hunter2", "docker login --password=…"),
        ("docker login --password-stdin < file", "docker login --password-stdin < file"),
        ("docker service create -e DB_PASSWORD=hunter2 db", "docker service create -e DB_PASSWORD=… db"),
        ("-e 'TOKEN=a' -e A_SECRET_FILE=/run/db", "-e 'TOKEN=…' -e A_SECRET_FILE=/run/db"),
        ("PASSWORD=$(cat file) run", "PASSWORD=$(cat file) run"),
        ("printf hunter2 | docker secret create db -", "printf … | docker secret create db -"),
        ("docker secret create db - <<< hunter2", "docker secret create db - <<< …"),
        (
            "docker secret create db - <<EOF\nhunter2\nEOF\ndocker secret ls",
            "docker secret create db - <<EOF\n…\nEOF\ndocker secret ls",
        ),
        ("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: Bearer …'"),
        (
            "docker swarm join --token SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8-1aw 10.0.0.2:2377",
            "docker swarm join --token … 10.0.0.2:2377",
        ),
        ("docker secret create db - <file; echo a | cat", "docker secret create db - <file; echo a | cat"),
        ("docker service scale web=3", "docker service scale web=3"),
    ],
)  # fmt: skip
def test_secrets_are_left_out(typed: str, shown: str) -> None:
    command_log.of(Cluster("class-7")).add("manager1", typed, 0)
    assert recorded() == [("manager1", shown, 0)]


# -- who records ----------------------------------------------------------------------------------------


class _Lab(Cluster):
    """A cluster whose nodes are their names."""

    @property
    def nodes(self) -> Any:
        return {name: self.node(name) for name in ("manager1", "worker1")}

    def node(self, name: str) -> Any:
        return SimpleNamespace(name=name, logs=lambda _lines: "")  # logs: what is reported of a failed test


class _Magics(magics.OnMagics):
    def __init__(self) -> None:
        pass


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = _Lab("class-7")
    monkeypatch.setattr(magics, "notebook_lab", lambda: found)
    return found


def ran(code: int = 0) -> Any:
    def run_on(nodes: list[Any], command: str, **_: object) -> list[Result]:
        return [Result(node.name, command, code, "out\n", "", 0.1) for node in nodes]

    return run_on


def failing(error: BaseException) -> Any:
    def run_on(*_: object, **__: object) -> list[Result]:
        raise error

    return run_on


@pytest.mark.usefixtures("lab")
def test_a_cell_is_recorded_on_each_of_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magics, "run_on", ran())
    _Magics().on("manager1 worker1", "hostname\n")
    assert recorded() == [("manager1", "hostname", 0), ("worker1", "hostname", 0)]


@pytest.mark.usefixtures("lab")
def test_a_cell_that_fails_or_is_stopped_is_recorded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magics, "run_on", ran(3))
    with pytest.raises(Exception, match="exited 3"):
        _Magics().on("manager1", "exit 3")
    for error in (KeyboardInterrupt(), CommandTimedOut("too long")):
        monkeypatch.setattr(magics, "run_on", failing(error))
        monkeypatch.setattr(magics, "_seen", lambda *_: [])
        with pytest.raises((CommandInterrupted, CommandTimedOut)):
            _Magics().on("manager1", "sleep 99")
    assert recorded() == [("manager1", "exit 3", 3), *[("manager1", "sleep 99", None)] * 2]


def test_a_widgets_command_is_recorded(lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "run_on", ran())
    shown = Command(lab, "docker node ls")
    shown.run()
    monkeypatch.setattr(panel, "run_on", failing(CommandInterrupted("stopped")))
    with pytest.raises(CommandInterrupted):
        shown.run("sleep 99")
    assert recorded() == [("manager1", "docker node ls", 0), ("manager1", "sleep 99", None)]
