"""The swarm as data: frozen dataclasses, parsed from the engines' API answers. Pure; touches no engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Engine:
    """One lab node as seen from outside and by its own engine.

    `container` is the container's state (`running`, `exited`, `paused`, …); `swarm` the engine's local node
    state (`inactive`, `pending`, `active`, `error`, `locked`; `unknown` when it does not answer).
    """

    name: str
    container: str
    swarm: str = "unknown"
    manager: bool = False
    error: str = ""


@dataclass(frozen=True)
class Node:
    """A member of the swarm as `docker node ls` shows it.

    `role`: `manager` or `worker`; `availability`: `active`, `pause` or `drain`; `status`: `ready`, `down`, …;
    `manager_status`: `leader`, `reachable`, `unreachable`, or empty for a worker.
    """

    id: str
    name: str
    role: str
    availability: str
    status: str
    manager_status: str
    address: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A service; `replicas` is the desired number of tasks, None in global mode."""

    id: str
    name: str
    image: str
    replicas: int | None


@dataclass(frozen=True)
class Task:
    """One task. `node` is a node's name, empty until the task is assigned; `slot` is 0 in global mode."""

    id: str
    service: str
    slot: int
    node: str
    state: str
    desired_state: str
    message: str


@dataclass(frozen=True)
class Snapshot:
    """Everything the lab knows about its swarm at one moment.

    `quorum` is None while no engine is a manager, False when managers cannot agree on a leader: then
    nodes, services and tasks are empty because nobody can tell.
    """

    engines: Mapping[str, Engine]
    nodes: tuple[Node, ...] = ()
    services: tuple[Service, ...] = ()
    tasks: tuple[Task, ...] = ()
    quorum: bool | None = None

    def node(self, name: str) -> Node | None:
        """The swarm's entry for a node; the one that is not down when a rejoined node left an old one."""
        entries = [node for node in self.nodes if node.name == name]
        return min(entries, key=lambda node: node.status == "down", default=None)


def parse_engine(name: str, container: str, info: Json | None) -> Engine:
    """One engine from its container's state and its answer to `GET /info` (None when it gave none)."""
    swarm = (info or {}).get("Swarm", {})
    return Engine(
        name=name,
        container=container,
        swarm=swarm.get("LocalNodeState") or "unknown",
        manager=bool(swarm.get("ControlAvailable")),
        error=swarm.get("Error", ""),
    )


def parse(
    engines: Sequence[Engine], nodes: Sequence[Json], services: Sequence[Json], tasks: Sequence[Json]
) -> Snapshot:
    """A snapshot from a manager's answers to `GET /nodes`, `/services` and `/tasks`."""
    parsed = tuple(_node(entry) for entry in nodes)
    node_names = {node.id: node.name for node in parsed}
    service_names = {entry["ID"]: entry["Spec"]["Name"] for entry in services}
    return Snapshot(
        engines={engine.name: engine for engine in engines},
        nodes=tuple(sorted(parsed, key=lambda node: node.name)),
        services=tuple(_service(entry) for entry in services),
        tasks=tuple(_task(entry, service_names, node_names) for entry in tasks),
        quorum=True,
    )


def _node(entry: Json) -> Node:
    spec, manager = entry["Spec"], entry.get("ManagerStatus") or {}
    return Node(
        id=entry["ID"],
        name=entry["Description"].get("Hostname", ""),
        role=spec["Role"],
        availability=spec["Availability"],
        status=entry["Status"]["State"],
        manager_status="leader" if manager.get("Leader") else manager.get("Reachability", ""),
        address=entry["Status"].get("Addr", ""),
        labels=spec.get("Labels") or {},
    )


def _service(entry: Json) -> Service:
    spec = entry["Spec"]
    return Service(
        id=entry["ID"],
        name=spec["Name"],
        image=spec["TaskTemplate"].get("ContainerSpec", {}).get("Image", "").partition("@")[0],
        replicas=spec["Mode"].get("Replicated", {}).get("Replicas"),
    )


def _task(entry: Json, services: Mapping[str, str], nodes: Mapping[str, str]) -> Task:
    status = entry["Status"]
    return Task(
        id=entry["ID"],
        service=services.get(entry["ServiceID"], entry["ServiceID"]),
        slot=entry.get("Slot", 0),
        node=nodes.get(entry.get("NodeID", ""), entry.get("NodeID", "")),
        state=status["State"],
        desired_state=entry["DesiredState"],
        message=status.get("Err") or status.get("Message", ""),
    )
