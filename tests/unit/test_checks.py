"""Each check, true and false, over snapshots of a real swarm, and what it says."""

from dataclasses import replace

import pytest

from labkit import checks
from labkit.swarm.checks import Check, Verdict
from labkit.swarm.model import Engine, Snapshot, Task
from tests.recorded import recorded

BARE = Snapshot(engines={name: Engine(name, "running", "inactive") for name in ("manager1", "worker1")})
SNAPSHOTS = {
    "bare": BARE,
    "half-bare": replace(BARE, engines={**BARE.engines, "worker1": Engine("worker1", "exited")}),
    "locked": replace(BARE, engines={**BARE.engines, "worker1": Engine("worker1", "running", "locked")}),
    **{
        name: recorded(name)
        for name in (
            "three-nodes",
            "services",
            "half-updated",
            "drained",
            "manager-unreachable",
            "quorum-lost",
        )
    },
}
DOWN = "manager-unreachable"

CASES: list[tuple[Check, str, bool, str]] = [
    (checks.swarm_inactive(), "bare", True, "manager1 belongs to no swarm; worker1 belongs to no swarm"),
    (checks.swarm_inactive("worker1"), "bare", True, "worker1 belongs to no swarm"),
    (
        checks.swarm_inactive(),
        "half-bare",
        False,
        "worker1 does not answer (its container is exited)",
    ),
    (
        checks.swarm_inactive("worker1"),
        "three-nodes",
        False,
        "worker1 is in a swarm (its swarm state is active)",
    ),
    (checks.swarm_inactive("worker9"), "bare", False, "worker9 is not a node of this lab"),
    (checks.swarm_active("worker1"), "three-nodes", True, "worker1 is in a swarm"),
    (
        checks.swarm_active(),
        "bare",
        False,
        "manager1 is in no swarm (its swarm state is inactive); "
        "worker1 is in no swarm (its swarm state is inactive)",
    ),
    (checks.swarm_active(), DOWN, False, "worker2 does not answer (its container is exited)"),
    (checks.swarm_locked("worker1"), "locked", True, "worker1 is locked"),
    (
        checks.swarm_locked(),
        "locked",
        False,
        "manager1 is not locked (its swarm state is inactive)",
    ),
    (checks.quorum_lost(), "quorum-lost", True, "the quorum is lost"),
    (checks.quorum_lost(), "three-nodes", False, "there is a quorum"),
    (checks.quorum_lost(), "bare", False, "there is no swarm yet"),
    (checks.listed_once(), "three-nodes", True, "every node is listed once"),
    (checks.nodes_ready(3), "three-nodes", True, "3 of 3 nodes ready (manager1, worker1, worker2)"),
    (checks.nodes_ready(3), DOWN, False, "2 of 3 nodes ready (manager1, worker1, worker2 is down)"),
    (checks.nodes_ready(2), "three-nodes", False, "3 of 2 nodes ready (manager1, worker1, worker2)"),
    (checks.node_ready("worker2"), "three-nodes", True, "worker2 is ready"),
    (checks.node_ready("worker2"), DOWN, False, "worker2 is down"),
    (checks.node_ready("worker9"), "three-nodes", False, "worker9 is not listed in the swarm"),
    (checks.node_down("worker2"), DOWN, True, "worker2 is down"),
    (checks.node_down("worker2"), "three-nodes", False, "worker2 is ready"),
    (checks.node_absent("worker9"), "three-nodes", True, "worker9 is not listed"),
    (checks.node_absent("worker2"), DOWN, False, "worker2 is still listed (down)"),
    (checks.role("worker1", "worker"), "three-nodes", True, "worker1 is a worker"),
    (checks.role("worker1", "worker"), DOWN, False, "worker1 is a manager"),
    (
        checks.manager_status("manager1", "leader"),
        "three-nodes",
        True,
        "manager1 has MANAGER STATUS leader",
    ),
    (checks.manager_status("worker1", ""), "three-nodes", True, "worker1 has MANAGER STATUS blank"),
    (
        checks.manager_status("worker2", "reachable"),
        DOWN,
        False,
        "worker2 has MANAGER STATUS unreachable",
    ),
    (checks.managers(1), "three-nodes", True, "1 of 1 managers (manager1)"),
    (checks.managers(3), DOWN, False, "2 of 3 managers (manager1, worker1)"),
    (checks.managers(1), DOWN, False, "2 of 1 managers (manager1, worker1)"),
    (checks.availability("worker1", "drain"), "drained", True, "worker1 has availability drain"),
    (checks.availability("worker1", "drain"), "services", False, "worker1 has availability active"),
    (checks.label("worker2", "zone", "a"), "drained", True, "worker2 has the label zone=a"),
    (checks.label("worker2", "zone", "b"), "drained", False, "worker2 has the label zone=a"),
    (checks.label("worker1", "zone", "a"), "drained", False, "worker1 has no labels"),
    (
        checks.label_nowhere_else("worker2", "zone", "a"),
        "drained",
        True,
        "no other node has the label zone=a",
    ),
    (
        checks.label_nowhere_else("worker1", "zone", "a"),
        "drained",
        False,
        "worker2 has the label zone=a as well",
    ),
    (
        checks.publishes("web", 8080, 80, "ingress"),
        "half-updated",
        True,
        "web publishes 8080 to 80 (ingress mode)",
    ),
    (
        checks.publishes("web", 8080, 80, "host"),
        "half-updated",
        False,
        "web publishes 8080 to 80 (ingress mode)",
    ),
    (checks.publishes("web", 8080, 80, "host"), "services", False, "web publishes no port"),
    (checks.publishes("nothing", 1, 1, "host"), "services", False, "there is no service nothing"),
    (checks.running("web", 4), "services", True, "4 of 4 tasks of web run"),
    (checks.running("everywhere", 3), "services", True, "3 of 3 tasks of everywhere run"),
    (checks.running("web", 3), "services", False, "4 of 3 tasks of web run"),
    (checks.running("web", 4), DOWN, False, "2 of 4 tasks of web run"),
    (checks.running("everywhere", 2), "drained", True, "2 of 2 tasks of everywhere run"),
    (
        checks.running("pending", 1),
        "services",
        False,
        "0 of 1 tasks of pending run; pending.1 is pending: "
        "no suitable node (scheduling constraints not satisfied on 3 nodes)",
    ),
    (checks.running("nothing", 1), "services", False, "0 of 1 tasks of nothing run"),
    (
        checks.update("web", "updating"),
        "half-updated",
        True,
        "the last update of web is updating: update in progress",
    ),
    (checks.update("web", "completed"), "services", False, "web has not been updated yet"),
    (checks.update("nothing", "completed"), "services", False, "there is no service nothing"),
    (checks.running("web", 4, image="base:1"), "services", True, "4 of 4 tasks of web run"),
    (
        checks.running("web", 4, image="base:2"),
        "services",
        False,
        "4 of 4 tasks of web run; it runs base:1, not base:2",
    ),
    (
        checks.running("web", 4, on="worker1"),
        "services",
        False,
        "4 of 4 tasks of web run; web.2 runs on worker2, not on worker1; "
        "web.3 runs on manager1, not on worker1",
    ),
    (
        checks.pinned("web", "worker1"),
        "services",
        False,
        "web has no constraints: it may run on manager1, worker1, worker2",
    ),
    (
        checks.pinned("pending", "worker1"),
        "services",
        False,
        "pending has constraints node.labels.disk==ssd: it may run on no node at all",
    ),
    (checks.pinned("nothing", "worker1"), "services", False, "there is no service nothing"),
    (checks.on_networks("web"), "services", True, "web is on no network of the swarm"),
    (checks.on_networks("web", "front"), "services", False, "web is on no network of the swarm"),
    (checks.on_networks("nothing"), "services", False, "nothing has no tasks"),
    (checks.tasks_on("worker1", "web", 0), "drained", True, "worker1 runs 0 tasks of web (expected: 0)"),
    (checks.tasks_on("worker1", "web", 9), "drained", False, "worker1 runs 0 tasks of web (expected: 9)"),
    (
        checks.tasks_on("worker2", "everywhere", 1),
        DOWN,
        False,
        "worker2 runs 0 tasks of everywhere (expected: 1)",
    ),
    (checks.service_absent("nothing"), "services", True, "there is no service nothing"),
    (checks.service_absent("web"), "services", False, "there is still a service web"),
]
ABOUT_THE_SWARM: dict[str, Check] = {
    "nodes_ready": checks.nodes_ready(3),
    "node_ready": checks.node_ready("worker1"),
    "node_down": checks.node_down("worker1"),
    "node_absent": checks.node_absent("worker1"),
    "listed_once": checks.listed_once(),
    "role": checks.role("worker1", "worker"),
    "manager_status": checks.manager_status("worker1", ""),
    "managers": checks.managers(1),
    "availability": checks.availability("worker1", "active"),
    "label": checks.label("worker1", "zone", "a"),
    "label_nowhere_else": checks.label_nowhere_else("worker1", "zone", "a"),
    "publishes": checks.publishes("web", 8080, 80, "ingress"),
    "running": checks.running("web", 4),
    "update": checks.update("web", "completed"),
    "pinned": checks.pinned("web", "worker1"),
    "on_networks": checks.on_networks("web"),
    "tasks_on": checks.tasks_on("worker1", "web", 0),
    "service_absent": checks.service_absent("web"),
}


