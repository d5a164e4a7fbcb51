"""Explains the state of a service or a node in plain words: why tasks wait, fail, or restart. Pure."""

from collections.abc import Iterator, Sequence

from labkit.swarm import addresses, checks, endings, placing
from labkit.swarm.model import Node, Service, Snapshot, Task
from labkit.swarm.reasons import NO_ADDRESS, describe_update, why_it_waits
from labkit.util.errors import LabError
from labkit.util.text import counted, listed

AS_WANTED = "Everything is as it should be."
_ON_THE_WAY = {
    "assigned": "is assigned to a node, which has not accepted it yet",
    "accepted": "was accepted by its node",
    "preparing": "is being prepared: the node pulls the image, and gets volumes and networks ready",
    "ready": "is ready, and waits to be started",
    "starting": "is starting: if it has a health check, that has not passed yet",
}
_ITS_TURN = "waits for its turn: it starts after a short delay, or when the task before it has stopped"
_OVERLOOKED_SECONDS = 5.0
_NAMES = 5  # of tasks that wait for the same thing
_AVAILABILITY = {
    "active": "It accepts new tasks.",
    "pause": "It's paused: it accepts no new tasks, and the ones it has keep running.",
    "drain": "It's drained: it accepts no tasks. Its own were stopped, and most were replaced elsewhere.",
}


def explain(snapshot: Snapshot, name: str) -> str:
    """Some lines about a service or a node. Raises LabError if the swarm has neither with this name."""
    if (lost := checks.no_view(snapshot)) is not None:
        raise LabError(lost.text, next_step="docker node ls on each manager shows which of them answer")
    if service := snapshot.service(name):
        return "\n".join(_of_service(snapshot, service))
    if node := snapshot.node(name):
        return "\n".join(_of_node(snapshot, node))
    known = [*(service.name for service in snapshot.services), *(node.name for node in snapshot.nodes)]
    raise LabError(
        f"the swarm has neither a service nor a node '{name}'",
        evidence=[f"it has {', '.join(known)}"],
        next_step="docker service ls and docker node ls list the names",
    )


def troubles(snapshot: Snapshot, service: str) -> list[str]:
    """What keeps a service's tasks from running, one line each; empty if nothing does."""
    found = snapshot.service(service)
    if found is None:
        return []
    return [*_waiting(snapshot, found), *endings.ended(snapshot, found), *_full(snapshot, found)]


def _of_service(snapshot: Snapshot, service: Service) -> Iterator[str]:
    wanted = [task for task in snapshot.tasks if task.service == service.name and task.wanted]
    running = snapshot.running(service.name)
    count = len(wanted) if service.replicas is None else service.replicas
    kind = "one task on each suitable node" if service.replicas is None else counted(count, "replica")
    yield f"{service.name} ({service.image}): {kind} wanted, {len(running)} of {count} running."
    for node, number in sorted(snapshot.tasks_per_node(service.name).items()):
        yield f"  {node} runs {number}"
    if service.replicas == 0:
        yield "It is scaled to 0, so no tasks should run."
    yield from _update(service, running)
    trouble = [*troubles(snapshot, service.name), *addresses.over_nodes(snapshot, service)]
    yield from trouble
    for task in wanted:
        if task.state in _ON_THE_WAY:
            turn = task.desired_state == "ready"
            yield f"{task.name} on {task.node} {_ITS_TURN if turn else _ON_THE_WAY[task.state]}."
            if task.state == "starting" and service.health_check and not trouble:
                yield from endings.health(service, task)
    done = [task for task in snapshot.tasks if task.service == service.name and task.state == "complete"]
    if done and len(running) < count:
        ended = f"{len(done)} of its tasks completed, with exit code 0"
        yield ended + ("." if wanted else ", and its restart policy doesn't start another.")
        if service.health_check:
            yield "  a task that fails its health check is stopped, and its program may then exit with 0"
            yield from endings.health(service, max(done, key=lambda task: task.changed))
    yield from endings.healed(snapshot, service)
    if not trouble and len(running) == count and not _has_news(service):
        yield AS_WANTED


def _has_news(service: Service) -> bool:
    """Whether its last update is worth a line: it isn't finished, or it went wrong."""
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
        yield f"  docker service rollback {service.name} undoes it; another docker service update continues"


def _waiting(snapshot: Snapshot, service: Service) -> Iterator[str]:
    waiting = [task for task in snapshot.tasks if task.service == service.name and task.wanted]
    yield from _without_address(snapshot, service, [task for task in waiting if task.state == "new"])
    pending = [task for task in waiting if task.state == "pending"]
    dropped = _dropped(snapshot, service, pending)
    if dropped:
        yield from _say_dropped(snapshot, service, dropped)
    left = [task for task in pending if task not in dropped]
    for message in dict.fromkeys(task.message for task in left):
        tasks = [task for task in left if task.message == message]
        yield f"{_wait(tasks)} for a node: {why_it_waits(message)}."
        if "constraints" in message:
            yield from placing.unmet(snapshot, service)
        if "insufficient resources" in message:
            yield from placing.room(snapshot, service)
        if "not available for new tasks" in message:
            yield from placing.closed(snapshot)
        if "host-mode port" in message:
            yield from placing.taken(snapshot, service)
        if "max replicas per node" in message:
            yield f"  at most {service.max_per_node} on a node: add nodes, or"
            yield f"  docker service update --replicas-max-per-node NUMBER {service.name}"


