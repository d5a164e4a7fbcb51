"""How a swarm is formed of bare engines, with engines that only pretend."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from docker.errors import APIError
from requests import Response

from labkit.cluster import faults, swarm_init
from labkit.cluster.node import Node
from labkit.topology import topology
from labkit.topology.topology import Topology
from labkit.util.deadline import Deadline
from labkit.util.errors import LabError, NotConverged

ROOT = Path(__file__).parents[2]
SECONDS = 20.0  # until a test gives up
TOKENS = {"Manager": "SWMTKN-1-manager", "Worker": "SWMTKN-1-worker"}


class Swarm:
    """A swarm of engines that answer at once. `ready` is how many looks it takes until all are ready."""

    def __init__(self, *, ready: int = 1) -> None:
        self.members: dict[str, str] = {}  # the role of each
        self.looks_left = ready
        self.no_leader = 0  # at how many looks there is none
        self.refused: APIError | None = None
        self.spec: dict[str, Any] = {}
        self.lock = threading.Lock()


class Engine:
    """A node of the lab, and the client of its engine."""

    def __init__(self, name: str, swarm: Swarm) -> None:
        self.name, self.swarm = name, swarm
        self.joined: tuple[list[str], str, str] | None = None
        self.broken: Exception | None = None
        self.slow: APIError | None = None  # what it answers while it goes on joining
        self.refusing: APIError | None = None

    @property
    def api(self) -> "Engine":
        return self

    def hint(self, *words: str) -> str:
        return f"labkit {' '.join(words)}"

    def deadline(self, _: float) -> Deadline:
        return Deadline(0.3)

    def info(self) -> dict[str, Any]:
        if self.broken:
            raise self.broken
        role = self.swarm.members.get(self.name)
        state = "active" if role else "inactive"
        return {"Swarm": {"LocalNodeState": state, "ControlAvailable": role == "manager"}}

    def create_swarm_spec(self, **spec: Any) -> dict[str, Any]:
        return spec

    def init_swarm(self, advertise_addr: str, swarm_spec: dict[str, Any]) -> None:
        assert advertise_addr
        self.swarm.spec = swarm_spec
        self.swarm.members[self.name] = "manager"

    def inspect_swarm(self) -> dict[str, Any]:
        return {"JoinTokens": TOKENS}

    def join_swarm(self, remotes: list[str], token: str, advertise_addr: str) -> None:
        if self.refusing:
            raise self.refusing
        with self.swarm.lock:
            self.joined = remotes, token, advertise_addr
            self.swarm.members[self.name] = "manager" if token == TOKENS["Manager"] else "worker"
        if self.slow:
            raise self.slow

    def nodes(self) -> list[dict[str, Any]]:
        if self.swarm.refused:
            raise self.swarm.refused
        if self.swarm.no_leader:
            self.swarm.no_leader -= 1
            raise refusal(500, "The swarm does not have a leader")
        self.swarm.looks_left -= 1
        state = "down" if self.swarm.looks_left > 0 else "ready"
        return [
            {
                "ID": name,
                "Description": {"Hostname": name},
                "Spec": {"Role": role, "Availability": "active"},
                "Status": {"State": state},
            }
            for name, role in self.swarm.members.items()
        ]


def refusal(code: int, words: str) -> APIError:
    response = Response()
    response.status_code = code
    return APIError(words, response=response, explanation=words)


def lab(swarm: Swarm, roles: Mapping[str, str] | None = None) -> tuple[dict[str, Engine], Topology]:
    """The engines of a lab, and its topology; `roles` are those of nodes that the file gives others."""
    wanted = topology.load(env={"LABKIT_LAB": "x"})
    for service in wanted.nodes:
        if roles and service.name in roles:
            service.labels[topology.ROLE_LABEL] = roles[service.name]
    return {service.name: Engine(service.name, swarm) for service in wanted.nodes}, wanted


def form(engines: Mapping[str, Engine], wanted: Topology) -> None:
    swarm_init.form(cast("Mapping[str, Node]", engines), wanted)


def test_nodes_join_the_first_manager_in_their_roles() -> None:
    swarm = Swarm()
    engines, wanted = lab(swarm)
    form(engines, wanted)
    addresses = {service.name: service.address for service in wanted.nodes}
    assert swarm.members == {"manager1": "manager", "worker1": "worker", "worker2": "worker"}
    assert engines["manager1"].joined is None
    assert engines["worker1"].joined == (
        [f"{addresses['manager1']}:2377"],
        TOKENS["Worker"],
        addresses["worker1"],
    )
    assert swarm_init.formed_with({"Spec": {"Labels": swarm.spec["labels"]}}) == swarm.members


def test_a_second_manager_joins_as_one() -> None:
    swarm = Swarm()
    form(*lab(swarm, {"worker2": "manager"}))
    assert swarm.members == {"manager1": "manager", "worker1": "worker", "worker2": "manager"}


def test_a_node_that_goes_on_joining_in_the_background_is_waited_for() -> None:
    swarm = Swarm(ready=2)
    engines, wanted = lab(swarm)
    engines["worker2"].slow = refusal(503, "Timeout was reached before node joined.")
    form(engines, wanted)
    assert swarm.members["worker2"] == "worker" and swarm.looks_left <= 0


def test_a_node_that_may_not_join_is_the_error() -> None:
    engines, wanted = lab(Swarm())
    engines["worker2"].refusing = refusal(503, "could not connect to prospective new cluster member")
    with pytest.raises(APIError, match="prospective"):
        form(engines, wanted)


def test_members_stay_as_they_are() -> None:
    swarm = Swarm()
    swarm.members = {"manager1": "manager", "worker1": "manager"}
    engines, wanted = lab(swarm)
    form(engines, wanted)
    assert swarm.members == {"manager1": "manager", "worker1": "manager", "worker2": "worker"}
    assert engines["worker1"].joined is None
    assert swarm.spec == {}  # it was not started again


def test_a_first_manager_that_does_not_manage_its_swarm_is_told_with_the_way_out() -> None:
    swarm = Swarm()
    swarm.members = {"manager1": "worker"}
    engines, wanted = lab(swarm)
    with pytest.raises(LabError, match="manager1 is in a swarm that it does not manage") as caught:
        form(engines, wanted)
    assert caught.value.next_step == "labkit reset, then labkit up --swarm"
    assert engines["worker1"].joined is engines["worker2"].joined is None


def test_it_waits_until_all_are_ready_whatever_managers_say_meanwhile() -> None:
    swarm = Swarm(ready=2)
    swarm.no_leader = 1
    form(*lab(swarm))
    assert swarm.looks_left <= 0


@pytest.mark.parametrize(
    ("obstacle", "evidence"),
    [
        ({"looks_left": 10**6}, "manager1 is down"),
        ({"no_leader": 10**6}, "The swarm does not have a leader"),
    ],
)
def test_nodes_that_are_not_ready_in_time_are_told(obstacle: dict[str, int], evidence: str) -> None:
    swarm = Swarm()
    vars(swarm).update(obstacle)
    with pytest.raises(NotConverged, match=r"not complete after 0.3 s") as caught:
        form(*lab(swarm))
    assert evidence in caught.value.evidence[0]


def test_a_refusal_while_it_waits_is_raised_at_once() -> None:
    swarm = Swarm()
    engines, wanted = lab(swarm)
    swarm.refused = refusal(403, "no")
    with pytest.raises(APIError, match="403"):
        form(engines, wanted)


@pytest.mark.parametrize("name", ["manager1", "worker2"])
def test_an_engine_that_does_not_answer_is_the_error(name: str) -> None:
    swarm = Swarm()
    engines, wanted = lab(swarm)
    engines[name].broken = ConnectionResetError(f"{name} has gone")
    with pytest.raises(ConnectionResetError, match=f"{name} has gone"):
        form(engines, wanted)
    assert swarm.looks_left == 1  # nobody waited for nodes that cannot be ready


FORM = """
from tests.unit.test_swarm_init import Swarm, form, lab
engines, wanted = lab(Swarm())
engines["manager1"].broken = ConnectionResetError("manager1 has gone")
form(engines, wanted)
"""


def test_the_process_ends_when_the_first_manager_does_not_answer() -> None:
    """The workers waited for its tokens forever, in threads that a process waits for at its end."""
    done = subprocess.run(
        [sys.executable, "-c", FORM], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stderr.splitlines()[-1] == "ConnectionResetError: manager1 has gone"


# -- faults ---------------------------------------------------------------------------------------------


class Faulty:
    """A node under faults that their commands take away, or not."""

    def __init__(self, *states: str, helps: bool = True) -> None:
        self.name, self.states, self.helps = "worker1", list(states), helps
        self.did: list[str] = []

    @property
    def fault(self) -> str | None:
        return self.states[0] if self.states else None

    def hint(self, *words: str) -> str:
        return f"labkit {' '.join(words)}"

    def wait_ready(self) -> None:
        self.did.append("wait_ready")

    def undo(self, name: str) -> None:
        self.did.append(name)
        if self.helps:
            self.states.pop(0)


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults whose undoing is noted by the node."""

    def noted(name: str) -> Callable[[Any], None]:
        return lambda node: node.undo(name)

    for fault in faults.CATALOGUE:
        monkeypatch.setitem(fault.__dict__, "_undo", noted(fault.state))


