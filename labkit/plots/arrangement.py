"""What the placement picture shows, and where: nodes with tiles, waiting tasks, failures, services."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from labkit.swarm.model import Engine, Node, Service, Snapshot, Task
from labkit.swarm.reasons import why_it_failed, why_it_waits
from labkit.util.text import natural

LONGEST = 12  # tiles in a column; with more, one tile stands for a service's tasks in the same state
LOST = ("off", "frozen", "no answer")  # nodes that should take part, but don't
_FAILED = ("failed", "rejected")
_ENDED = ("complete", "shutdown", "remove", *_FAILED)
_CONDITIONS = {"exited": "off", "dead": "off", "created": "off", "paused": "frozen"}


@dataclass(frozen=True)
class Tile:
    """A task, or `count` tasks that are alike. `state` is empty for a running task. `image` is set only while
    its service runs several images, and `current` if it is the one that the service specifies."""

    service: str
    label: str
    state: str = ""
    image: str = ""
    current: bool = False
    count: int = 1

    @property
    def text(self) -> str:
        """The tile in words: `web.3 starting (web:2)`."""
        return " ".join(filter(None, [self.label, self.state, self.image and f"({self.image})"]))


@dataclass(frozen=True)
class Failures:
    """How many tasks of a service failed on a node, and the last one's reason."""

    service: str
    count: int
    reason: str


@dataclass(frozen=True)
class Column:
    """A node. `role`: `manager`, `worker`, or empty; `part`: leader, reachable, unreachable, or empty.

    `status` is what the swarm reports (ready, down, …), or empty if it doesn't know the node. `condition` is
    what's visible from outside: `off`, `frozen`, `in no swarm`, `locked`, …, or empty for a node that is on
    and takes part. `docker` is its engine's version, if the swarm knows it.
    """

    name: str
    role: str
    part: str
    status: str
    availability: str
    condition: str
    tiles: tuple[Tile, ...] = ()
    failures: tuple[Failures, ...] = ()
    docker: str = ""


@dataclass(frozen=True)
class Waiting:
    """The tasks of a service that wait for a node, for one reason."""

    service: str
    labels: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Entry:
    """A service: how many tasks are running, how many are desired, and the state of its last update."""

    name: str
    image: str
    running: int
    wanted: int
    mode: str
    update: str


@dataclass(frozen=True)
class Arrangement:
    """The whole picture in a stable order: nodes and services by name, tasks by service and slot."""

    columns: tuple[Column, ...]
    waiting: tuple[Waiting, ...]
    services: tuple[Entry, ...]


def arrange(snapshot: Snapshot) -> Arrangement:
    """Columns for all nodes of the swarm and of the lab; tiles for all tasks that aren't history."""
    names = sorted({*(node.name for node in snapshot.nodes), *snapshot.engines}, key=natural)
    tasks = sorted(snapshot.tasks, key=lambda task: (natural(task.service), task.slot, task.created))
    on = {name: [task for task in tasks if task.node == name] for name in names}
    current = [task for task in tasks if snapshot.service(task.service)]  # not of removed services
    mixed = _mixed(current)
    tiles = {name: _tiles(snapshot, on[name], mixed) for name in names}
    if max((len(column) for column in tiles.values()), default=0) > LONGEST:
        tiles = {name: _merged(column) for name, column in tiles.items()}
    return Arrangement(
        columns=tuple(
            _column(
                snapshot.node(name),
                snapshot.engines.get(name),
                name,
                tiles[name],
                _failures([task for task in current if task.node == name]),
                complete=snapshot.quorum is True,
            )
            for name in names
        ),
        waiting=_waiting(current),
        services=tuple(
            _entry(snapshot, service, [task for task in tasks if task.service == service.name])
            for service in sorted(snapshot.services, key=lambda service: natural(service.name))
        ),
    )