def _wait(tasks: Sequence[Task]) -> str:
    """`web.1 waits`, `web.1, web.2 wait`; the names of a few when there are many."""
    names = [task.name for task in sorted(tasks, key=lambda task: task.slot)[:_NAMES]]
    more = f" and {len(tasks) - _NAMES} more" if len(tasks) > _NAMES else ""
    return f"{', '.join(names)}{more} {'waits' if len(tasks) == 1 else 'wait'}"


def _without_address(snapshot: Snapshot, service: Service, new: Sequence[Task]) -> Iterator[str]:
    """A task is `new` until Swarm has given it an address on each of its networks."""
    if not new:
        return
    full = listed([found.network.name for found in addresses.too_small(snapshot, service)])
    if full:
        yield f"{_wait(new)} for an address on {full}, which has none left."
        return
    for network in addresses.without_subnet(snapshot, service):
        yield f"{_wait(new)} for an address on {network.name}, which has no subnet."
        yield from addresses.describe_without_subnet(snapshot, network, service)
        return
    if service.update in ("updating", "rollback_started"):
        yield f"{_wait(new)} for a network address, or for the update to replace it."
        return
    yield f"{_wait(new)} for network addresses, which Swarm usually assigns in less than a second."
    leader = next((node.name for node in snapshot.nodes if node.manager_status == "leader"), "the leader")
    yield f"  if it takes longer, the log of the engine on {leader} says why"
    if any(network.attachable for network in snapshot.networks if network.name in service.networks):
        yield "  containers that joined its network with docker run take addresses too"


def _full(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """The networks that keep a service's tasks waiting, or that made nodes reject them."""
    mine = [task for task in snapshot.tasks if task.service == service.name]
    rejected = any(NO_ADDRESS in reason for reason in endings.failures(snapshot, service, healed=False))
    if rejected or any(task.wanted and task.state == "new" for task in mine):
        for found in addresses.too_small(snapshot, service):
            yield from addresses.describe(found, service)


def _dropped(snapshot: Snapshot, service: Service, pending: Sequence[Task]) -> list[Task]:
    """The tasks that a node could run, but that Swarm's scheduler has dropped from its queue.

    It drops a task that no node can run if the service was updated after the task was created, even if the
    update doesn't concern the task, such as a new label or number of replicas (moby issue 53722; swarmkit:
    manager/scheduler/scheduler.go, noSuitableNode).
    """
    if not service.revised or not placing.fitting(snapshot, service):
        return []
    # An update also revises the service right after it has created a task. The scheduler handles new tasks
    # within a second, so a task counts only if it's known to have waited for longer.
    changes = [each.changed for each in snapshot.services] + [each.changed for each in snapshot.tasks]
    return [
        task
        for task in pending
        if not task.node
        and task.created < service.changed
        and max(changes) - task.changed >= _OVERLOOKED_SECONDS
    ]


def _say_dropped(snapshot: Snapshot, service: Service, dropped: Sequence[Task]) -> Iterator[str]:
    verb, them = ("stays", "it") if len(dropped) == 1 else ("stay", "them")
    names = _wait(dropped).rpartition(" ")[0]
    nodes = listed(placing.fitting(snapshot, service))
    yield f"{names} {verb} pending although {nodes} could run {them}: Swarm doesn't look at {them} again."
    yield f"  {service.name} was updated while no node could run {them}, so Swarm's scheduler dropped {them}"
    yield f"  docker service update --force {service.name} replaces {them} (moby issue 53722)"


def _of_node(snapshot: Snapshot, node: Node) -> Iterator[str]:
    status = f", as manager {node.manager_status}" if node.manager_status else ""
    yield f"{node.name}: a {node.role}, {node.status}{status}, availability {node.availability}."
    if node.status == "ready":
        yield _AVAILABILITY.get(node.availability, "")
    if node.status == "down":
        yield "It has not reported for a while, or it has left. Its tasks were replaced where possible."
    if node.manager_status == "unreachable":
        yield "The other managers cannot reach it. It still counts for the quorum."
    entries = [other for other in snapshot.nodes if other.name == node.name]
    if len(entries) > 1:
        old = ", ".join(other.id for other in entries if other is not node)
        yield f"It is listed {len(entries)} times; to remove what is left from before: docker node rm {old}"
    tasks = [task for task in snapshot.tasks if task.node == node.name and task.wanted]
    yield f"Tasks there: {', '.join(f'{task.name} ({task.state})' for task in tasks) or 'none'}."
