"""The swarm as data: frozen dataclasses, parsed from the engines' API answers. Pure; touches no engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(frozen=True)
class Node:
    """A member of the swarm as `docker node ls` shows it.

    `role`: `manager` or `worker`; `availability`: `active`, `pause` or `drain`; `status`: `ready`, `down`, …;
    `manager_status`: `leader`, `reachable`, `unreachable`, or empty for a worker. `cpus` in cores and
    `memory` in bytes are what the node has in all, 0 where it never reported.
    """

    id: str
    name: str
    role: str
    availability: str
    status: str
    manager_status: str
    address: str
    labels: Mapping[str, str]
    cpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Network:
    """A network that spans the swarm's nodes."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...] = ()
    encrypted: bool = False
    ingress: bool = False


@dataclass(frozen=True)
class Port:
    """A published port; `mode` is `ingress` (the routing mesh) or `host` (on the task's own node)."""

    published: int
    target: int
    protocol: str
    mode: str

    def __str__(self) -> str:
        return f"{self.published} to {self.target} ({self.mode} mode)"


@dataclass(frozen=True)
class Service:
    """A service; `replicas` is the desired number of tasks, None in global mode.

    `networks` are names; `vips` maps a network's name to the service's virtual address there. `update` is
    the state of the last update (`updating`, `paused`, `completed`, `rollback_completed`, …), empty when
    there was none. `created` in seconds of the epoch. Each task reserves `cpus` (cores) and `memory` (bytes).
    """

    id: str
    name: str
    image: str
    replicas: int | None
    networks: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    vips: Mapping[str, str] = field(default_factory=dict)
    update: str = ""
    update_message: str = ""
    created: float = 0.0
    constraints: tuple[str, ...] = ()
    cpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Task:
    """One task. `node` is a node's name, empty until the task is assigned; `slot` is 0 in global mode.

    `created` and `changed` (the last change of `state`) in seconds of the epoch, by the managers' clock.
    `networks` are the names of those that it is on, without `ingress`.
    """

    id: str
    service: str
    slot: int
    node: str
    state: str
    desired_state: str
    message: str
    image: str = ""
    created: float = 0.0
    changed: float = 0.0
    exit_code: int = 0
    networks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`web.3`, or `web` on a node for a task in global mode, as people speak of it."""
        return f"{self.service}.{self.slot}" if self.slot else self.service

    @property
    def wanted(self) -> bool:
        """Whether the swarm wants this task to run: the others are history."""
        return self.desired_state in ("running", "ready", "complete")


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
    networks: tuple[Network, ...] = ()
    quorum: bool | None = None

    def node(self, name: str) -> Node | None:
        """The swarm's entry for a node; the one that is not down when a rejoined node left an old one."""
        entries = [node for node in self.nodes if node.name == name]
        return min(entries, key=lambda node: node.status == "down", default=None)

    def service(self, name: str) -> Service | None:
        """The service of this name."""
        return next((service for service in self.services if service.name == name), None)

    def running(self, service: str) -> list[Task]:
        """The tasks of a service that run and are meant to.

        What the swarm says of a node that is down is what was last heard of it; `docker service ls` does not
        count those tasks either (ServiceListStatus in moby: daemon/cluster/services.go).
        """
        up = {node.name for node in self.nodes if node.status != "down"}
        tasks = (task for task in self.tasks if task.service == service and task.wanted)
        return [task for task in tasks if task.state == "running" and task.node in up]


def parse_engine(name: str, container: str, swarm: str | None) -> Engine:
    """One engine from its container's state and the header `Swarm` of its answer to `GET /_ping`.

    The header is `active/manager`, `active/worker`, `inactive`, … (Docker Engine API 1.42, "Ping"); None
    stands for no answer.
    """
    state, _, role = (swarm or "unknown").partition("/")
    return Engine(name=name, container=container, swarm=state, manager=role == "manager")