def _column(
    node: Node | None,
    engine: Engine | None,
    name: str,
    tiles: tuple[Tile, ...],
    failures: tuple[Failures, ...],
    *,
    complete: bool,
) -> Column:
    """`complete`: the swarm has listed all its nodes, so a node without an entry isn't in the list."""
    condition = describe_engine(engine, member=node is not None)
    if node is None:
        known = engine is not None and engine.swarm == "active"
        if known and complete:
            return Column(name, "", "", "", "", "not in the list")
        role = ("manager" if engine.manager else "worker") if engine and known else ""
        return Column(name, role, "", "", "", condition)
    member = (name, node.role, node.manager_status, node.status, node.availability)
    return Column(*member, condition, tiles, failures, node.docker)


def describe_engine(engine: Engine | None, *, member: bool = True) -> str:
    """The condition of a lab node, seen from outside; empty if it is on and in a swarm.

    `member`: whether the swarm lists it.
    """
    if engine is None:
        return ""
    if engine.container in _CONDITIONS:
        return _CONDITIONS[engine.container]
    match engine.swarm:
        case "active":
            return ""
        case "inactive":
            return "has left" if member else "in no swarm"
        case "unknown":
            return "no answer"
        case other:
            return other


def _tiles(snapshot: Snapshot, tasks: list[Task], mixed: set[str]) -> tuple[Tile, ...]:
    return tuple(tile for task in tasks if (tile := _tile(snapshot, task, mixed)))


def _tile(snapshot: Snapshot, task: Task, mixed: set[str]) -> Tile | None:
    state = _state(snapshot, task)
    if state is None:
        return None
    service = snapshot.service(task.service)
    if service is None:
        return Tile("", f"removed.{task.slot}" if task.slot else "removed", state)
    if service.name not in mixed:
        return Tile(service.name, task.name, state)
    return Tile(service.name, task.name, state, task.image, current=task.image == service.image)


def _state(snapshot: Snapshot, task: Task) -> str | None:
    """The state in a word; empty for a running task; None for history, failures, and tasks that wait."""
    if task.state in _FAILED or (task.state in _ENDED and task.desired_state != "complete"):
        return None
    node = snapshot.node(task.node)
    if task.state == "orphaned" or (not task.wanted and node is not None and node.status != "ready"):
        return "lost"
    if not task.wanted:
        return "stopping"
    return {"running": "", "complete": "done"}.get(task.state, task.state)


def _mixed(tasks: list[Task]) -> set[str]:
    """The services whose tasks have several images at the moment."""
    images: dict[str, set[str]] = {}
    for task in tasks:
        if task.wanted and task.state not in _ENDED:
            images.setdefault(task.service, set()).add(task.image)
    return {service for service, several in images.items() if len(several) > 1}


def _merged(tiles: Iterable[Tile]) -> tuple[Tile, ...]:
    """One tile for all tasks with the same service, state, and image."""
    alike: dict[tuple[object, ...], list[Tile]] = {}
    for tile in tiles:
        alike.setdefault((tile.service, tile.state, tile.image), []).append(tile)
    return tuple(
        replace(first, label=f"{first.service or 'removed'} × {len(others) + 1}", count=len(others) + 1)
        if others
        else first
        for first, *others in alike.values()
    )


def _failures(tasks: list[Task]) -> tuple[Failures, ...]:
    failed = [task for task in tasks if task.state in _FAILED]
    return tuple(
        Failures(service, len(group), why_it_failed(max(group, key=lambda task: task.changed).message))
        for service, group in (
            (name, list(some)) for name, some in groupby(failed, lambda task: task.service)
        )
    )


def _waiting(tasks: list[Task]) -> tuple[Waiting, ...]:
    rows: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        if task.wanted and not task.node and task.state not in _ENDED:
            rows.setdefault((task.service, why_it_waits(task.message)), []).append(task.name)
    return tuple(Waiting(service, tuple(labels), reason) for (service, reason), labels in rows.items())


def _entry(snapshot: Snapshot, service: Service, tasks: list[Task]) -> Entry:
    wanted = [task for task in tasks if task.wanted]
    mode = ""
    if service.replicas is None:
        mode = "job" if any(task.desired_state == "complete" for task in tasks) else "global"
    return Entry(
        name=service.name,
        image=service.image,
        running=len(snapshot.running(service.name)),
        wanted=len({task.node for task in wanted}) if service.replicas is None else service.replicas,
        mode=mode,
        update=service.update,
    )