@pytest.mark.parametrize(
    ("check", "snapshot", "ok", "words"),
    CASES,
    ids=[f"{recording}: {words}"[:60] for _, recording, _, words in CASES],
)
def test_a_check_answers_and_says_what_is_so(check: Check, snapshot: str, ok: bool, words: str) -> None:
    assert check(SNAPSHOTS[snapshot]) == Verdict(ok, words)


@pytest.mark.parametrize("name", ABOUT_THE_SWARM)
@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        ("bare", "no engine of this lab is a manager: there is no swarm yet"),
        ("quorum-lost", "the managers have lost their quorum, so it's unknown"),
    ],
)
def test_what_nobody_can_tell_is_false(name: str, snapshot: str, words: str) -> None:
    assert ABOUT_THE_SWARM[name](SNAPSHOTS[snapshot]) == Verdict(False, words)


def test_one_task_too_many_under_way_is_not_running_yet() -> None:
    """As while a service is scaled up: the tasks that run are not all that are meant to."""
    services = SNAPSHOTS["services"]
    new = replace(services.tasks[0], slot=5, state="preparing", desired_state="running", message="")
    verdict = checks.running("web", 4)(replace(services, tasks=(*services.tasks, new)))
    assert verdict == Verdict(False, "4 of 4 tasks of web run; web.5 is preparing")


