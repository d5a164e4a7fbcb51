"""Builds snapshots from the engines' API responses. Pure; doesn't call any engine."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from labkit.swarm.model import Engine, Json, Network, Node, Port, Service, Snapshot, Task
from labkit.util.errors import LabError


def parse_engine(name: str, container: str, swarm: str | None) -> Engine:
    """One engine from its container's state and the header `Swarm` of its answer to `GET /_ping`.

    The header is `active/manager`, `active/worker`, `inactive`, … (Docker Engine API 1.42, "Ping"); None
    means no answer.
    """
    state, _, role = (swarm or "unknown").partition("/")
    return Engine(name=name, container=container, swarm=state, manager=role == "manager")


def parse_snapshot(
    engines: Sequence[Engine],
    nodes: Sequence[Json],
    services: Sequence[Json],
    tasks: Sequence[Json],
    networks: Sequence[Json] = (),
) -> Snapshot:
    """A snapshot from a manager's answers to `GET /nodes`, `/services`, `/tasks` and `/networks`.

    Raises LabError for answers that don't conform to the engine's API.
    """
    try:
        return _snapshot(engines, nodes, services, tasks, networks)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise LabError(
            "a manager's answer could not be read",
            evidence=[f"{type(error).__name__}: {error}"],
            next_step="docker node ls on a manager shows whether it works",
        ) from error


def _snapshot(
    engines: Sequence[Engine],
    nodes: Sequence[Json],
    services: Sequence[Json],
    tasks: Sequence[Json],
    networks: Sequence[Json],
) -> Snapshot:
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
        docker=plain_version((entry["Description"].get("Engine") or {}).get("EngineVersion", "")),
        **_resources(entry["Description"].get("Resources")),
    )


def plain_version(version: str) -> str:
    """An engine's version without Debian's suffix: `26.1.5` for `26.1.5+dfsg1`."""
    return version.partition("+")[0]


def _network(entry: Json) -> Network:
    options = entry.get("Options") or {}
    pools = (entry.get("IPAM") or {}).get("Config") or ()
    return Network(
        id=entry["Id"],
        name=entry["Name"],
        driver=entry["Driver"],
        # The engine lists them in any order.
        subnets=tuple(sorted(pool["Subnet"] for pool in pools)),
        encrypted="encrypted" in options,
        ingress=bool(entry.get("Ingress")),
        addresses=sum(_addresses(pool) for pool in pools),
        attachable=bool(entry.get("Attachable")),
    )


def _addresses(pool: Json) -> int:
    """How many IPv4 addresses of a pool Swarm can assign.

    Three addresses of the subnet are reserved: the network's, the broadcast address, and the gateway's (moby:
    daemon/libnetwork/cnmallocator/networkallocator.go, allocatePools).
    """
    subnet = ipaddress.ip_network(pool["Subnet"], strict=False)
    if subnet.version != 4:
        return 0
    given = ipaddress.ip_network(pool.get("IPRange") or subnet, strict=False)
    gateway = ipaddress.ip_address(pool.get("Gateway") or subnet.network_address + 1)
    aside = {subnet.network_address, subnet.broadcast_address, gateway}
    return max(0, given.num_addresses - sum(address in given for address in aside))


def _service(entry: Json, networks: Mapping[str, str]) -> Service:
    spec, endpoint = entry["Spec"], entry.get("Endpoint") or {}
    update, template = entry.get("UpdateStatus") or {}, spec["TaskTemplate"]
    attached = template.get("Networks") or spec.get("Networks") or ()
    placement, resources = template.get("Placement") or {}, template.get("Resources") or {}
    health_check = (template.get("ContainerSpec") or {}).get("Healthcheck") or {}
    return Service(
        id=entry["ID"],
        name=spec["Name"],
        image=_image(template),
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
        constraints=tuple(placement.get("Constraints") or ()),
        max_per_node=placement.get("MaxReplicas", 0),
        memory_limit=(resources.get("Limits") or {}).get("MemoryBytes", 0),
        health_check=tuple(health_check.get("Test") or ()),
        virtual_ip=(spec.get("EndpointSpec") or {}).get("Mode", "vip") == "vip",
        revised="PreviousSpec" in entry,
        changed=seconds(entry.get("UpdatedAt") or entry["CreatedAt"]),
        **_resources(resources.get("Reservations")),
    )


def _resources(entry: Json | None) -> dict[str, Any]:
    """The cores and bytes that a node has or a task reserves."""
    entry = entry or {}
    return {"cpus": entry.get("NanoCPUs", 0) / 1e9, "memory": entry.get("MemoryBytes", 0)}


def _task(entry: Json, services: Mapping[str, str], nodes: Mapping[str, str]) -> Task:
    status = entry["Status"]
    container = status.get("ContainerStatus") or {}
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
        exit_code=container.get("ExitCode", 0),
        networks=tuple(_attached(entry)),
        container=container.get("ContainerID", ""),
    )


def _attached(task: Json) -> Iterator[str]:
    """The names of a task's networks, except the routing mesh."""
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
