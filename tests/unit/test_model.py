"""What the engines of a real swarm answered, parsed."""

import pytest

from labkit.swarm.model import Engine, Node, Service, Snapshot, Task
from labkit.swarm.parse import parse_engine, parse_snapshot, seconds
from tests.recorded import answers, recorded

WORKER1 = Node(
    id="ygu1t1g5nw3px862x9fpwvv6c",
    name="worker1",
    role="worker",
    availability="active",
    status="ready",
    manager_status="",
    address="172.30.77.21",
    labels={},
    cpus=2.0,
    memory=25276510208,
    docker="26.1.5",
)


def tasks_of(snapshot: Snapshot, service: str) -> list[Task]:
    return [task for task in snapshot.tasks if task.service == service]


def test_three_nodes_without_a_service() -> None:
    snapshot = recorded("three-nodes")
    assert snapshot.engines == {
        "manager1": Engine("manager1", "running", "active", manager=True),
        "worker1": Engine("worker1", "running", "active"),
        "worker2": Engine("worker2", "running", "active"),
    }
    assert [node.name for node in snapshot.nodes] == ["manager1", "worker1", "worker2"]
    assert snapshot.node("worker1") == WORKER1
    assert (snapshot.services, snapshot.tasks, snapshot.quorum) == ((), (), True)


def test_a_manager_has_its_role_and_its_status() -> None:
    manager = recorded("three-nodes").node("manager1")
    assert manager
    assert (manager.role, manager.manager_status) == ("manager", "leader")


def test_services_have_names_images_and_replicas() -> None:
    services = {service.name: service for service in recorded("services").services}
    assert services.keys() == {"web", "everywhere", "pending"}
    assert services["web"] == Service(
        id="hfx9xyqj485sud9wjswyprnhp",
        name="web",
        image="base:1",
        replicas=4,
        created=seconds("2026-11-23T05:40:53.603566218Z"),
        changed=seconds("2026-11-23T05:40:53.603566218Z"),
    )
    assert services["everywhere"].replicas is None


def test_an_images_digest_is_left_out() -> None:
    data = answers("services")
    data["services"][0]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "nginx:1.27@sha256:0123"
    assert "nginx:1.27" in [
        service.image for service in parse_snapshot([], [], data["services"], []).services
    ]


def test_tasks_name_their_service_slot_and_node() -> None:
    snapshot = recorded("services")
    placed = {(task.slot, task.node, task.state) for task in tasks_of(snapshot, "web")}
    assert placed == {
        (1, "worker1", "running"),
        (2, "worker2", "running"),
        (3, "manager1", "running"),
        (4, "worker1", "running"),
    }
    everywhere = tasks_of(snapshot, "everywhere")
    assert {task.node for task in everywhere} == {"manager1", "worker1", "worker2"}
    assert {task.slot for task in everywhere} == {0}


def test_a_task_names_its_networks_without_the_routing_mesh() -> None:
    data = answers("services")
    data["tasks"][0]["NetworksAttachments"] = [
        {"Network": {"ID": "1", "Spec": {"Name": "ingress", "Ingress": True}}, "Addresses": ["10.0.0.7/24"]},
        {"Network": {"ID": "2", "Spec": {"Name": "inner"}}, "Addresses": ["10.0.1.7/24"]},
    ]
    first, *others = parse_snapshot([], [], data["services"], data["tasks"]).tasks
    assert first.networks == ("inner",)
    assert {task.networks for task in others} == {()}


def test_a_task_without_a_node_says_why() -> None:
    (task,) = tasks_of(recorded("services"), "pending")
    assert (task.node, task.state, task.desired_state) == ("", "pending", "running")
    assert task.message == "no suitable node (scheduling constraints not satisfied on 3 nodes)"


def test_a_task_without_an_error_keeps_its_message() -> None:
    assert {task.message for task in tasks_of(recorded("services"), "web")} == {"started"}


def test_tasks_of_a_removed_service_keep_its_id() -> None:
    data = answers("services")
    orphan = parse_snapshot([], [], [], data["tasks"]).tasks[0]
    assert orphan.service == data["tasks"][0]["ServiceID"]
    assert orphan.node == data["tasks"][0]["NodeID"]


def test_a_drained_node_has_only_tasks_that_are_shut_down() -> None:
    snapshot = recorded("drained")
    drained = snapshot.node("worker1")
    assert drained
    assert (drained.availability, drained.status) == ("drain", "ready")
    states = {(task.state, task.desired_state) for task in snapshot.tasks if task.node == "worker1"}
    assert states == {("shutdown", "shutdown")}
    assert snapshot.node("worker2").labels == {"zone": "a"}  # type: ignore[union-attr]


def test_a_manager_that_stopped_is_down_and_unreachable() -> None:
    snapshot = recorded("manager-unreachable")
    assert snapshot.engines["worker2"] == Engine("worker2", "exited", swarm="unknown")
    assert {node.name: (node.role, node.status, node.manager_status) for node in snapshot.nodes} == {
        "manager1": ("manager", "ready", "leader"),
        "worker1": ("manager", "ready", "reachable"),
        "worker2": ("manager", "down", "unreachable"),
    }
    assert snapshot.quorum is True


def test_without_a_quorum_only_the_engines_are_known() -> None:
    snapshot = recorded("quorum-lost")
    manager = snapshot.engines["manager1"]
    assert (manager.swarm, manager.manager) == ("active", True)
    assert [snapshot.engines[name].container for name in ("worker1", "worker2")] == ["exited", "exited"]
    assert (snapshot.nodes, snapshot.services, snapshot.tasks) == ((), (), ())


@pytest.mark.parametrize(
    ("said", "state", "manager"),
    [
        (None, "unknown", False),
        ("inactive", "inactive", False),
        ("active/worker", "active", False),
        ("active/manager", "active", True),
        ("locked", "locked", False),
    ],
)
def test_an_engine_tells_its_part_in_the_swarm(said: str | None, state: str, manager: bool) -> None:
    assert parse_engine("worker1", "running", said) == Engine("worker1", "running", state, manager)


def test_a_node_that_rejoined_is_the_entry_that_is_not_down() -> None:
    data = answers("three-nodes")
    again = next(entry for entry in data["nodes"] if entry["ID"] == WORKER1.id)
    left = {**again, "ID": "left", "Status": {"State": "down"}}
    for entries in ([left, again], [again, left]):
        assert parse_snapshot([], entries, [], []).node("worker1") == WORKER1
    only = parse_snapshot([], [left], [], []).node("worker1")
    assert only
    assert only.status == "down"


def test_an_unknown_node_is_none() -> None:
    assert recorded("three-nodes").node("worker9") is None
