"""What keeps Docker commands from ending, as a recorded swarm shows it."""

from dataclasses import replace

import pytest

from labkit.swarm import stalled
from labkit.swarm.model import Snapshot
from tests.recorded import recorded


def with_away(container: str = "running", status: str = "ready") -> Snapshot:
    """The recorded services, with worker1 in this state."""
    snapshot = recorded("services")
    engines = {**snapshot.engines, "worker1": replace(snapshot.engines["worker1"], container=container)}
    nodes = tuple(replace(node, status=status) if node.name == "worker1" else node for node in snapshot.nodes)
    return replace(snapshot, engines=engines, nodes=nodes)


@pytest.mark.parametrize(
    ("container", "status", "words"),
    [
        ("paused", "ready", "worker1 (paused), which doesn't answer"),
        ("exited", "down", "worker1 (exited), which doesn't answer"),
        ("running", "down", "worker1 (down), which doesn't answer"),
    ],
)
def test_logs_wait_for_a_node_that_is_away(container: str, status: str, words: str) -> None:
    first, *_ = stalled.reasons("docker service logs --tail 1 web", with_away(container, status))
    assert first == f"docker service logs waits for {words}."


def test_the_recorded_logs_that_hang_wait_for_the_paused_node() -> None:
    assert stalled.reasons("docker service logs --tail 1 lw", recorded("logs-hang")) == [
        "docker service logs waits for worker1 (paused), which doesn't answer.",
        "  what the other nodes had is printed; timeout 10 docker service logs … ends by itself",
        "  docker service ps SERVICE lists the tasks; docker service logs TASK asks one node only",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "docker service logs web",
        "docker service logs web --tail 1 --raw | sort",
        "echo first; docker service logs 'web' 2>&1",
        "docker service logs \\\n  --tail 1 web",
        "docker service logs hfx9xyqj485s",  # the service's ID
        "until docker service logs --raw web 2>&1 | grep -m 1 FATAL; do :; done",
    ],
)
def test_however_the_service_is_named_it_is_found(command: str) -> None:
    assert stalled.reasons(command, with_away("paused"))


def test_the_logs_of_one_task_come_from_its_node_alone() -> None:
    snapshot = with_away("paused")
    tasks = [task for task in snapshot.tasks if task.service == "web"]
    for task in tasks:
        assert bool(stalled.reasons(f"docker service logs {task.id}", snapshot)) == (task.node == "worker1")
    assert {task.node for task in tasks} > {"worker1"}


@pytest.mark.parametrize(
    "command",
    [
        "docker logs web",
        "docker service ps web",
        "docker service logs other",
        "docker service logs pending",
        "",
    ],
)
def test_what_waits_for_no_node_gets_no_reason(command: str) -> None:
    assert stalled.reasons(command, with_away("paused")) == []


def test_logs_of_a_swarm_whose_nodes_all_answer_get_no_reason() -> None:
    assert stalled.reasons("docker service logs web", recorded("services")) == []


@pytest.mark.parametrize(
    "command",
    [
        "docker service create --name pending --constraint node.labels.disk==ssd base:1",
        "docker service create --name=pending base:1",
        "docker service update --force pending",
        "docker service scale pending=2",
    ],
)
def test_what_waits_for_tasks_is_told_why_they_wait(command: str) -> None:
    first, *_ = stalled.reasons(command, recorded("services"))
    assert first == "pending.1 waits for a node: no node meets its constraints."


def test_only_logs_are_said_to_wait_while_they_do() -> None:
    away = with_away("paused")
    assert stalled.silent_nodes("docker service logs web", away) == stalled.reasons(
        "docker service logs web", away
    )
    assert (
        stalled.silent_nodes("docker service update --quiet --image web:2 pending", recorded("services"))
        == []
    )
    assert stalled.reasons("docker service update --quiet --image web:2 pending", recorded("services"))
