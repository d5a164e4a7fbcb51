"""The swarm as data: frozen dataclasses. Pure; touches no engine."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.util.errors import LabError

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Engine:
    """One lab node as seen from outside and by its own engine.

    `container` is the container's state (`running`, `exited`, `paused`, …). `swarm` is the engine's local
    node state (`inactive`, `pending`, `active`, `error`, `locked`), or `unknown` if it doesn't answer.
    """

    name: str
    container: str
    swarm: str = "unknown"
    manager: bool = False


@dataclass(frozen=True)
class Node:
    """A member of the swarm as `docker node ls` shows it.

    `role`: `manager` or `worker`; `availability`: `active`, `pause`, or `drain`; `status`: `ready`, `down`,
    …; `manager_status`: `leader`, `reachable`, `unreachable`, or empty for a worker. `cpus` (in cores) and
    `memory` (in bytes) are the node's totals, or 0 if it never reported. `docker` is its engine's version,
    such as `26.1.5`.
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
    docker: str = ""


@dataclass(frozen=True)
class Network:
    """A network that spans the swarm's nodes.

    `addresses` is how many IPv4 addresses it has for tasks, services, and nodes, or 0 if its subnet isn't
    known. Plain containers can join an `attachable` one.
    """

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...] = ()
    encrypted: bool = False
    ingress: bool = False
    addresses: int = 0
    attachable: bool = False


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
    the state of the last update (`updating`, `paused`, `completed`, `rollback_completed`, …), or empty if
    there was none. `created` and `changed` are in seconds since the epoch. Each task reserves `cpus` (cores)
    and `memory` (bytes), and may use `memory_limit` bytes, where 0 means no limit. At most `max_per_node`
    tasks run on a node, where 0 means any number. `health_check` is the service's own, not its image's.
    `virtual_ip` is False for `--endpoint-mode dnsrr`. `revised` means that its specification was updated.
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
    memory_limit: int = 0
    max_per_node: int = 0
    health_check: tuple[str, ...] = ()
    virtual_ip: bool = True
    revised: bool = False
    changed: float = 0.0


@dataclass(frozen=True)
class Task:
    """One task. `node` is a node's name, empty until the task is assigned; `slot` is 0 in global mode.

    `created` and `changed` (the last change of `state`) are in seconds since the epoch, by the managers'
    clock. `networks` are the names of its networks, without `ingress`. `container` is its container's ID.
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
    container: str = ""

    @property
    def name(self) -> str:
        """`web.3`, or just `web` for a task in global mode."""
        return f"{self.service}.{self.slot}" if self.slot else self.service

    @property
    def wanted(self) -> bool:
        """Whether the swarm wants this task to run. The others are history."""
        return self.desired_state in ("running", "ready", "complete")

    @property
    def over(self) -> bool:
        """Whether it has ended, and released its addresses and reservations."""
        return self.state in ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")


@dataclass(frozen=True)
class Snapshot:
    """Everything the lab knows about its swarm at one moment.

    `quorum` is None if no engine is a manager, and False if the managers can't agree on a leader. In that
    case, nodes, services, and tasks are empty, because no manager can list them.
    """

    engines: Mapping[str, Engine]
    nodes: tuple[Node, ...] = ()
    services: tuple[Service, ...] = ()
    tasks: tuple[Task, ...] = ()
    networks: tuple[Network, ...] = ()
    quorum: bool | None = None

    def node(self, name: str) -> Node | None:
        """The swarm's entry for a node. If a rejoined node has left an old one, the one that isn't down."""
        entries = [node for node in self.nodes if node.name == name]
        return min(entries, key=lambda node: node.status == "down", default=None)

    def service(self, name: str) -> Service | None:
        """The service with this name."""
        return next((service for service in self.services if service.name == name), None)

    @property
    def answering_manager(self) -> str | None:
        """The name of a manager that answers for the swarm; None if there is none."""
        in_touch = {node.name for node in self.nodes if node.manager_status in ("leader", "reachable")}
        return next((name for name, seen in self.engines.items() if seen.manager and name in in_touch), None)

    @property
    def demoted_managers(self) -> tuple[str, ...]:
        """The nodes that the swarm already lists as workers while their engines are still managers.

        One that's down doesn't count: its engine may be the manager of another swarm.
        """
        ready = (node.name for node in self.nodes if node.role == "worker" and node.status == "ready")
        return tuple(name for name in ready if (seen := self.engines.get(name)) and seen.manager)

    def no_manager(self) -> LabError:
        """Return the error for a command that needs a manager when none answers."""
        return LabError(
            "no manager answers, and only managers can answer questions about the swarm",
            evidence=[
                f"{engine.name}: container {engine.container}, swarm {engine.swarm}"
                for engine in self.engines.values()
            ],
            next_step="start a manager that is off; if there is no swarm yet: docker swarm init",
        )

    def running(self, service: str) -> list[Task]:
        """The desired tasks of a service that are running.

        Tasks on a node that is down don't count, because the swarm only has its last report. `docker service
        ls` doesn't count them either (ServiceListStatus in moby: daemon/cluster/services.go).
        """
        up = {node.name for node in self.nodes if node.status != "down"}
        tasks = (task for task in self.tasks if task.service == service and task.wanted)
        return [task for task in tasks if task.state == "running" and task.node in up]

    def tasks_per_node(self, service: str) -> Counter[str]:
        """How many tasks of a service run on each node; 0 for nodes without one."""
        return Counter(task.node for task in self.running(service))
