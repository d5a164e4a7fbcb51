"""Which addresses of an overlay network are in use, and by what. Pure.

Swarm gives one address to each task on a network, one to each service there as its virtual IP, and one to
each node with a task there, for its load balancer. On the ingress network, every node has one (swarmkit:
manager/allocator/network.go, getNodeNetworks). A task gets its address when it leaves the state `new`, before
it is assigned to a node.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.swarm.model import Network, Service, Snapshot
from labkit.util.text import counted, listed

_SLASH_24 = 253  # what a network that is created without --subnet has for tasks, services, and nodes
# Otherwise Swarm waits a minute for each task that never got an address before it starts the replacement
# (swarmkit: manager/orchestrator/restart/restart.go, defaultOldTaskTimeout).
_START_FIRST = "--update-order start-first "
_NEW_INGRESS = (
    "  docker service rm the services that publish ports, and docker network rm ingress",
    "  docker network create -d overlay --ingress --subnet SUBNET ingress",
)


@dataclass(frozen=True)
class Usage:
    """What uses a network's addresses: tasks by service, services with a virtual IP, and nodes.

    `wanted` is how many tasks each service should have there. Containers that joined with `docker run` have
    addresses too, but a snapshot doesn't list them.
    """

    network: Network
    tasks: Mapping[str, int]
    wanted: Mapping[str, int]
    virtual: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def used(self) -> int:
        """How many addresses services, their tasks, and nodes use."""
        return sum(self.tasks.values()) + len(self.virtual) + len(self.nodes)

    @property
    def needed(self) -> int:
        """How many are needed to run every desired task on the nodes that have tasks now."""
        tasks = sum(max(self.wanted.get(name, 0), number) for name, number in self.tasks.items())
        return tasks + len(self.virtual) + len(self.nodes)

    @property
    def too_small(self) -> bool:
        """Whether there are too few addresses for everything that should run."""
        return 0 < self.network.addresses < self.needed


def usage(snapshot: Snapshot, network: Network) -> Usage:
    """Count what uses a network's addresses."""
    there = [service for service in snapshot.services if _is_on(service, network)]
    published = {service.name for service in there} if network.ingress else set[str]()
    holders = [
        task
        for task in snapshot.tasks
        if (network.name in task.networks or task.service in published)
        and task.state != "new"
        and not task.over
    ]
    names = dict.fromkeys([*(service.name for service in there), *(task.service for task in holders)])
    nodes = (
        [node.name for node in snapshot.nodes]
        if network.ingress
        else {task.node for task in holders if task.node}
    )
    return Usage(
        network=network,
        tasks={name: sum(task.service == name for task in holders) for name in names},
        wanted={service.name: _wanted(snapshot, service) for service in there},
        virtual=tuple(
            service.name
            for service in snapshot.services
            if (service in there and service.virtual_ip) or network.name in service.vips
        ),
        nodes=tuple(sorted(nodes)),
    )


def too_small(snapshot: Snapshot, service: Service) -> list[Usage]:
    """The networks of a service that are too small for everything that should run there."""
    mine = (network for network in snapshot.networks if _is_on(service, network))
    return [found for found in (usage(snapshot, network) for network in mine) if found.too_small]


def without_subnet(snapshot: Snapshot, service: Service) -> list[Network]:
    """The networks of a service that Swarm couldn't give a subnet.

    `docker network create` succeeds anyway: a manager allocates the subnet afterwards, and only its log shows
    if that fails (moby: daemon/libnetwork/cnmallocator/networkallocator.go, Allocate).
    """
    mine = (network for network in snapshot.networks if _is_on(service, network))
    return [network for network in mine if not network.driver and not network.subnets]


def describe_without_subnet(snapshot: Snapshot, network: Network, service: Service) -> Iterator[str]:
    """Why a network has no subnet, and what to do about a service on it."""
    others = [f"{other.name} {', '.join(other.subnets)}" for other in snapshot.networks if other.subnets]
    yield "  the requested subnet overlaps another one, or the default address pool is used up"
    yield f"  in use: {'; '.join(others)}"
    yield "  docker network create -d overlay --subnet SUBNET NEW, with one that is free"
    yield f"  {_move(network, service, _START_FIRST)}"


