"""How a service or a node stands, in plain words: why tasks wait, fail or start again. Pure."""

from collections.abc import Callable, Iterator, Sequence

from labkit.swarm import checks
from labkit.swarm.model import Node, Service, Snapshot, Task
from labkit.swarm.reasons import describe_update, why_it_failed, why_it_waits
from labkit.util.errors import LabError
from labkit.util.text import counted

AS_WANTED = "All is as wanted."
_ENDED_BADLY = ("failed", "rejected", "orphaned")
_ON_THE_WAY = {
    "assigned": "was given to a node, which has not taken it yet",
    "accepted": "was taken by its node",
    "preparing": "is being prepared: the node pulls the image, and gets volumes and networks ready",
    "ready": "is ready, and waits for its turn to start",
    "starting": "has started, and its health check has not passed yet",
}
_ITS_TURN = "waits for its turn: a pause is kept before it starts, or the task before it still stops"
_OPEN = "docker node update --availability active NODE opens one"
_KILLED = 128 + 9
_AVAILABILITY = {
    "active": "It takes new tasks.",
    "pause": "It is paused: it takes no new tasks, and those that it has run on.",
    "drain": "It is drained: it takes no tasks, and those that it had were stopped and replaced elsewhere.",
}


def explain(snapshot: Snapshot, name: str) -> str:
    """Some lines on a service, or on a node. Raises LabError when the swarm has neither of this name."""
    if (lost := checks.no_view(snapshot)) is not None:
        raise LabError(lost.text, next_step="docker node ls on each manager shows which of them answer")
    if service := snapshot.service(name):
        return "\n".join(_of_service(snapshot, service))
    if node := snapshot.node(name):
        return "\n".join(_of_node(snapshot, node))
    known = [*(service.name for service in snapshot.services), *(node.name for node in snapshot.nodes)]
    raise LabError(
        f"the swarm has no service and no node '{name}'",
        evidence=[f"it has {', '.join(known)}"],
        next_step="docker service ls and docker node ls list the names",
    )


def troubles(snapshot: Snapshot, service: str) -> list[str]:
    """What keeps tasks of a service from running, one line each; empty where nothing does."""
    found = snapshot.service(service)
    return [*_waiting(snapshot, found), *_ended(snapshot, found)] if found else []


def _of_service(snapshot: Snapshot, service: Service) -> Iterator[str]:
    wanted = [task for task in snapshot.tasks if task.service == service.name and task.wanted]
    running = snapshot.running(service.name)
    count = len(wanted) if service.replicas is None else service.replicas
    kind = "one task on each node that fits" if service.replicas is None else counted(count, "replica")
    yield f"{service.name} ({service.image}): {kind} wanted, {len(running)} of {count} running."
    for node, number in sorted(snapshot.tasks_per_node(service.name).items()):
        yield f"  {node} runs {number}"
    if service.replicas == 0:
        yield "It is scaled to 0: nothing is meant to run."
    yield from _update(service, running)
    trouble = troubles(snapshot, service.name)
    yield from trouble
    for task in wanted:
        if task.state in _ON_THE_WAY:
            turn = task.desired_state == "ready"
            yield f"{task.name} on {task.node} {_ITS_TURN if turn else _ON_THE_WAY[task.state]}."
    done = [task for task in snapshot.tasks if task.service == service.name and task.state == "complete"]
    if done and len(running) < count:
        ended = f"{len(done)} of its tasks ended well, with exit code 0"
        yield ended + ("." if wanted else ", and its restart policy starts no other.")
    yield from _healed(snapshot, service)
    if not trouble and len(running) == count and not _has_news(service):
        yield AS_WANTED


def _has_news(service: Service) -> bool:
    """Whether its last update is worth a line: it is not over, or not as it was meant."""
    return service.update not in ("", "completed")


def _update(service: Service, running: Sequence[Task]) -> Iterator[str]:
    if not _has_news(service):
        return
    text = describe_update(service.update)
    message = f": {service.update_message}" if service.update_message else ""
    yield f"{text[0].upper()}{text[1:]}{message}."
    if service.update != "rollback_completed":
        new = sum(task.image == service.image for task in running)
        yield f"  {new} of {len(running)} tasks that run are of {service.image}"
    if service.update == "paused":
        yield f"  docker service rollback {service.name} takes it back; another docker service update goes on"


def _waiting(snapshot: Snapshot, service: Service) -> Iterator[str]:
    waiting = [
        task
        for task in snapshot.tasks
        if task.service == service.name and task.wanted and task.state in ("new", "pending")
    ]
    for message in dict.fromkeys(task.message for task in waiting):
        names = [task.name for task in waiting if task.message == message]
        verb = "waits" if len(names) == 1 else "wait"
        yield f"{', '.join(names)} {verb} for a node: {why_it_waits(message)}."
        if "constraints" in message:
            yield from _unmet(snapshot, service)
        if "insufficient resources" in message:
            yield from _room(snapshot, service)
        if "not available for new tasks" in message:
            yield from _shut(snapshot)
        if "host-mode port" in message:
            yield from _taken(snapshot, service)


def _shut(snapshot: Snapshot) -> Iterator[str]:
    shut = [
        f"{node.name} is on {node.availability}" for node in snapshot.nodes if node.availability != "active"
    ]
    down = [f"{node.name} is {node.status}" for node in snapshot.nodes if node.status != "ready"]
    if shut:
        yield f"  {', '.join(shut)}: {_OPEN}"
    if down:
        yield f"  {', '.join(down)}: it has to come back, or others have to do its work"


