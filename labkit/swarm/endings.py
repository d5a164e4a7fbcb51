"""Tasks that ended badly: why, and what to do about it. Pure."""

from collections.abc import Iterator, Sequence

from labkit.swarm.model import Service, Snapshot, Task
from labkit.swarm.reasons import NO_ADDRESS, why_it_failed
from labkit.util.text import listed

_ENDED_BADLY = ("failed", "rejected", "orphaned")
_KILLED = 128 + 9


def ended(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """Tasks that ended badly and have no running replacement, by reason."""
    for reason, tasks in failures(snapshot, service, healed=False).items():
        yield f"{len(tasks)} of its tasks ended: {reason}."
        yield from _next(snapshot, service, reason, tasks)
        if not any(_same_work(other, tasks[0]) for other in snapshot.tasks if other.wanted):
            yield "  it won't be replaced: docker service inspect --pretty shows its restart policy"


def healed(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """Tasks that ended badly and have a running replacement, by reason."""
    for reason, tasks in failures(snapshot, service, healed=True).items():
        yield f"Before, {len(tasks)} of its tasks ended: {reason}. Replacements are running now."


def failures(snapshot: Snapshot, service: Service, *, healed: bool) -> dict[str, list[Task]]:
    """The tasks that ended badly, by reason: those with a running replacement, or those without one."""
    mine = [task for task in snapshot.tasks if task.service == service.name]
    found: dict[str, list[Task]] = {}
    for task in mine:
        if task.state in _ENDED_BADLY:
            replaced = any(other.state == "running" and _same_work(other, task) for other in mine)
            if replaced == healed:
                found.setdefault(why_it_failed(task.message), []).append(task)
    return found


def health(service: Service, task: Task) -> Iterator[str]:
    """What a task's health check runs, and how to see its output."""
    own = [part for part in service.health_check if part not in ("CMD", "CMD-SHELL")]
    yield f"  it runs {' '.join(own)}" if own else "  its image has the check: docker image inspect shows it"
    if task.container:
        yield f"  what it printed: {_inspect(task, 'json .State.Health.Log')}"


def _same_work(one: Task, other: Task) -> bool:
    """Whether two tasks have the same slot or, in global mode, the same node."""
    return one.service == other.service and (one.slot or one.node) == (other.slot or other.node)


def _next(snapshot: Snapshot, service: Service, reason: str, tasks: Sequence[Task]) -> Iterator[str]:
    task = max(tasks, key=lambda task: task.changed)
    if "no such image" in reason.lower() or "not found" in reason:
        yield f"  check the image's name, {task.image}: docker service update --image IMAGE {task.service}"
        yield from _registry(snapshot, tasks)
    elif "unhealthy" in reason:
        yield f"  its health check fails: docker service inspect --pretty {task.service} shows the command"
        yield from health(service, task)
    elif f"exit code {_KILLED}" in reason:
        yield from _killed(service, task)
    elif "exit code" in reason:
        yield f"  what it printed before it ended: docker service logs {task.service}"
    elif "port is already allocated" in reason:
        ports = listed([str(port.published) for port in service.ports if port.mode == "host"])
        yield f"  something that isn't a service has port {ports} on {task.node}: docker ps there shows it"
    elif "bind source path does not exist" in reason:
        yield "  create it on every node that may run the task, or use a named volume"
    elif NO_ADDRESS in reason:
        yield "  their nodes found no address left for their load balancers on one of its networks"
    else:
        yield f"  docker service ps --no-trunc {task.service} shows the whole message"


def _registry(snapshot: Snapshot, tasks: Sequence[Task]) -> Iterator[str]:
    """Why some nodes may not get an image that exists: they ask the registry without a password."""
    image = tasks[0].image
    first, slash, _ = image.partition("/")
    if not slash:  # an official image of Docker Hub
        return
    registry = f" {first}" if "." in first or ":" in first or first == "localhost" else ""
    lacking = sorted({task.node for task in tasks if task.node})
    having = sorted(
        {task.node for task in snapshot.tasks if task.image == image and task.state == "running"} - {*lacking}
    )
    if having:
        yield f"  it runs on {listed(having)}, so the image exists, but {listed(lacking)} couldn't pull it"
    yield (
        f"  if the registry asks for a password: docker login{registry}, "
        f"then docker service update --with-registry-auth {tasks[0].service}"
    )


def _killed(service: Service, task: Task) -> Iterator[str]:
    """Exit code 137 means SIGKILL, from the kernel if a task uses too much memory, or from somebody else."""
    if service.memory_limit:
        limit = f"{service.memory_limit / 2**20:g} MiB"
        yield f"  it was killed: the kernel kills a process that exceeds its limit, {limit} of memory"
    else:
        yield "  it was killed by a person, by a program, or by the kernel because its node ran out of memory"
    if task.container:
        yield f"  this prints true if memory was the reason: {_inspect(task, '.State.OOMKilled')}"
    if service.memory_limit:
        yield f"  to give it more: docker service update --limit-memory SIZE {service.name}"


def _inspect(task: Task, what: str) -> str:
    """The command that shows a part of a task's container, and the node to run it on."""
    return f"docker inspect --format '{{{{{what}}}}}' {task.container[:12]} on {task.node}"
