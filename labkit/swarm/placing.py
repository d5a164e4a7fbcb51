"""Which nodes can run a service's next task, and what rules out the others. Pure."""

from collections.abc import Callable, Iterator

from labkit.swarm import checks
from labkit.swarm.model import Node, Port, Service, Snapshot, Task

_OPEN = "docker node update --availability active NODE reopens one"
_Amount = Callable[[Service | Node], float]
_RESERVED: tuple[tuple[str, _Amount, Callable[[float], str]], ...] = (
    ("memory", lambda owner: owner.memory, lambda size: f"{size / 2**30:.1f} GiB"),
    ("processor cores", lambda owner: owner.cpus, lambda cores: f"{cores:g}"),
)


def fitting(snapshot: Snapshot, service: Service) -> list[str]:
    """The nodes that could run one more task of a service now, as far as a snapshot shows.

    If a constraint is about something that snapshots leave out, no node counts. Plugins, platforms, and
    generic resources aren't considered.
    """
    return [
        node.name
        for node in snapshot.nodes
        if node.status == "ready"
        and node.availability == "active"
        and all(_meets(node, text) for text in service.constraints)
        and all(_free(snapshot, node, amount) >= amount(service) for _, amount, _ in _RESERVED)
        and not any(_shares(port, other) for port in service.ports for other in _held(snapshot, node))
        and not 0 < service.max_per_node <= len(_on(snapshot, node, service.name))
    ]


def closed(snapshot: Snapshot) -> Iterator[str]:
    """The nodes that accept no new tasks, and how to change that."""
    shut = [
        f"{node.name} is on {node.availability}" for node in snapshot.nodes if node.availability != "active"
    ]
    down = [f"{node.name} is {node.status}" for node in snapshot.nodes if node.status != "ready"]
    if shut:
        yield f"  {', '.join(shut)}: {_OPEN}"
    if down:
        yield f"  {', '.join(down)}: it has to come back, or other nodes have to take over"


def taken(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """The ports in host mode that a service's tasks compete for, with each other or with other services."""
    for port in (port for port in service.ports if port.mode == "host"):
        others = [
            other.name
            for other in snapshot.services
            if other is not service and any(_shares(mine, port) for mine in other.ports)
        ]
        also = f", and so {'does' if len(others) == 1 else 'do'} {', '.join(others)}" if others else ""
        yield f"  it publishes port {port.published} in host mode{also}: only one task per node can use it"


def unmet(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """Each constraint of a service, with the nodes that meet it."""
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
            yield f"  docker node update --label-add {label}={value} NODE adds that label to a node"


def room(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """What each task of a service reserves, and what the nodes have left."""
    for what, amount, said in _RESERVED:
        if amount(service):
            free = {node.name: _free(snapshot, node, amount) for node in snapshot.nodes if amount(node)}
            left = ", ".join(f"{name} has {said(max(0, size))}" for name, size in free.items())
            asked = f"{said(amount(service))} {what}"
            yield f"  each task reserves {asked}; not reserved yet: {left or 'unknown'}"


def _meets(node: Node, constraint: str) -> bool:
    found = checks.CONSTRAINT.fullmatch(constraint)
    has = checks.constrained(found[1], node) if found else None
    return found is not None and has is not None and (has == found[3]) == (found[2] == "==")


def _free(snapshot: Snapshot, node: Node, amount: _Amount) -> float:
    """The resources of a node that no task has reserved."""
    services = {service.name: service for service in snapshot.services}
    on_it = (task for task in _on(snapshot, node) if task.service in services)
    return amount(node) - sum(amount(services[task.service]) for task in on_it)


def _held(snapshot: Snapshot, node: Node) -> Iterator[Port]:
    """The ports that tasks on a node have published."""
    services = {task.service for task in _on(snapshot, node)}
    return (port for service in snapshot.services if service.name in services for port in service.ports)


def _on(snapshot: Snapshot, node: Node, service: str | None = None) -> list[Task]:
    """The desired tasks on a node, of one service or of all."""
    tasks = (task for task in snapshot.tasks if task.node == node.name and task.wanted)
    return [task for task in tasks if service in (None, task.service)]


def _shares(one: Port, other: Port) -> bool:
    """Whether two published ports can't both be on the same node."""
    modes = one.mode == other.mode == "host"
    return modes and (one.published, one.protocol) == (other.published, other.protocol)