def _taken(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """The ports in host mode that a service shares with others, or its tasks with each other."""
    for port in (port for port in service.ports if port.mode == "host"):
        others = [
            other.name
            for other in snapshot.services
            if other is not service
            and any(
                (mine.mode, mine.published, mine.protocol) == ("host", port.published, port.protocol)
                for mine in other.ports
            )
        ]
        also = f", and so {'does' if len(others) == 1 else 'do'} {', '.join(others)}" if others else ""
        yield f"  it publishes port {port.published} in host mode{also}: one task on a node can have it"


def _unmet(snapshot: Snapshot, service: Service) -> Iterator[str]:
    for text in service.constraints:
        found = checks.CONSTRAINT.fullmatch(text)
        if found is None:
            yield f"  it asks for {text}"
            continue
        key, sign, value = found.groups()
        has = {node.name: checks.constrained(key, node) for node in snapshot.nodes}
        fits = [name for name, own in has.items() if own is not None and (own == value) == (sign == "==")]
        facts = ", ".join(f"{name} has {own or 'none'}" for name, own in has.items() if own is not None)
        label = key.removeprefix("node.labels.")
        yield f"  it asks for {text}: {', '.join(fits) or 'no node'} fits" + (f" ({facts})" if facts else "")
        if not fits and label != key and sign == "==":
            yield f"  docker node update --label-add {label}={value} NODE gives a node that label"


def _room(snapshot: Snapshot, service: Service) -> Iterator[str]:
    asked: list[tuple[str, Callable[[Service | Node], float], Callable[[float], str]]] = [
        ("memory", lambda owner: owner.memory, lambda size: f"{size / 2**30:.1f} GiB"),
        ("processor cores", lambda owner: owner.cpus, lambda cores: f"{cores:g}"),
    ]
    for what, size, said in asked:
        if not size(service):
            continue
        services = {other.name: other for other in snapshot.services}
        free = {}
        for node in (node for node in snapshot.nodes if size(node)):
            taken = [
                size(services[task.service])
                for task in snapshot.tasks
                if task.node == node.name and task.wanted and task.service in services
            ]
            free[node.name] = size(node) - sum(taken)
        left = ", ".join(f"{name} has {said(max(0, amount))}" for name, amount in free.items())
        yield f"  each task reserves {said(size(service))} {what}; not reserved yet: {left or 'unknown'}"


def _ended(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """Tasks that ended badly and whose work nobody does now, by reason."""
    for reason, tasks in _failures(snapshot, service, healed=False).items():
        yield f"{len(tasks)} of its tasks ended: {reason}."
        yield f"  {_next(reason, tasks[0])}"
        if not any(_same_work(other, tasks[0]) for other in snapshot.tasks if other.wanted):
            yield "  nothing is to take its place: docker service inspect --pretty tells its restart policy"


def _healed(snapshot: Snapshot, service: Service) -> Iterator[str]:
    for reason, tasks in _failures(snapshot, service, healed=True).items():
        yield f"Before, {len(tasks)} of its tasks ended: {reason}. Others run in their place now."


def _failures(snapshot: Snapshot, service: Service, *, healed: bool) -> dict[str, list[Task]]:
    """The tasks that ended badly by reason: those in whose place another runs, or those where none does."""
    mine = [task for task in snapshot.tasks if task.service == service.name]
    found: dict[str, list[Task]] = {}
    for task in mine:
        if task.state in _ENDED_BADLY:
            replaced = any(other.state == "running" and _same_work(other, task) for other in mine)
            if replaced == healed:
                found.setdefault(why_it_failed(task.message), []).append(task)
    return found


def _same_work(one: Task, other: Task) -> bool:
    """Whether two tasks have the same place: a slot, or in global mode a node."""
    return one.service == other.service and (one.slot or one.node) == (other.slot or other.node)


def _next(reason: str, task: Task) -> str:
    if "no such image" in reason.lower() or "not found" in reason:
        return f"check the image's name, {task.image}: docker service update --image IMAGE {task.service}"
    if "unhealthy" in reason:
        return f"its health check fails: docker service inspect --pretty {task.service} shows the command"
    if f"exit code {_KILLED}" in reason:
        return "it was killed: by somebody, or by the kernel for taking more memory than its limit"
    if "exit code" in reason:
        return f"what it said before it ended: docker service logs {task.service}"
    return f"docker service ps --no-trunc {task.service} shows the whole message"


def _of_node(snapshot: Snapshot, node: Node) -> Iterator[str]:
    status = f", as manager {node.manager_status}" if node.manager_status else ""
    yield f"{node.name}: a {node.role}, {node.status}{status}, availability {node.availability}."
    if node.status == "ready":
        yield _AVAILABILITY.get(node.availability, "")
    if node.status == "down":
        yield "It has not reported for a while, or it has left. Its tasks were replaced where that could be."
    if node.manager_status == "unreachable":
        yield "The other managers cannot reach it. It counts for the quorum all the same."
    entries = [other for other in snapshot.nodes if other.name == node.name]
    if len(entries) > 1:
        old = ", ".join(other.id for other in entries if other is not node)
        yield f"It is listed {len(entries)} times; to remove what is left from before: docker node rm {old}"
    tasks = [task for task in snapshot.tasks if task.node == node.name and task.wanted]
    yield f"Tasks there: {', '.join(f'{task.name} ({task.state})' for task in tasks) or 'none'}."