def parse(
    engines: Sequence[Engine],
    nodes: Sequence[Json],
    services: Sequence[Json],
    tasks: Sequence[Json],
    networks: Sequence[Json] = (),
) -> Snapshot:
    """A snapshot from a manager's answers to `GET /nodes`, `/services`, `/tasks` and `/networks`."""
    members = tuple(_node(entry) for entry in nodes)
    node_names = {node.id: node.name for node in members}
    service_names = {entry["ID"]: entry["Spec"]["Name"] for entry in services}
    spanning = tuple(_network(entry) for entry in networks if entry["Scope"] == "swarm")
    network_names = {network.id: network.name for network in spanning}
    return Snapshot(
        engines={engine.name: engine for engine in engines},
        nodes=tuple(sorted(members, key=lambda node: node.name)),
        services=tuple(
            sorted((_service(entry, network_names) for entry in services), key=lambda service: service.name)
        ),
        tasks=tuple(_task(entry, service_names, node_names) for entry in tasks),
        networks=spanning,
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
        **_resources(entry["Description"].get("Resources")),
    )


def _network(entry: Json) -> Network:
    options = entry.get("Options") or {}
    return Network(
        id=entry["Id"],
        name=entry["Name"],
        driver=entry["Driver"],
        # The engine tells them in any order.
        subnets=tuple(sorted(config["Subnet"] for config in (entry.get("IPAM") or {}).get("Config") or ())),
        encrypted="encrypted" in options,
        ingress=bool(entry.get("Ingress")),
    )


def _service(entry: Json, networks: Mapping[str, str]) -> Service:
    spec, endpoint = entry["Spec"], entry.get("Endpoint") or {}
    update = entry.get("UpdateStatus") or {}
    attached = spec["TaskTemplate"].get("Networks") or spec.get("Networks") or ()
    return Service(
        id=entry["ID"],
        name=spec["Name"],
        image=_image(spec["TaskTemplate"]),
        replicas=spec["Mode"].get("Replicated", {}).get("Replicas"),
        networks=tuple(networks.get(network["Target"], network["Target"]) for network in attached),
        ports=tuple(
            Port(port.get("PublishedPort", 0), port["TargetPort"], port["Protocol"], port["PublishMode"])
            for port in endpoint.get("Ports") or ()
        ),
        vips={
            networks.get(vip["NetworkID"], vip["NetworkID"]): vip["Addr"].partition("/")[0]
            for vip in endpoint.get("VirtualIPs") or ()
            if vip.get("Addr")
        },
        update=update.get("State", ""),
        update_message=update.get("Message", ""),
        created=seconds(entry["CreatedAt"]),
        constraints=tuple((spec["TaskTemplate"].get("Placement") or {}).get("Constraints") or ()),
        **_resources((spec["TaskTemplate"].get("Resources") or {}).get("Reservations")),
    )


def _resources(entry: Json | None) -> dict[str, Any]:
    """Cores and bytes of what a node has, or a task reserves."""
    entry = entry or {}
    return {"cpus": entry.get("NanoCPUs", 0) / 1e9, "memory": entry.get("MemoryBytes", 0)}


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
        image=_image(entry["Spec"]),
        created=seconds(entry["CreatedAt"]),
        changed=seconds(status["Timestamp"]),
        exit_code=(status.get("ContainerStatus") or {}).get("ExitCode", 0),
        networks=tuple(_attached(entry)),
    )


def _attached(task: Json) -> Iterator[str]:
    """The names of the networks that a task is on, but for the routing mesh."""
    for attachment in task.get("NetworksAttachments") or ():
        spec = attachment["Network"].get("Spec") or {}
        if not spec.get("Ingress"):
            yield spec.get("Name", attachment["Network"].get("ID", ""))


def _image(spec: Json) -> str:
    """The image as people write it, without the digest that the swarm adds."""
    return str((spec.get("ContainerSpec") or {}).get("Image", "")).partition("@")[0]


def seconds(timestamp: str) -> float:
    """Seconds of the epoch from an engine's timestamp such as `2026-11-23T11:26:05.934235654Z`."""
    return datetime.fromisoformat(timestamp).timestamp()
