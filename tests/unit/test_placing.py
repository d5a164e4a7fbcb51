"""Which nodes can take one more task of a service."""

from dataclasses import replace

import pytest

from labkit.swarm import placing
from labkit.swarm.model import Node, Port, Service, Snapshot, Task

EVERYWHERE = ["manager1", "worker1", "worker2"]
GIB = 2**30
HOST = (Port(9100, 80, "tcp", "host"),)
WEB = Service("w", "web", "web:1", 1)


def node(name: str, **fields: object) -> Node:
    found = Node(name, name, "worker", "active", "ready", "", "", {}, cpus=2, memory=4 * GIB)
    return replace(found, **fields)  # type: ignore[arg-type]


def swarm(service: Service, *tasks: tuple[str, str], worker2: Node | None = None) -> Snapshot:
    """Three nodes with a service, another one, `db`, and running tasks as (service, node)."""
    db = Service("d", "db", "db:1", 1, ports=HOST, memory=3 * GIB)
    return Snapshot(
        engines={},
        nodes=(
            node("manager1", role="manager"),
            node("worker1", labels={"disk": "ssd"}),
            worker2 or node("worker2"),
        ),
        services=(service, db),
        tasks=tuple(
            Task(f"t{number}", name, number, on, "running", "running", "")
            for number, (name, on) in enumerate(tasks, 1)
        ),
        quorum=True,
    )


def test_a_service_that_asks_for_nothing_fits_everywhere() -> None:
    assert placing.fitting(swarm(WEB), WEB) == EVERYWHERE


@pytest.mark.parametrize("fields", [{"status": "down"}, {"availability": "drain"}, {"availability": "pause"}])
def test_a_node_that_is_away_or_closed_fits_nothing(fields: dict[str, str]) -> None:
    assert placing.fitting(swarm(WEB, worker2=node("worker2", **fields)), WEB) == ["manager1", "worker1"]


@pytest.mark.parametrize(
    ("constraint", "nodes"),
    [
        ("node.hostname==worker2", ["worker2"]),
        ("node.hostname != worker2", ["manager1", "worker1"]),
        ("node.labels.disk==ssd", ["worker1"]),
        ("node.labels.disk!=ssd", ["manager1", "worker2"]),
        ("node.role==manager", ["manager1"]),
        ("node.platform.os==linux", []),  # a snapshot doesn't tell
    ],
)
def test_constraints_are_met(constraint: str, nodes: list[str]) -> None:
    service = replace(WEB, constraints=(constraint,))
    assert placing.fitting(swarm(service), service) == nodes


def test_what_tasks_have_reserved_is_not_free() -> None:
    service = replace(WEB, memory=2 * GIB)
    assert placing.fitting(swarm(service, ("db", "worker1")), service) == ["manager1", "worker2"]
    small = replace(WEB, memory=GIB)
    assert placing.fitting(swarm(small, ("db", "worker1")), small) == EVERYWHERE
    assert placing.fitting(swarm(replace(WEB, cpus=3)), replace(WEB, cpus=3)) == []


def test_a_port_in_host_mode_is_free_once_on_a_node() -> None:
    service = replace(WEB, ports=HOST)
    assert placing.fitting(swarm(service, ("db", "worker1")), service) == ["manager1", "worker2"]
    other = replace(WEB, ports=(Port(9100, 80, "udp", "host"),))
    assert placing.fitting(swarm(other, ("db", "worker1")), other) == EVERYWHERE


def test_a_node_takes_no_more_tasks_of_a_service_than_it_may() -> None:
    service = replace(WEB, replicas=4, max_per_node=1)
    assert placing.fitting(swarm(service, ("web", "worker1"), ("web", "worker2")), service) == ["manager1"]