@pytest.mark.usefixtures("undone")
def test_every_fault_is_taken_from_a_node() -> None:
    node = Faulty("paused", "cut off")
    faults.undo(cast("Node", node))
    assert node.did == ["paused", "cut off", "wait_ready"]


@pytest.mark.usefixtures("undone")
def test_a_fault_that_stays_is_told_with_what_was_tried() -> None:
    node = Faulty("cut off", helps=False)
    with pytest.raises(NotConverged, match="worker1 is still cut off") as caught:
        faults.undo(cast("Node", node))
    assert any("iptables" in line for line in caught.value.evidence)
    assert "wait_ready" not in node.did


# -- bare engines are tidied ----------------------------------------------------------------------------


class Untidy:
    """A node whose engine has nothing but volumes to remove."""

    name = "worker1"

    def __init__(self, api_version: str) -> None:
        self.api_version = api_version
        self.pruned: list[dict[str, bool] | None] = []

    @property
    def api(self) -> "Untidy":
        return self

    def containers(self, **_: bool) -> list[Any]:
        return []

    def prune_networks(self) -> None:
        pass

    def prune_volumes(self, filters: dict[str, bool] | None) -> None:
        self.pruned.append(filters)

    def run(self, *_: object, **__: object) -> None:
        pass


@pytest.mark.parametrize(
    ("api_version", "filters"), [("1.41", None), ("1.42", {"all": True}), ("1.51", {"all": True})]
)
def test_named_volumes_are_removed_too_whatever_the_engine_means_by_prune(
    api_version: str, filters: dict[str, bool] | None
) -> None:
    node = Untidy(api_version)
    assert swarm_init.tidy([cast(Node, node)]) == []
    assert node.pruned == [filters]
