"""The concept drawings: readable in both themes, described in full, and true to a given snapshot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.plots import (
    DARK,
    LIGHT,
    Picture,
    backup_restore,
    mesh_path,
    raft_log,
    secret_path,
    task_states,
    vxlan_packet,
)
from labkit.plots.theme import Theme
from labkit.util.errors import LabError
from tests.pictures import faults, looks_as_before, texts
from tests.recorded import EMPTY, NO_SWARM, RECORDINGS, enlarged, recorded

DRAWINGS: dict[str, Callable[[Theme], Picture]] = {
    "task-states": lambda theme: task_states(theme=theme),
    "task-states-now": lambda theme: task_states(recorded("pending-and-failed"), theme=theme),
    "mesh-path": lambda theme: mesh_path(theme=theme),
    "mesh-path-now": lambda theme: mesh_path(recorded("overlays"), entry="worker1", theme=theme),
    "vxlan-packet": lambda theme: vxlan_packet(theme=theme),
    "vxlan-packet-plain": lambda theme: vxlan_packet(False, theme=theme),
    "vxlan-packet-encrypted": lambda theme: vxlan_packet(True, theme=theme),
    "raft-log": lambda theme: raft_log(theme=theme),
    "raft-log-now": lambda theme: raft_log(recorded("manager-unreachable"), theme=theme),
    "secret-path": lambda theme: secret_path(theme=theme),
    "backup-restore": lambda theme: backup_restore(theme=theme),
}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", DRAWINGS)
def test_it_looks_as_before(name: str, theme: Theme, tmp_path: Path) -> None:
    looks_as_before(DRAWINGS[name](theme), f"concept-{name}-{theme.name}", tmp_path)


@pytest.mark.parametrize("name", DRAWINGS)
def test_it_has_no_faults_and_no_word_is_cut(name: str) -> None:
    picture = DRAWINGS[name](LIGHT)
    assert faults(picture) == []
    assert [words for words in texts(picture) if words.endswith("…")] == []


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_description_says_all_that_is_drawn(name: str) -> None:
    """Every word of the picture is in the description, up to marks and the numbers of the raft's entries."""
    picture = DRAWINGS[name](LIGHT)
    told = set(_words(picture.description))
    drawn = {word for line in texts(picture) for word in _words(line)}
    assert drawn - told <= _FURNITURE


# Heads of groups and labels of the drawing, whose content the sentences tell in other words.
_FURNITURE = {"★", "✗", "✓", "stored", "only", "missing", "1", "2", "3", "4"}


def _words(text: str) -> list[str]:
    return [found for word in text.lower().split() if (found := word.strip(".,:;()"))]


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_swarm_is_drawn_without_faults(name: str) -> None:
    assert faults(task_states(recorded(name))) == []
    assert faults(raft_log(recorded(name))) == []


@pytest.mark.parametrize("snapshot", [EMPTY, NO_SWARM, enlarged(10, 300)])
def test_swarms_of_all_sizes_are_drawn_without_faults(snapshot: object) -> None:
    assert faults(task_states(snapshot)) == []  # type: ignore[arg-type]
    assert faults(raft_log(snapshot)) == []  # type: ignore[arg-type]


def test_task_states_count_the_tasks_of_one_service() -> None:
    snapshot = recorded("services")
    name = snapshot.services[0].name
    mine = [task for task in snapshot.tasks if task.service == name and task.state == "running"]
    assert f"{len(mine)} now" in texts(task_states(snapshot, name))
    assert "There are no tasks of nothing now." in task_states(snapshot, "nothing").description


def test_the_mesh_path_has_the_real_port_and_the_real_tasks() -> None:
    snapshot = recorded("overlays")
    service = next(each for each in snapshot.services if any(port.mode == "ingress" for port in each.ports))
    picture = mesh_path(snapshot, service.name)
    words = texts(picture)
    for task in snapshot.running(service.name):
        assert task.name in words
    published = next(port.published for port in service.ports if port.mode == "ingress")
    assert f"port {published}" in picture.headline


def test_the_mesh_path_of_a_service_without_a_mesh_port_says_what_to_do() -> None:
    with pytest.raises(LabError, match="no service 'nothing'"):
        mesh_path(recorded("overlays"), "nothing")


def test_the_raft_log_tells_who_is_away() -> None:
    description = raft_log(recorded("manager-unreachable")).description
    assert "Now: manager1 (leader), worker1 (follower), worker2 (unreachable)." in description
    assert "2 of 3 can store a new entry; 2 managers must." in description
