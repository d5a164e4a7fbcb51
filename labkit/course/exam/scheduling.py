"""Scenarios in which tasks find no node."""

from collections.abc import Iterator
from random import Random
from typing import Any

from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import NODES, Facts, Scenario, application, by
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_LABELS = {
    "disk": ("ssd", "nvme"),
    "zone": ("north", "south"),
    "rack": ("r4", "r7"),
    "tier": ("gold", "core"),
}
_MIB = 2**20


# -- a label that nobody has --------------------------------------------------------------------------


def _label(rng: Random) -> dict[str, Any]:
    key = rng.choice(list(_LABELS))
    value, other = rng.sample(_LABELS[key], 2)
    node, decoy = rng.sample(NODES, 2)
    return {
        "service": application(rng),
        "replicas": rng.randint(2, 4),
        "key": key,
        "value": value,
        "other": other,
        "node": node,
        "decoy": decoy,
    }


def _label_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, rule = facts["service"], f"node.labels.{facts['key']}=={facts['value']}"
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    service = inspector.snapshot.service(name)
    kept = service is not None and rule in [text.replace(" ", "") for text in service.constraints]
    yield Verdict(kept, f"{name} {'still asks' if kept else 'no longer asks'} for {rule}")
    yield inspector.holds(checks.label(facts["node"], facts["key"], facts["value"]))
    yield inspector.holds(checks.label(facts["decoy"], facts["key"], facts["other"]))
    yield inspector.holds(checks.running(name, facts["replicas"]))
    yield scenario_checks.only_on(inspector, name, facts["node"])


# -- memory that nobody has ---------------------------------------------------------------------------


def _memory(rng: Random) -> dict[str, Any]:
    return {
        "service": application(rng),
        "replicas": rng.randint(2, 3),
        "size": rng.choice((96, 128, 192, 256)),
        "wrong": rng.choice((700, 800, 900)),
    }


def _memory_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    service = inspector.snapshot.service(name)
    size = service.memory / _MIB if service else 0
    right = abs(size - facts["size"]) <= facts["size"] * 0.06  # MB or MiB
    yield Verdict(right, f"each task of {name} reserves {size:.0f} MiB of memory")
    yield inspector.holds(checks.running(name, facts["replicas"]))


# -- nodes that take nothing --------------------------------------------------------------------------


def _drained(rng: Random) -> dict[str, Any]:
    keep, one, two = rng.sample(NODES, 3)
    first, second = rng.choice((("drain", "pause"), ("pause", "drain"), ("drain", "drain")))
    return {
        "service": application(rng),
        "replicas": rng.randint(2, 4),
        "keep": keep,
        "one": one,
        "two": two,
        "first": first,
        "second": second,
    }


def _drained_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield inspector.holds(checks.availability(facts["keep"], "drain"))
    yield inspector.holds(checks.availability(facts["one"], "active"))
    yield inspector.holds(checks.availability(facts["two"], "active"))
    if (gone := scenario_checks.there(inspector, facts["service"])) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(facts["service"], facts["replicas"]))


# -- a global service that is not everywhere ----------------------------------------------------------


def _agent(rng: Random) -> dict[str, Any]:
    return {
        "service": rng.choice(("agent", "monitor", "collector", "guard")),
        "node": rng.choice(NODES),
        "how": rng.choice(("pause", "drain")),
    }


def _agent_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    service = inspector.snapshot.service(name)
    everywhere = service is not None and service.replicas is None
    yield Verdict(everywhere, f"{name} {'is in global mode' if everywhere else 'has a number of replicas'}")
    yield inspector.holds(checks.availability(facts["node"], "active"))
    found = inspector.snapshot.tasks_per_node(name)
    missing = [node for node in NODES if not found[node]]
    yield Verdict(not missing, f"without a task of {name}: {', '.join(missing) or 'no node'}")


# -- nothing is wanted, and then too much -------------------------------------------------------------


def _zero(rng: Random) -> dict[str, Any]:
    return {"service": application(rng), "replicas": rng.randint(4, 6), "most": 2}


def _zero_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(name, facts["replicas"]))
    found = inspector.service(name) or {}
    limit = (found["Spec"]["TaskTemplate"].get("Placement") or {}).get("MaxReplicas", 0)
    text = f"at most {limit} tasks of {name}" if limit else f"any number of tasks of {name}"
    yield Verdict(limit == facts["most"], f"a node may run {text}")


