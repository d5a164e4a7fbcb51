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
    yield Verdict(kept, f"{name} {'still asks' if kept else 'does not ask any more'} for {rule}")
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
        title="A new service has not started a single task",
        story="The service <service> needs the machine <node>, because of its <key>: <value>. Somebody "
        "created the service an hour ago, with <replicas> replicas, and not one of them runs. Get it to "
        "run as it was meant: all tasks on <node>. The rule by which the service finds its machine is "
        "right and must stay, and so must what is noted on other machines.",
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
        why="the scheduler only knows of a machine what you have noted on it, and it waits without an error",
        hints=(
            "docker service ps --no-trunc <service> has a column ERROR. It names the kind of rule that no "
            "node fits.",
            "docker service inspect --pretty <service> shows the rule. docker node inspect --pretty NODE "
            "shows what is noted on a node.",
            hints.says,
        ),
        solution=(("manager1", "docker node update --label-add <key>=<value> <node>"),),
    ),
    "pending-memory": Scenario(
        title="A service waits although all machines are idle",
        story="All three machines are idle, and yet none of the <replicas> tasks of <service> starts. The "
        "developers say that a task needs <size> MB of memory, and that this much has to stay reserved for "
        "each. Get them to run.",
        draw=_memory,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --replicas <replicas> "
                "--reserve-memory <wrong>G nginx",
            )
        ),
        points=_memory_points,
        why="a reservation is a promise that the scheduler has to keep, also when it is a typing error",
        hints=(
            "docker service ps --no-trunc <service>: what does the scheduler say about resources?",
            "docker service inspect --pretty <service> shows what a task reserves. Look at the unit.",
            hints.says,
        ),
        solution=(("manager1", "docker service update --detach --reserve-memory <size>M <service>"),),
    ),
    "drained": Scenario(
        title="After the maintenance nothing starts any more",
        story="Last night there was maintenance. Since then nothing starts: <service> should run <replicas> "
        "tasks and runs none. The technicians still work on <keep>: it must not get any task. They say that "
        "the other two machines are ready for work.",
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
        why="nobody undoes a drain but you: a swarm keeps a machine out of work until it is told otherwise",
        hints=(
            "What does docker service ps --no-trunc <service> say about the nodes?",
            "docker node ls has the column AVAILABILITY. Which machines have to change, and which one not?",
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
        title="One machine of three is not watched",
        story="The service <service> watches the machines, and has to run once on each of them, also on "
        "those that will join later. The dashboard shows two machines of three. No machine is meant to be "
        "in maintenance.",
        draw=_agent,
        breaks=by(
            (
                "manager1",
                "docker node update --availability <how> <node>\n"
                "docker service create --detach --name <service> --mode global nginx",
            )
        ),
        points=_agent_points,
        why="a global service shows no missing replica: a node that takes no tasks is simply not counted",
        hints=(
            "docker service ps <service> tells where its tasks are. Which node is missing?",
            "docker service ls counts only nodes that may have a task. What does docker node ls say of the "
            "missing one?",
            hints.says_of_node,
        ),
        solution=(("manager1", "docker node update --availability active <node>"),),
    ),
    "zero-replicas": Scenario(
        title="An application is gone, and nothing reports an error",
        story="Customers cannot reach <service>, and there is no error anywhere. In good times it runs "
        "<replicas> tasks. Bring them back. By a rule of the house, no machine may ever run more than <most> "
        "of them; see to it that the swarm itself keeps this rule.",
        draw=_zero,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --replicas 0 --replicas-max-per-node 1 "
                "nginx",
            )
        ),
        points=_zero_points,
        why="0 of 0 is a healthy service to the swarm: it can only compare with what you have asked for",
        hints=(
            "Look at the column REPLICAS of docker service ls. How many does the swarm want?",
            "Once you have asked for more, docker service ps --no-trunc <service> tells why some wait.",
            "docker service update --help: one option limits the replicas per node.",
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
