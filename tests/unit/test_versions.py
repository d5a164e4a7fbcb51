"""Which engine each node gets, and who refuses what, without an engine."""

from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import rejoin, upgrade, versions
from labkit.cluster.node import Node
from labkit.engine import vm_lifecycle
from labkit.engine.selection import EngineContext
from labkit.images.engines import DOCKER_LABEL
from labkit.topology import topology
from labkit.topology.topology import LAB_LABEL, NODE_LABEL, Topology
from labkit.util.errors import LabError

LAB = "some-lab"


def engine(**nodes: str | None) -> Any:
    """An outer engine with these nodes, of these versions; None for one from before there was a choice."""
    entries = [
        {
            "Labels": {LAB_LABEL: LAB, NODE_LABEL: name, **({DOCKER_LABEL: version} if version else {})},
            "Id": name,
        }
        for name, version in nodes.items()
    ]
    return SimpleNamespace(api=SimpleNamespace(containers=lambda **_: entries))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The images that the nodes get, by their names."""
    monkeypatch.setattr(vm_lifecycle, "require_images", lambda *_: None)
    monkeypatch.setattr(EngineContext, "endpoint", lambda _: SimpleNamespace(vm=False))

    def settle(client: Any, wanted: versions.Wanted = None, file: Topology | None = None) -> dict[str, str]:
        found = versions.settle(EngineContext(LAB), client, file or topology.load(env={}), wanted)
        return {node.name: node.image.rpartition(":")[2] for node in found.nodes}

    return settle


def test_a_new_lab_has_what_the_file_says(settled: Any) -> None:
    assert settled(engine()) == {"manager1": "26.1", "worker1": "26.1", "worker2": "26.1"}
    file = topology.load(env={"LABKIT_DOCKER": "20.10"})
    assert set(settled(engine(), file=file).values()) == {"20.10"}


def test_a_choice_counts_more_than_the_file(settled: Any) -> None:
    assert settled(engine(), {"*": "28.5", "worker2": "20.10"}) == {
        "manager1": "28.5",
        "worker1": "28.5",
        "worker2": "20.10",
    }


def test_nodes_keep_their_engines(settled: Any) -> None:
    present = engine(manager1="28.5", worker1="20.10", worker2=None)
    kept = {"manager1": "28.5", "worker1": "20.10", "worker2": "26.1"}
    assert settled(present) == settled(present, {"worker1": "20.10"}) == kept


def test_a_missing_node_gets_what_all_others_run(settled: Any) -> None:
    assert settled(engine(manager1="28.5", worker1="28.5"))["worker2"] == "28.5"
    assert settled(engine(manager1="28.5", worker1="20.10"))["worker2"] == "26.1"
    assert settled(engine(manager1="28.5", worker1="28.5"), {"worker2": "20.10"})["worker2"] == "20.10"


def test_a_node_of_another_swarm_lab_is_no_obstacle(settled: Any) -> None:
    assert settled(engine(manager1="19.03", worker1="19.03"))["manager1"] == "26.1"


def test_up_does_not_change_a_node_that_exists(settled: Any) -> None:
    with pytest.raises(LabError, match=r"worker1 exists and runs Docker 26\.1, not 28\.5") as refused:
        settled(engine(worker1="26.1"), "28.5")
    assert "upgrade worker1 --docker 28.5" in refused.value.next_step


def test_a_virtual_machine_has_no_other_engine(settled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineContext, "endpoint", lambda _: SimpleNamespace(vm=True))
    monkeypatch.setattr("labkit.images.builder.installed_tag", lambda *_: None)
    assert settled(engine(), "26.1")["worker1"] == "26.1"
    with pytest.raises(LabError, match=r"nodes in a virtual machine run Docker 26\.1"):
        settled(engine(), {"worker1": "28.5"})


@pytest.mark.parametrize("version", ["26.1", "20.10"])
def test_an_upgrade_to_something_older_is_refused(version: str) -> None:
    with pytest.raises(LabError, match="can't go back") as refused:
        upgrade._refuse_older(EngineContext(LAB), "worker1", "28.5", version)
    assert f"upgrade worker1 --docker {version} --fresh --lab {LAB}" in refused.value.next_step


@pytest.mark.parametrize(("present", "version"), [("26.1", "28.5"), ("28.5", "28.5"), ("19.03", "26.1")])
def test_an_upgrade_to_something_newer_is_not(present: str, version: str) -> None:
    upgrade._refuse_older(EngineContext(LAB), "worker1", present, version)


def test_a_node_that_left_the_topology_file_is_not_made_again() -> None:
    file = topology.load(env={"LABKIT_LAB": LAB})
    present = engine(manager1="28.5", worker9="28.5", worker1="19.03")
    assert versions.known(present, file) == {"manager1": "28.5"}


# -- rejoining ------------------------------------------------------------------------------------------


def member(name: str, role: str, created: int = 1, reachability: str = "reachable") -> dict[str, Any]:
    return {
        "ID": f"{name}-{created}",
        "CreatedAt": f"2026-11-26T10:00:0{created}Z",
        "Description": {"Hostname": name},
        "Spec": {"Role": role, "Availability": "drain", "Labels": {"disk": "ssd"}},
        "ManagerStatus": {"Reachability": reachability} if role == "manager" else None,
    }


def lab_with(*members: dict[str, Any]) -> Any:
    """Nodes whose managers give this list; the others refuse."""
    managers = {entry["Description"]["Hostname"] for entry in members if entry["ManagerStatus"]}

    def node(name: str) -> Any:
        def ask(path: str) -> Any:
            if path == "/_ping":
                return [SimpleNamespace(status=200, swarm="active/manager")]
            return [SimpleNamespace(status=200 if name in managers else 503, body=list(members))]

        return SimpleNamespace(name=name, ask=ask)

    return {entry["Description"]["Hostname"]: node(entry["Description"]["Hostname"]) for entry in members}


def membership(name: str, nodes: dict[str, Node]) -> rejoin.Membership | None:
    return rejoin.membership(EngineContext(LAB), nodes, name)


def test_a_node_rejoins_in_the_role_that_it_had() -> None:
    nodes = lab_with(member("m1", "manager"), member("w1", "worker"))
    assert membership("w1", nodes) == rejoin.Membership("worker", "drain", {"disk": "ssd"})
    managers = lab_with(*(member(name, "manager") for name in ("m1", "m2", "m3")))
    assert membership("m2", managers) == rejoin.Membership("manager", "drain", {"disk": "ssd"})


def test_after_an_interruption_the_first_entry_counts() -> None:
    rejoined = member("w1", "worker", 2)
    rejoined["Spec"] = {"Role": "worker", "Availability": "active", "Labels": {}}
    nodes = lab_with(member("m1", "manager"), rejoined, member("w1", "worker", 1))
    assert membership("w1", nodes) == rejoin.Membership("worker", "drain", {"disk": "ssd"})


def test_a_node_that_the_swarm_does_not_list_has_nothing_to_rejoin() -> None:
    assert membership("w1", lab_with(member("m1", "manager"))) is None


def test_the_only_manager_is_not_wiped() -> None:
    nodes = lab_with(member("m1", "manager"), member("w1", "worker"))
    with pytest.raises(LabError, match="no other manager answers, so m1 couldn't rejoin"):
        membership("m1", nodes)


@pytest.mark.parametrize("others", [["reachable"], ["reachable", "unreachable"]])
def test_a_manager_is_not_wiped_if_the_others_are_no_majority(others: list[str]) -> None:
    rest = (member(f"m{number}", "manager", 1, state) for number, state in enumerate(others, 2))
    with pytest.raises(LabError, match="the managers would lose their quorum") as refused:
        membership("m1", lab_with(member("m1", "manager"), *rest))
    assert refused.value.next_step == "docker node demote m1, then run the command again"
