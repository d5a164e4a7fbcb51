"""This computer's routes, as its kernel reports them: a lab's network must not cut them off.

`/proc/net/route` wouldn't do, because it shows only the main table, while WireGuard, Tailscale, and IPsec put
their routes into other tables (`ip route show table all`).
"""

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from labkit.engine.endpoints import Endpoint

# linux/netlink.h and linux/rtnetlink.h
_HEADER, _ROUTE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=8BI"), struct.Struct("=HH")
_REQUEST_DUMP = 0x1 | 0x300
_ERROR, _DONE, _NEW_ROUTE, _GET_ROUTE = 2, 3, 24, 26
_DESTINATION, _INTERFACE = 1, 4
_CACHED = 0x200
_ADDRESSED = (1, 2, 6, 7, 8)  # unicast, local, and the kinds that refuse; not broadcast, not multicast
_NARROWEST_DEFAULT = 8
_ANSWER_SECONDS = 3
_BRIDGE_NAME = "com.docker.network.bridge.name"


class Route(NamedTuple):
    """A subnet that this computer reaches in a particular way; `interface` is empty if the route refuses."""

    subnet: ipaddress.IPv4Network
    interface: str


def engine_routes(engine: Endpoint, networks: Iterable[Mapping[str, Any]]) -> list[Route] | None:
    """This computer's routes if the engine shares them, otherwise None.

    `networks` is the engine's list. If the engine is in a virtual machine (Docker Desktop), on another
    computer, or behind a socket that was mounted into a container, its routes can't be seen from here. The
    bridges of such an engine aren't among this computer's network interfaces.
    """
    if sys.platform != "linux" or engine.vm or not engine.url.startswith("unix://"):
        return None
    bridges = {bridge_name(entry) for entry in networks if entry.get("Driver") == "bridge"}
    present = {name for _, name in socket.if_nameindex()}
    if bridges and not bridges & present:
        return None
    try:
        return _read()
    except OSError:  # a sandbox without netlink
        return None


def bridge_name(network: Mapping[str, Any]) -> str:
    """The network interface of a bridge network on the engine's host."""
    return str((network.get("Options") or {}).get(_BRIDGE_NAME) or f"br-{network['Id'][:12]}")


def _read() -> list[Route]:
    """Every IPv4 route to a particular subnet, from every table.

    Routes to more than a /8 are left out, and a lab's subnet may be inside them: they are the default route,
    or the pieces into which a VPN splits it (OpenVPN's redirect-gateway uses two of /1).
    """
    names = dict(socket.if_nameindex())
    found = {
        Route(subnet, names.get(index, ""))
        for message in _dump()
        for subnet, index in parse(message)
        if subnet.prefixlen >= _NARROWEST_DEFAULT
    }
    return sorted(found)


def _dump() -> Iterator[bytes]:
    """The kernel's answer to a request for all routes, in pieces of several messages each."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_ANSWER_SECONDS)
        body = _ROUTE.pack(socket.AF_INET, *([0] * 8))
        size = _HEADER.size + len(body)
        kernel.send(_HEADER.pack(size, _GET_ROUTE, _REQUEST_DUMP, 1, 0) + body)
        while True:
            piece = kernel.recv(1 << 16)
            yield piece
            if any(kind in (_DONE, _ERROR) for kind, _ in _messages(piece)):
                return


def parse(piece: bytes) -> Iterator[tuple[ipaddress.IPv4Network, int]]:
    """The destination and the interface's index of each route in a piece of the kernel's answer."""
    for kind, body in _messages(piece):
        if kind != _NEW_ROUTE:
            continue
        _, length, *_, route_type, flags = _ROUTE.unpack_from(body)
        if route_type not in _ADDRESSED or flags & _CACHED:
            continue
        attributes = dict(_attributes(body[_ROUTE.size :]))
        address = attributes.get(_DESTINATION, bytes(4))
        [index] = struct.unpack("=I", attributes.get(_INTERFACE, bytes(4)))
        yield ipaddress.IPv4Network((address, length)), index


def _messages(piece: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + _HEADER.size <= len(piece):
        size, kind, *_ = _HEADER.unpack_from(piece, start)
        if size < _HEADER.size:
            return
        yield kind, piece[start + _HEADER.size : start + size]
        start += _aligned(size)


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, start)
        if size < _ATTRIBUTE.size:
            return
        yield kind, body[start + _ATTRIBUTE.size : start + size]
        start += _aligned(size)


def _aligned(size: int) -> int:
    return size + 3 & ~3