def over_nodes(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """The networks of a service that overlap the nodes' own network, which Swarm doesn't prevent.

    Tasks there mistake the nodes' addresses for addresses on their own network (moby issue 24220).
    """
    for network in snapshot.networks:
        pools = [ipaddress.ip_network(subnet, strict=False) for subnet in network.subnets]
        nodes = [node for node in snapshot.nodes if any(_is_in(node.address, pool) for pool in pools)]
        if nodes and _is_on(service, network):
            found = ", ".join(f"{node.name} is {node.address}" for node in nodes)
            yield f"{network.name} ({', '.join(network.subnets)}) overlaps the nodes' own network: {found}."
            yield f"  tasks of {service.name} can't reach those addresses; they need one with another subnet:"
            if network.ingress:
                yield from _NEW_INGRESS
            else:
                yield "  docker network create -d overlay --subnet SUBNET NEW"
                yield f"  {_move(network, service)}"


def describe(found: Usage, service: Service) -> Iterator[str]:
    """How a network that is too small is used, and what to do for one of its services."""
    network = found.network
    takers = [
        *(f"{counted(number, 'task')} of {name}" for name, number in found.tasks.items() if number),
        *(f"the virtual IP of {name}" for name in found.virtual),
        f"a load balancer on {listed(found.nodes)}" if found.nodes else "",
    ]
    verb = "is" if found.used == 1 else "are"
    # If there are too few for the nodes, a snapshot doesn't show which ones have one.
    fits = found.used <= network.addresses
    now = f"{found.used} {verb} in use" if fits else f"what is there already needs {found.used}"
    size = f"{network.addresses} address{'' if network.addresses == 1 else 'es'}"
    yield (
        f"{network.name} ({', '.join(network.subnets)}) is too small: it has {size} for tasks, services, and "
        f"nodes, and {now}: {listed([taker for taker in takers if taker]) or 'none'}."
    )
    parts = [
        counted(found.needed - len(found.virtual) - len(found.nodes), "task"),
        counted(len(found.virtual), "virtual IP"),
        counted(len(found.nodes), "load balancer"),
    ]
    yield f"  everything that should run there needs {found.needed}: {listed(parts)}"
    yield from _larger(found, service)


def _larger(found: Usage, service: Service) -> Iterator[str]:
    if found.network.ingress:
        yield "  it can be recreated with a larger subnet:"
        yield from _NEW_INGRESS
        return
    room = found.network.addresses - found.needed + found.wanted[service.name]
    can_shrink = service.replicas is not None and room > 0
    fewer = f"run fewer tasks (docker service scale {service.name}={room}) or " if can_shrink else ""
    if found.needed > _SLASH_24:  # Docker's reference for `docker network create` advises against larger ones
        yield f"  Docker recommends no network larger than a /24: {fewer}spread the services over several"
    else:
        yield f"  a network keeps its size: {fewer}move {service.name} to a larger one (a /24 by default):"
    attachable = "--attachable " if found.network.attachable else ""
    yield f"  docker network create -d overlay {attachable}NEW"
    yield f"  {_move(found.network, service, _START_FIRST)}"


def _move(network: Network, service: Service, options: str = "") -> str:
    return f"docker service update {options}--network-rm {network.name} --network-add NEW {service.name}"


def _is_in(address: str, pool: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Whether an address is in a pool; an address that a node never reported isn't."""
    return bool(address) and ipaddress.ip_address(address) in pool


def _is_on(service: Service, network: Network) -> bool:
    if network.ingress:
        return any(port.mode == "ingress" for port in service.ports)
    return network.name in service.networks


def _wanted(snapshot: Snapshot, service: Service) -> int:
    if service.replicas is not None:
        return service.replicas
    return sum(task.service == service.name and task.wanted for task in snapshot.tasks)