def test_what_was_last_heard_of_a_node_that_is_down_does_not_run() -> None:
    services = SNAPSHOTS["services"]
    lost = next(task for task in services.tasks if task.service == "web")
    down = replace(next(node for node in services.nodes if node.name == lost.node), status="down")
    without = tuple(node for node in services.nodes if node.name != lost.node)
    verdict = checks.running("web", 4)(replace(services, nodes=(*without, down)))
    assert not verdict
    assert f"{lost.name} was on {lost.node}, which is down" in str(verdict)
    # Unless it is the old entry of a node that has joined again.
    assert checks.running("web", 4)(replace(services, nodes=(*services.nodes, replace(down, id="left"))))


@pytest.mark.parametrize(
    ("constraints", "fits"),
    [
        (["node.hostname==worker1"], "worker1"),
        (["node.hostname==manager1", "node.role==manager"], "manager1"),
        (["node.hostname!=worker1"], "manager1, worker2"),
        (["node.labels.disk!=ssd", "node.platform.os==linux"], "manager1, worker1, worker2"),
    ],
)
def test_constraints_pin_a_service_to_what_they_leave(constraints: list[str], fits: str) -> None:
    services = SNAPSHOTS["services"]
    web = replace(services.services[2], constraints=tuple(constraints))
    verdict = checks.pinned("web", fits)(replace(services, services=(web,)))
    words = f"web has constraints {', '.join(constraints)}: it may run on {fits}"
    assert verdict == Verdict("," not in fits, words)