SCENARIOS = {
    "pending-label": Scenario(
        title="A new service hasn't started a single task",
        story="The service <service> was created with <replicas> replicas, but not one of its tasks is "
        "running. It has to run on <node>, because that node has the <key> it needs: <value>. Get it "
        "running the way it was meant to, with all tasks on <node>. The constraint by which the "
        "service finds its node is right and has to stay, and so do the labels of the other nodes.",
        draw=_label,
        breaks=by(
            (
                "manager1",
                "docker node update --label-add <key>=<other> <decoy>\n"
                "docker service create --detach --name <service> --replicas <replicas> "
                "--constraint node.labels.<key>==<value> nginx",
            )
        ),
        points=_label_points,
        why="the scheduler only knows what a node's labels say, and a task that fits nowhere just waits",
        hints=(
            "docker service ps --no-trunc <service> has a column ERROR. It says what kind of condition no "
            "node meets.",
            "docker service inspect --pretty <service> shows the constraint, and docker node inspect "
            "--pretty NODE the labels of a node.",
            hints.says,
        ),
        solution=(("manager1", "docker node update --label-add <key>=<value> <node>"),),
    ),
    "pending-memory": Scenario(
        title="A service doesn't start, although all nodes are idle",
        story="All three nodes are idle, and yet none of the <replicas> tasks of <service> starts. The "
        "developers say that each task needs <size> MB of memory, and that this much has to stay "
        "reserved for it. Get the tasks running.",
        draw=_memory,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --replicas <replicas> "
                "--reserve-memory <wrong>G nginx",
            )
        ),
        points=_memory_points,
        why="a reservation is a promise that the scheduler has to keep, even if it's a typo",
        hints=(
            "What does docker service ps --no-trunc <service> say about resources?",
            "docker service inspect --pretty <service> shows what each task reserves. Look at the unit.",
            hints.says,
        ),
        solution=(("manager1", "docker service update --detach --reserve-memory <size>M <service>"),),
    ),
    "drained": Scenario(
        title="After the maintenance, nothing starts anymore",
        story="There was some maintenance last night, and now nothing starts: <service> should be running "
        "<replicas> tasks, and it's running none. The technicians are still working on <keep>, so it "
        "must not get any tasks. The other two nodes, they say, are ready.",
        draw=_drained,
        breaks=by(
            (
                "manager1",
                "docker node update --availability drain <keep>\n"
                "docker node update --availability <first> <one>\n"
                "docker node update --availability <second> <two>\n"
                "docker service create --detach --name <service> --replicas <replicas> nginx",
            )
        ),
        points=_drained_points,
        why="draining a node is never undone automatically: the node gets no tasks until you activate it",
        hints=(
            "What does docker service ps --no-trunc <service> say about the nodes?",
            "docker node ls has a column AVAILABILITY. Which nodes have to change, and which one must not?",
            hints.says,
        ),
        solution=(
            (
                "manager1",
                "docker node update --availability active <one>\n"
                "docker node update --availability active <two>",
            ),
        ),
    ),
    "missing-agent": Scenario(
        title="One of the three nodes isn't being monitored",
        story="The service <service> monitors the nodes. It has to run once on every node, including nodes "
        "that join later. The dashboard, however, shows only two of the three nodes. None of them is "
        "supposed to be in maintenance.",
        draw=_agent,
        breaks=by(
            (
                "manager1",
                "docker node update --availability <how> <node>\n"
                "docker service create --detach --name <service> --mode global nginx",
            )
        ),
        points=_agent_points,
        why="a global service never shows a missing replica, because a node that takes no tasks isn't "
        "counted",
        hints=(
            "docker service ps <service> shows where its tasks are running. Which node is missing?",
            "docker service ls counts only the nodes that may run a task. What does docker node ls say "
            "about the missing one?",
            hints.says_of_node,
        ),
        solution=(("manager1", "docker node update --availability active <node>"),),
    ),
    "zero-replicas": Scenario(
        title="An application is gone, and nothing reports an error",
        story="Customers can't reach <service>, and there's no error anywhere. Normally, it runs <replicas>"
        " tasks. Bring them back. The company has a rule that no node may run more than <most> of "
        "them; make sure that Swarm itself enforces it.",
        draw=_zero,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --replicas 0 --replicas-max-per-node 1 "
                "nginx",
            )
        ),
        points=_zero_points,
        why="to Swarm, 0 of 0 is a healthy service, because it can only compare with what you've asked for",
        hints=(
            "Look at the column REPLICAS of docker service ls. How many tasks does Swarm want?",
            "Once you've asked for more, docker service ps --no-trunc <service> says why some of them wait.",
            "docker service update --help lists an option that limits the number of replicas per node.",
            hints.says,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach --replicas-max-per-node <most> --replicas <replicas> "
                "<service>",
            ),
        ),
    ),
}
