"""Small subnets for places: one for each, so that no place is on a network with another.

Docker's own pools run out at 31 networks, and learners' labs choose theirs elsewhere
(labkit.cluster.subnets).
"""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network

POOLS = ("198.19.128.0/17", "172.16.128.0/17")
"""Where places have their networks. Each holds 2,048 of them."""
SIZE = 28  # the gateway, the front, and the place, and room for what an engine reserves


def free(pools: Collection[str], occupied: Collection[IPv4Network]) -> Iterator[IPv4Network]:
    """The subnets of these pools that overlap nothing that is occupied, in order."""
    for pool in pools:
        for subnet in IPv4Network(pool).subnets(new_prefix=SIZE):
            if not any(subnet.overlaps(other) for other in occupied):
                yield subnet
