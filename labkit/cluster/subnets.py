"""Chooses a lab's subnet: one that neither the engine's networks nor this computer's routes use."""

import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from labkit.engine.doctor import EVERY, Probe
from labkit.engine.routes import Route, bridge_name, engine_routes
from labkit.engine.selection import EngineContext
from labkit.topology.topology import LAB_LABEL
from labkit.util.errors import EngineUnsuitable

# None is inside 10.0.0.0/8, where Swarm places its overlay networks, and none is where other networks usually
# are: in 192.168, home routers use low numbers, VirtualBox .56, Docker Desktop .65, and libvirt .122. 172.16
# is below the pools from which Docker takes subnets by itself (172.17 to 172.31, and 192.168). 198.18.0.0/15
# is reserved for benchmarks in isolated networks (RFC 2544), so it's the last resort if a VPN routes all
# private addresses. Its lower half is left to proxies that answer with made-up addresses. 100.64.0.0/10 isn't
# used, because Tailscale drops packets from there that arrive on other interfaces (tailscale #12555).
_RANGES = (
    ("172.30", range(77, 97)),
    ("192.168", range(205, 225)),
    ("172.16", range(77, 97)),
    ("198.19", range(77, 97)),
)
_VARIABLE = "LABKIT_NET"
_TITLE = "Lab network"


class Occupied(NamedTuple):
    """A subnet that is in use, and what uses it."""

    subnet: IPv4Network
    user: str


def prefixes() -> list[str]:
    """The first three octets of every subnet that a lab may choose by itself, in the order of choice."""
    return [f"{first}.{third}" for first, thirds in _RANGES for third in thirds]


def chosen_by_user() -> str:
    """The first three octets that the user has chosen, or an empty string."""
    return os.environ.get(_VARIABLE, "")


def own_network(networks: Iterable[Mapping[str, Any]], lab: str) -> Mapping[str, Any] | None:
    """The engine's entry for the network of `lab`, if the lab has one."""
    return next((entry for entry in networks if (entry.get("Labels") or {}).get(LAB_LABEL) == lab), None)


def prefix_of(network: Mapping[str, Any]) -> str:
    """The first three octets of a lab's network."""
    return str(network["IPAM"]["Config"][0]["Subnet"]).rpartition(".")[0]


class Surroundings:
    """What a lab's subnet must not collide with: the engine's networks and this computer's routes, as of now.

    `routes` is None if the engine doesn't share this computer's. Raises what the engine's client raises.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self.networks: list[dict[str, Any]] = context.client().api.networks()
        self.own = own_network(self.networks, context.lab)
        self.routes = engine_routes(context.endpoint(), self.networks)

    @property
    def occupied(self) -> list[Occupied]:
        """Every subnet that a network has or a route leads to; a network's own route doesn't count twice."""
        bridges = {bridge_name(entry) for entry in self.networks}
        routes = [route for route in self.routes or () if route.interface not in bridges]
        return [*_subnets(self.networks), *(Occupied(route.subnet, _way(route)) for route in routes)]

    def free(self) -> Iterator[str]:
        """The `prefixes` whose subnets nothing uses."""
        taken = [each.subnet for each in self.occupied]
        for prefix in prefixes():
            if not any(_subnet(prefix).overlaps(other) for other in taken):
                yield prefix

    def crossing(self, subnet: IPv4Network) -> Route | None:
        """The widest route of this computer that leads into the lab's subnet, past the lab's own network."""
        own = bridge_name(self.own) if self.own else None
        found = [each for each in self.routes or () if each.subnet.overlaps(subnet) and each.interface != own]
        return min(found, key=lambda route: route.subnet.prefixlen, default=None)

    def describe(self, subnet: IPv4Network) -> str:
        """The lab's subnet, with a warning if a route of this computer leads into it."""
        route = self.crossing(subnet)
        doctor = self._context.hint("doctor")
        return f"{subnet}{f'; it overlaps {_way(route)} {route.subnet}: see {doctor}' if route else ''}"

    def none_free(self, refusals: Sequence[str], chosen: str = "") -> EngineUnsuitable:
        """The error for a lab without a subnet: the engine's refusals, and what takes up the most space.

        It's about all subnets for labs, or about the one that the user has `chosen`.
        """
        tried = [_subnet(prefix) for prefix in ([chosen] if chosen else prefixes())]
        counts = {each: sum(each.subnet.overlaps(subnet) for subnet in tried) for each in self.occupied}
        share = "overlaps it" if chosen else "takes {} of the " + f"{len(tried)} subnets that labs use"
        users = [
            f"{each.subnet}, {each.user}, {share.format(count)}"
            for each, count in sorted(counts.items(), key=lambda item: -item[1])
            if count
        ]
        return EngineUnsuitable(
            "no free subnet for the lab's network",
            evidence=[*refusals[:3], *users[:5]],
            next_step=f"docker network prune, or {self._choice()}",
        )

    def examine(self) -> Probe:
        """The line of `labkit doctor` about the lab's subnet."""
        prefix = prefix_of(self.own) if self.own else chosen_by_user() or next(self.free(), "")
        if not prefix:
            error = self.none_free([])
            return Probe("subnet", _TITLE, False, error.what, EVERY, error.next_step)
        try:
            subnet = _subnet(prefix)
        except ValueError:
            found = f"{_VARIABLE}={prefix} is not the first three octets of a subnet"
            return Probe("subnet", _TITLE, False, found, EVERY, self._choice())
        if route := self.crossing(subnet):
            found = f"{subnet} overlaps {_way(route)} {route.subnet}"
            cut = "nothing in the overlap can be reached by that route while the lab is up"
            advice = f"{cut}; {self._context.hint('down')}, then {self._choice()}"
            return Probe("subnet", _TITLE, False, found, "no chapter", advice)
        clash = next((each for each in self.occupied if each.subnet.overlaps(subnet)), None)
        if clash and not self.own:
            found = f"{subnet} overlaps {clash.user} {clash.subnet}"
            return Probe("subnet", _TITLE, False, found, EVERY, self._choice())
        where = "" if self.routes is not None else "; the routes of the engine's host can't be seen from here"
        return Probe("subnet", _TITLE, True, f"{subnet}{where}", EVERY, "")

    def _choice(self) -> str:
        up = self._context.hint("up")
        return f"choose a /24 that nothing uses by its first three octets: {_VARIABLE}=192.168.77 {up}"


def _subnet(prefix: str) -> IPv4Network:
    return IPv4Network(f"{prefix}.0/24")


def _subnets(networks: Iterable[Mapping[str, Any]]) -> Iterator[Occupied]:
    for entry in networks:
        for pool in (entry.get("IPAM") or {}).get("Config") or ():
            try:
                subnet = IPv4Network(pool.get("Subnet", ""), strict=False)
            except ipaddress.AddressValueError:  # IPv6, or none
                continue
            yield Occupied(subnet, f"the Docker network {entry['Name']}")


def _way(route: Route) -> str:
    return f"the route to {route.interface}" if route.interface else "a route that refuses packets to"
