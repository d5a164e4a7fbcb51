"""Chapter 3, set availability."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.util.text import counted


def _keeps_and_takes_none(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.availability("worker1", "active"))
    yield inspector.holds(checks.availability("worker2", "pause"))
    kept = _running_on(inspector, "worker2", "web")
    text = (
        f"worker2 is still running {counted(kept, 'task')} of web"
        if kept
        else "worker2 has lost the tasks of web that it was running"
    )
    yield Verdict(kept > 0, text)
    yield inspector.holds(checks.running("guard", 3, image="web:1"))
    yield inspector.holds(checks.tasks_on("worker2", "guard", 0))


def _is_empty(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.availability("worker2", "active"))
    worker = inspector.snapshot.node("worker1")
    if worker and worker.availability == "active":
        yield Verdict(False, "worker1 has availability active, so new tasks may start there at any time")
    else:
        yield Verdict(True, "worker1 accepts no new tasks")
    left = _running_containers(inspector, "worker1")
    if left:
        yield Verdict(False, f"still running on worker1: {', '.join(left)}")
    else:
        yield Verdict(True, "no container is running on worker1")
    placed = sum(task.node not in ("", "worker1") for task in inspector.tasks("web"))
    yield Verdict(placed == 6, f"{placed} of 6 tasks of web are assigned to other nodes")


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
            "docker service update --force web, and then pause it."
        )
    if _availability(inspector, "worker2") == "pause" and _running_on(inspector, "worker2", "guard"):
        return "A task of guard started on worker2 before the pause. Remove guard and create it again."
    said = ", ".join(f"{node} {_availability(inspector, node)}" for node in ("worker1", "worker2"))
    return f"Right now: {said}. Use docker node update --availability for one node at a time."


def _what_is_left(inspector: Inspector) -> str:
    left = _running_containers(inspector, "worker1")
    if left == ["lonely"]:
        return "Only lonely is left. Swarm didn't start it, so use docker rm --force lonely on worker1."
    if left:
        return f"worker1 is running {counted(len(left), 'container')}. Draining it stops those of services."
    return f"worker1 is empty. Availability right now: worker1 {_availability(inspector, 'worker1')}, " + (
        f"worker2 {_availability(inspector, 'worker2')}."
    )


def _what_is_uneven(inspector: Inspector) -> str:
    counts = {name: _running_on(inspector, name, "web") for name in inspector.snapshot.engines}
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    idle = [name for name in counts if _availability(inspector, name) != "active"]
    if idle:
        return f"Tasks of web: {told}. {', '.join(idle)} isn't active, so make it active first."
    return f"Tasks of web: {told}. All nodes are active, so docker service update --force web spreads them."


def _the_next_step(inspector: Inspector) -> str:
    if inspector.snapshot.node("worker1") is None:
        believed = inspector.snapshot.engines["worker1"].swarm
        return f"worker1 isn't listed anymore, and its own engine says that its swarm is {believed}." + (
            "" if believed == "inactive" else " Run docker swarm leave on worker1."
        )
    if inspector.snapshot.engines["worker1"].swarm == "inactive":
        return "worker1 has left. Its entry stays until you run docker node rm worker1 on a manager."
    if _availability(inspector, "worker1") != "drain":
        return "First move the tasks off worker1: drain it, on a manager."
    return "worker1 is drained. Next, run docker swarm leave on worker1 itself."


_SSD = "node.labels.disk==ssd"


def _db_on_another_ssd(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.snapshot.service("db")
    if service is None:
        yield Verdict(False, "there's no service db")
        return
    asked = [text.replace(" ", "") for text in service.constraints]
    yield Verdict(asked == [_SSD], f"db asks for {', '.join(asked) or 'no constraint'}")
    yield inspector.holds(checks.availability("worker2", "drain"))
    yield inspector.holds(checks.label("worker1", "disk", "ssd"))
    yield inspector.holds(checks.running("db", 1))


def _why_db_waits(inspector: Inspector) -> str:
    labels = {node.name: node.labels.get("disk", "none") for node in inspector.snapshot.nodes}
    told = ", ".join(f"{name} {label}" for name, label in sorted(labels.items()))
    return f"The label disk on the nodes: {told}. docker node update --label-add disk=ssd NODE adds it."


EXERCISES = {
    1: Exercise(
        task="Keep new tasks away from worker2 without stopping those it runs, and then create guard",
        points=_keeps_and_takes_none,
        why="when a node behaves oddly, you want to examine it without any task starting or stopping",
        hints=(
            "Which of the three availabilities keeps running tasks and accepts no new ones?",
            "The order matters: a task that has already started on worker2 stays there when you pause it.",
            _what_worker2_may,
        ),
    ),
    5: Exercise(
        task="Get db running on another node with an SSD, while worker2 stays drained",
        points=_db_on_another_ssd,
        why="when a constraint fits only one node, draining that node takes the service down",
        hints=(
            "docker service ps --no-trunc db has a column ERROR. What is the scheduler looking for?",
            "docker node inspect --pretty NODE shows the labels of a node. Compare worker1 with worker2.",
            _why_db_waits,
        ),
    ),
    2: Exercise(
        task="Empty worker1, so that no container is running on it, and let worker2 run tasks again",
        points=_is_empty,
        why="whatever still runs when the power goes off is lost, and Swarm only takes care of its tasks",
        hints=(
            "Draining moves the tasks off the node. Then see what's left: docker ps, on worker1.",
            "A container started by docker run belongs to its engine alone. Remove it there, with docker rm.",
            _what_is_left,
        ),
    ),
    3: Exercise(
        task="Make every node run exactly two tasks of web",
        points=_even,
        why="after a repair, or with a new node, the load stays where it was until you change that",
        hints=(
            "A drained node gets no tasks. What has to happen to manager1 first?",
            "Activating a node moves nothing. Which command replaced every task of web, one after another?",
            _what_is_uneven,
        ),
    ),
    4: Exercise(
        task="Take worker1 out of the swarm for good, while web keeps its six tasks",
        points=_gone_for_good,
        why="in the right order, nothing stops by surprise, and no stale entry is left behind",
        hints=(
            "There are three steps, two of them on a manager and one on worker1 itself.",
            "First the tasks have to go, then the node, and then its entry.",
            _the_next_step,
        ),
        drill=True,
    ),
}