@pytest.mark.parametrize(
    ("constraints", "fits"),
    [(["node.role == manager"], "manager1"), (["node.hostname!=worker1", "node.role!=manager"], "worker2")],
)
def test_a_role_pins_nothing_because_it_may_change(constraints: list[str], fits: str) -> None:
    services = SNAPSHOTS["services"]
    web = replace(services.services[2], constraints=tuple(constraints))
    verdict = checks.pinned("web", fits)(replace(services, services=(web,)))
    assert not verdict
    assert verdict.text.endswith(f"it may run on {fits}, and on others as soon as you change their role")


def test_a_service_is_on_a_network_once_all_its_tasks_are() -> None:
    """As while a network is added to a service: its tasks are replaced one after the other."""
    services = SNAPSHOTS["services"]

    def verdict(*tasks: Task) -> Verdict:
        return checks.on_networks("web", "front", "back")(replace(services, tasks=tasks))

    old, other, *_ = (task for task in services.tasks if task.service == "web")
    new = replace(other, networks=("front", "back"))
    assert verdict(replace(old, networks=("front",)), new) == Verdict(
        False, "web is on back and front; and on front"
    )
    assert verdict(replace(new, state="starting")) == Verdict(
        False, f"web is on back and front ({new.name} starts)"
    )
    assert verdict(replace(old, networks=("back", "front")), new) == Verdict(True, "web is on back and front")


def test_a_left_over_entry_keeps_a_node_listed() -> None:
    three = SNAPSHOTS["three-nodes"]
    left = replace(three.nodes[1], id="left", status="down")
    rejoined = replace(three, nodes=(*three.nodes, left))
    assert checks.node_absent("worker1")(rejoined) == Verdict(False, "worker1 is still listed (ready, down)")
    words = "worker1 is listed more than once: an old entry is left"
    assert checks.listed_once()(rejoined) == Verdict(False, words)


def test_every_check_of_the_vocabulary_is_tested() -> None:
    """Each public function that makes checks is seen true and false above."""
    makers = {
        name
        for name, made in vars(checks).items()
        if callable(made)
        and not name.startswith("_")
        and getattr(made, "__annotations__", {}).get("return") is Check
    }
    of_engines = {"swarm_active", "swarm_inactive", "swarm_locked", "quorum_lost"}
    assert makers == ABOUT_THE_SWARM.keys() | of_engines


def test_a_verdict_shows_as_its_mark_and_words() -> None:
    assert repr(Verdict(True, "worker1 is ready")) == "✓ worker1 is ready"
    assert str(Verdict(False, "worker1 is down")) == "✗ worker1 is down"
    assert Verdict(True, "")
    assert not Verdict(False, "")


def test_a_demoted_node_counts_once_it_has_become_a_worker() -> None:
    three = recorded("three-nodes")
    assert checks.managers(1)(three)
    engines = {**three.engines, "worker1": replace(three.engines["worker1"], manager=True)}
    verdict = checks.managers(1)(replace(three, engines=engines))
    assert not verdict and verdict.text.endswith("demoted, but still managing: worker1")
    left = tuple(replace(node, status="down") if node.name == "worker1" else node for node in three.nodes)
    assert checks.managers(1)(replace(three, nodes=left, engines=engines))  # it has a swarm of its own
