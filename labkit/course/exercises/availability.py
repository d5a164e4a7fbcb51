"""Chapter 3, set availability."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict


def _keeps_and_takes_none(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.availability("worker1", "active"))
    yield inspector.holds(checks.availability("worker2", "pause"))
    kept = _running_on(inspector, "worker2", "web")
    text = (
        f"worker2 still runs tasks of web: {kept}"
        if kept
        else "worker2 has lost the tasks of web that it ran"
    )
    yield Verdict(kept > 0, text)
    yield inspector.holds(checks.running("guard", 3, image="web:1"))
    yield inspector.holds(checks.tasks_on("worker2", "guard", 0))


def _is_empty(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.availability("worker2", "active"))
    worker = inspector.snapshot.node("worker1")
    if worker and worker.availability == "active":
        yield Verdict(False, "worker1 has availability active: new tasks may come at any time")
    else:
        yield Verdict(True, "worker1 takes no new tasks")
    left = _running_containers(inspector, "worker1")
    if left:
        yield Verdict(False, f"on worker1 still run: {', '.join(left)}")
    else:
        yield Verdict(True, "no container runs on worker1")
    placed = sum(task.node not in ("", "worker1") for task in inspector.tasks("web"))
    yield Verdict(placed == 6, f"{placed} of 6 tasks of web have their place on other nodes")


def _even(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.running("web", 6))
    for name in inspector.snapshot.engines:
        yield inspector.holds(checks.tasks_on(name, "web", 2))


def _gone_for_good(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.swarm_inactive("worker1"))
    yield inspector.holds(checks.node_absent("worker1"))
    yield inspector.holds(checks.nodes_ready(2))
    yield inspector.holds(checks.running("web", 6))


def _running_on(inspector: Inspector, node: str, service: str) -> int:
    return sum(task.node == node for task in inspector.running(service))


def _running_containers(inspector: Inspector, node: str) -> list[str]:
    return [
        entry["Names"][0].lstrip("/") for entry in inspector.containers(node) if entry["State"] == "running"
    ]


def _availability(inspector: Inspector, node: str) -> str:
    found = inspector.snapshot.node(node)
    return found.availability if found else "unknown"


def _what_worker2_may(inspector: Inspector) -> str:
    if not _running_on(inspector, "worker2", "web"):
        return (
            "worker2 has lost its tasks of web. Make it active, give it some back with "
            "docker service update --force web, and pause it then."
        )
    if _availability(inspector, "worker2") == "pause" and _running_on(inspector, "worker2", "guard"):
        return "guard came to worker2 before the pause, which moves nothing: remove it and create it again."
    said = ", ".join(f"{node} {_availability(inspector, node)}" for node in ("worker1", "worker2"))
    return f"Now: {said}. The command is docker node update --availability, with one node at a time."


def _what_is_left(inspector: Inspector) -> str:
    left = _running_containers(inspector, "worker1")
    if left == ["lonely"]:
        return (
            "Only lonely is left. The swarm did not start it, so docker rm --force lonely on worker1 ends it."
        )
    if left:
        return f"worker1 runs {len(left)} containers. Those of web leave when you drain it."
    return f"worker1 is empty. Availability now: worker1 {_availability(inspector, 'worker1')}, " + (
        f"worker2 {_availability(inspector, 'worker2')}."
    )


def _what_is_uneven(inspector: Inspector) -> str:
    counts = {name: _running_on(inspector, name, "web") for name in inspector.snapshot.engines}
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    idle = [name for name in counts if _availability(inspector, name) != "active"]
    if idle:
        return f"Tasks of web: {told}. {', '.join(idle)} may take no tasks now: make it active first."
    return f"Tasks of web: {told}. Every node may take some now: docker service update --force web."


def _the_next_step(inspector: Inspector) -> str:
    if inspector.snapshot.node("worker1") is None:
        believed = inspector.snapshot.engines["worker1"].swarm
        return f"worker1 is not listed any more, and believes that its swarm is {believed}." + (
            "" if believed == "inactive" else " Let it leave: docker swarm leave, on worker1."
        )
    if inspector.snapshot.engines["worker1"].swarm == "inactive":
        return "worker1 has left. Its entry stays until a manager removes it: docker node rm worker1."
    if _availability(inspector, "worker1") != "drain":
        return "First take the work away from worker1, on a manager: drain it."
    return "worker1 is drained. Now it leaves: docker swarm leave, on worker1 itself."


EXERCISES = (
    Exercise(
        task="Keep new tasks away from worker2 without stopping those it runs, then create guard",
        points=_keeps_and_takes_none,
        why="on a node that behaves oddly you want to look around, without more work coming and without "
        "losing what runs",
        hints=(
            "Three availabilities: which of them keeps what runs and takes nothing new?",
            "The order matters: a task that has come to worker2 stays there when you pause it afterwards.",
            _what_worker2_may,
        ),
    ),
    Exercise(
        task="Empty worker1, so that no container runs on it, and let worker2 take tasks again",
        points=_is_empty,
        why="what still runs when the power goes off is lost, and the swarm only looks after its own tasks",
        hints=(
            "Draining takes the tasks away. Then look at what is left: docker ps, on worker1.",
            "A container of docker run belongs to its engine alone. End it there, as you did before Swarm.",
            _what_is_left,
        ),
    ),
    Exercise(
        task="Make every node run exactly two tasks of web",
        points=_even,
        why="after a repair or a new node, the load stays where it was until you say otherwise",
        hints=(
            "A drained node gets nothing. What has manager1 to be first?",
            "Activating moves nothing. Which command replaced every task of web, one after another?",
            _what_is_uneven,
        ),
    ),
    Exercise(
        task="Take worker1 out of the swarm for good, while web keeps its six tasks",
        points=_gone_for_good,
        why="in the right order nothing stops by surprise, and no stale entry or half-member is left behind",
        hints=(
            "Three steps, two of them on a manager and one on worker1 itself.",
            "First the tasks go, then the node, then its entry.",
            _the_next_step,
        ),
    ),
)
