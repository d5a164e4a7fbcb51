"""The topology in words: which services can reach each other, and how to reach them from outside."""

from collections.abc import Iterator

from labkit.swarm.model import Service, Snapshot
from labkit.util.text import counted, listed, natural

_MANY = 20  # services; more are only counted


def attached(service: Service) -> list[str]:
    """The names of a service's networks; ingress is only known from the service's address there."""
    return list(dict.fromkeys([*service.networks, *service.vips]))


def describe_mode(service: Service) -> str:
    """How many tasks a service should have."""
    return "one per node" if service.replicas is None else counted(service.replicas, "replica")


def title_of(snapshot: Snapshot) -> str:
    """The conclusion in a few words."""
    if snapshot.quorum is None:
        return "There is no swarm yet"
    if not snapshot.quorum:
        return "The managers have lost their quorum"
    overlays = sum(not network.ingress for network in snapshot.networks)
    ports = sum(port.mode == "ingress" for service in snapshot.services for port in service.ports)
    told = [
        counted(len(snapshot.services), "service") if snapshot.services else "no services",
        counted(overlays, "overlay network") if overlays else "no overlay networks",
        *([f"{counted(ports, 'port')} open on every node"] if ports else []),
    ]
    return listed([f"{told[0][0].upper()}{told[0][1:]}", *told[1:]])


def describe_topology(snapshot: Snapshot) -> str:
    """Networks, services, and ports in words: the conclusion first, then one line for each."""
    if not snapshot.quorum:
        after = "So they cannot list services and networks." if snapshot.quorum is False else ""
        return f"{title_of(snapshot)}. {after}".strip()
    lines = [
        f"{title_of(snapshot)}.",
        *_describe_networks(snapshot),
    ]
    services = sorted(snapshot.services, key=lambda service: natural(service.name))
    lines += [" ".join(_describe_service(snapshot, service)) for service in services[:_MANY]]
    if len(services) > _MANY:
        lines.append(f"And {counted(len(services) - _MANY, 'more service')}.")
    return "\n".join(lines)


def _describe_networks(snapshot: Snapshot) -> Iterator[str]:
    for network in snapshot.networks:
        if network.ingress:
            continue
        members = [service.name for service in snapshot.services if network.name in attached(service)]
        joins = _joins(members)
        encrypted = ", encrypted" if network.encrypted else ""
        yield f"Network {network.name} ({', '.join(network.subnets)}{encrypted}) {joins}."


def _joins(members: list[str]) -> str:
    if not members:
        return "has no service"
    return f"connects {listed(members)}" if len(members) > 1 else f"has only {members[0]}"


def _describe_service(snapshot: Snapshot, service: Service) -> Iterator[str]:
    places = snapshot.tasks_per_node(service.name)
    where = listed([f"{node} ({places[node]})" for node in sorted(places, key=natural)])
    yield f"{service.name} runs on {where}." if where else f"{service.name} runs nowhere."
    own = [name for name in service.networks if name in service.vips]
    if own:
        yield f"It has the address {listed([f'{service.vips[name]} on {name}' for name in own])}."
    if unnamed := [name for name in service.networks if name not in service.vips]:
        yield f"It has no VIP on {listed(unnamed)}: its name leads directly to its tasks (dnsrr)."
    if not service.networks:
        yield "It is on no overlay network: no other service reaches it by its name."
    for port in service.ports:
        published = port.published or "A random port"
        start = f"Port {published}" if port.published else published
        where = "of every node" if port.mode == "ingress" else "of the nodes that run it"
        yield f"{start} {where} leads to its port {port.target}."
