"""What the engines of real swarms answered, from tests/data."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.swarm.model import Engine, Snapshot
from labkit.swarm.parse import parse_engine, parse_snapshot

DATA = Path(__file__).parent / "data"
RECORDINGS = [
    "three-nodes",
    "services",
    "overlays",
    "half-updated",
    "pending-and-failed",
    "three-managers",
    "drained",
    "manager-unreachable",
    "quorum-lost",
    "network-full",
    "registry-password",
    "host-ports",
    "no-room",
    "dropped",
    "logs-hang",
    "unhealthy",
    "out-of-memory",
    "subnet-overlaps",
]
NO_SWARM = Snapshot(
    {
        "manager1": Engine("manager1", "running", "inactive"),
        "worker1": Engine("worker1", "exited"),
        "worker2": Engine("worker2", "paused"),
    }
)
EMPTY = Snapshot({})


def answers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return found


def recorded(name: str) -> Snapshot:
    """The snapshot of a recorded swarm; managers without a quorum answered no more than their /info."""
    data = answers(name)
    engines = [
        parse_engine(engine, entry["container"], entry["swarm"]) for engine, entry in data["engines"].items()
    ]
    if "error" in data:
        return Snapshot(engines={engine.name: engine for engine in engines}, quorum=False)
    return parse_snapshot(engines, data["nodes"], data["services"], data["tasks"], data["networks"])


def enlarged(nodes: int, tasks: int, services: Sequence[str] = ("api", "cache", "db", "web")) -> Snapshot:
    """A swarm of any size, made of the recorded answers "three-nodes" and "services".

    The first three nodes are managers; every node runs tasks of every service.
    """
    three, web = answers("three-nodes"), answers("services")
    leader, worker = (
        next(node for node in three["nodes"] if node["Description"]["Hostname"] == name)
        for name in ("manager1", "worker1")
    )
    service = next(entry for entry in web["services"] if entry["Spec"]["Name"] == "web")
    task = next(entry for entry in web["tasks"] if entry["ServiceID"] == service["ID"])
    names = ["manager1", *(f"worker{number}" for number in range(1, nodes))]
    managers = {"worker1", "worker2"} if nodes > 2 else set()
    reachable = {"Reachability": "reachable", "Addr": "172.30.77.11:2377"}
    round_ = nodes * len(services)  # of tasks that give each node one of each service
    shares = [services[number % round_ // nodes] for number in range(tasks)]
    return parse_snapshot(
        [Engine(name, "running", "active", name == "manager1" or name in managers) for name in names],
        [leader]
        + [
            worker
            | {"ID": name, "Description": {"Hostname": name}}
            | (
                {"Spec": worker["Spec"] | {"Role": "manager"}, "ManagerStatus": reachable}
                if name in managers
                else {}
            )
            for name in names[1:]
        ],
        [
            service
            | {
                "ID": name,
                "Spec": service["Spec"] | {"Name": name, "Mode": {"Replicated": {"Replicas": count}}},
            }
            for name, count in Counter(shares).items()
        ],
        [
            task
            | {
                "ID": f"task{number}",
                "ServiceID": shares[number],
                "Slot": number // round_ * nodes + number % nodes + 1,
                "NodeID": leader["ID"] if number % nodes == 0 else names[number % nodes],
            }
            for number in range(tasks)
        ],
    )
