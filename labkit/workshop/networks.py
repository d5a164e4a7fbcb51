"""The networks of places: one for each, to which only the workshop's front is connected besides.

So no place shares a network with another, and places find the hub and the class page as `hub` and `class`.
"""

import contextlib
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Network
from typing import Any

import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from labkit.workshop import labels, subnets

ALIASES = ["hub", "class"]
_FORBIDDEN = 403  # the engine's word for a container that's connected already


def provide(
    api: docker.APIClient,
    workshop: str,
    learner: str,
    pools: Iterable[str],
    avoid: Iterable[str],
    *,
    internet: bool,
) -> str:
    """Return the name of a learner's network; create it, and connect the front, if that's missing.

    Raises RuntimeError when no subnet is free.
    """
    found = api.networks(filters=labels.filters(workshop, labels.PLACE, learner))
    name = found[0]["Name"] if found else _create(api, workshop, learner, list(pools), avoid, internet)
    if front := labels.container(api, workshop, labels.FRONT):
        connect(api, front["Id"], name)
    return str(name)


def connect(api: docker.APIClient, front: str, network: str) -> None:
    """Connect a workshop's front to a place's network. Idempotent."""
    try:
        api.connect_container_to_network(front, network, aliases=ALIASES)
    except APIError as error:
        if error.status_code != _FORBIDDEN or "already exists" not in str(error.explanation):
            raise


def remove(api: docker.APIClient, network: dict[str, Any]) -> None:
    """Remove a network, after disconnecting what is still on it."""
    for container in api.inspect_network(network["Id"])["Containers"] or ():
        with contextlib.suppress(APIError):
            api.disconnect_container_from_network(container, network["Id"], force=True)
    api.remove_network(network["Id"])


def occupied(entries: Iterable[dict[str, Any]]) -> list[IPv4Network]:
    """The subnets of the engine's networks."""
    found = []
    for entry in entries:
        for pool in (entry.get("IPAM") or {}).get("Config") or ():
            with contextlib.suppress(AddressValueError, KeyError):  # IPv6, or none
                found.append(IPv4Network(pool["Subnet"], strict=False))
    return found


def _create(
    api: docker.APIClient, workshop: str, learner: str, pools: list[str], avoid: Iterable[str], internet: bool
) -> str:
    name = f"{workshop}-place-{learner}"
    taken = [*occupied(api.networks()), *(IPv4Network(each) for each in avoid)]
    refusal = ""
    for subnet in subnets.free(pools, taken):
        try:
            api.create_network(
                name,
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                check_duplicate=True,
                internal=not internet,
                labels=labels.of(workshop, labels.PLACE, learner),
            )
        except APIError as error:
            refusal = str(error.explanation)
            if "overlap" not in refusal:
                raise
            continue
        return name
    raise RuntimeError(f"no free subnet for the place of {learner} in {', '.join(pools)} {refusal}")
