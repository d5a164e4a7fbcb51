"""The topology: services on the networks that join them; nodes below, with their ports to the outside."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from labkit.plots.lettering import fit
from labkit.plots.picture import Box, Picture
from labkit.plots.theme import LIGHT, Paint, Theme, node_paints, paints_of
from labkit.plots.topology_text import attached, describe_mode, describe_topology, title_of
from labkit.swarm.model import Network, Node, Port, Service, Snapshot
from labkit.util.text import counted, natural

__all__ = ["describe_topology", "topology"]

_WIDTH, _MARGIN, _LEFT = 780.0, 16.0, 148.0  # points; networks' names stand between the margin and `left`
_FEWEST, _MOST = 4, 6  # services or nodes side by side
_NARROWEST, _GAP = 148.0, 12.0
_BAR, _BAND_GAP = 38.0, 18.0
_SERVICES, _NODES, _LINES = 20, 12, 5  # more would not be readable


@dataclass(frozen=True)
class _Grid:
    """How many services or nodes stand side by side, and how wide a column is."""

    columns: int
    column: float

    @classmethod
    def of(cls, services: int) -> "_Grid":
        """Room for up to six services in a row: then each network is one bar."""
        columns = min(max(services, _FEWEST), _MOST)
        return cls(columns, max((_WIDTH - _MARGIN - _LEFT) / columns, _NARROWEST))

    @property
    def card(self) -> float:
        return self.column - _GAP

    @property
    def width(self) -> float:
        return _LEFT + self.columns * self.column + _MARGIN

    def left(self, place: int) -> float:
        return _LEFT + place % self.columns * self.column


def topology(snapshot: Snapshot, *, theme: Theme = LIGHT) -> Picture:
    """Draw services as cards that hang on bars, the networks; where they meet stands the virtual address.

    Below are the nodes with what runs on them, and the published ports: those of every node (the routing
    mesh), and those of single nodes (mode host). The oldest 20 services and the first 12 nodes are drawn.
    """
    description = describe_topology(snapshot)
    services = sorted(snapshot.services, key=lambda service: natural(service.name))
    nodes = sorted(snapshot.nodes, key=lambda node: natural(node.name))
    grid = _Grid.of(len(services))
    columns = grid.columns
    bands = [
        services[:_SERVICES][place : place + columns]
        for place in range(0, min(len(services), _SERVICES), columns)
    ]
    networks = [_networks_of(snapshot, band, last=band is bands[-1]) for band in bands]
    mesh = [(service, port) for service in services for port in service.ports if port.mode == "ingress"]
    node_lines = {node.name: _node_lines(snapshot, node) for node in nodes[:_NODES]}
    rows = [nodes[:_NODES][place : place + columns] for place in range(0, min(len(nodes), _NODES), columns)]
    card_heights = [42 + 15.0 * max(1, *(len(node_lines[node.name]) for node in row)) for row in rows]
    mesh_rows = -(-len(mesh) // columns)

    strips = sum(_band_height(band, bars) for band, bars in zip(bands, networks, strict=True))
    ports_top = 52 + strips
    nodes_top = ports_top + (24.0 * mesh_rows + 16 if mesh else 0)
    height = nodes_top + sum(card_heights) + 12 * len(rows) + 14
    hidden = [counted(len(services) - _SERVICES, "more service")] if len(services) > _SERVICES else []
    hidden += [counted(len(nodes) - _NODES, "more node")] if len(nodes) > _NODES else []

    picture = Picture(grid.width, max(height, 70) + (18 if hidden else 0), description, theme=theme)
    picture.write(
        _MARGIN, 28, fit(title_of(snapshot), grid.width - 2 * _MARGIN, 15, bold=True), size=15, bold=True
    )
    paints, top = paints_of(snapshot), 52.0
    drawn: set[str] = set()
    for band, bars in zip(bands, networks, strict=True):
        _draw_band(picture, grid, band, bars, paints, top, drawn)
        drawn |= {network.name for network in bars}
        top += _band_height(band, bars)
    if mesh:
        _draw_mesh(picture, grid, mesh, paints, ports_top)
    top = nodes_top
    colours = node_paints(node.name for node in nodes)
    for row, card in zip(rows, card_heights, strict=True):
        if row is rows[0]:
            picture.write(_MARGIN, top + 20, "Nodes", bold=True)
        for place, node in enumerate(row):
            box = (grid.left(place), top, grid.card, card)
            _draw_node(picture, node, node_lines[node.name], colours[node.name], box)
        top += card + 12
    if hidden:
        picture.write(_LEFT, top + 10, f"and {' and '.join(hidden)}", size=10.5, colour=theme.muted)
    return picture


def _networks_of(snapshot: Snapshot, band: Sequence[Service], *, last: bool) -> list[Network]:
    """The networks that these services hang on, ingress at the bottom; with the last also those of nobody."""
    used = {name for service in band for name in attached(service)}
    unused = {network.name for network in snapshot.networks}
    unused -= {name for service in snapshot.services for name in attached(service)}
    found = [
        network for network in snapshot.networks if network.name in used or (last and network.name in unused)
    ]
    return sorted(found, key=lambda network: (network.ingress, natural(network.name)))


def _card_lines(service: Service) -> list[str]:
    alone = [] if service.networks else ["no overlay network"]
    return [service.image, describe_mode(service), *alone]


def _card_height(band: Sequence[Service]) -> float:
    return 28.0 + 14 * max(len(_card_lines(service)) for service in band)


def _band_height(band: Sequence[Service], bars: Sequence[Network]) -> float:
    return _card_height(band) + 10 + _BAR * len(bars) + _BAND_GAP


def _draw_band(
    picture: Picture,
    grid: _Grid,
    band: Sequence[Service],
    bars: Sequence[Network],
    paints: dict[str, Paint],
    top: float,
    drawn: Set[str],
) -> None:
    """A row of services and below it their networks; `drawn` are those that have a bar further up."""
    theme, card = picture.theme, _card_height(band)
    first = top + card + 10
    for place, service in enumerate(band):  # the lines first: they pass below bars of other networks
        x = grid.left(place) + grid.card / 2
        hangs = [row for row, network in enumerate(bars) if network.name in attached(service)]
        if hangs:
            end = first + hangs[-1] * _BAR + 10
            picture.line([(x, top + card), (x, end)], colour=paints[service.name].fill, width=3)
    for row, network in enumerate(bars):
        _draw_network(picture, grid, network, band, paints, first + row * _BAR, again=network.name in drawn)
    for place, service in enumerate(band):
        left, paint = grid.left(place), paints[service.name]
        picture.boxes([(left, top, grid.card, card)], fill=theme.paper, edge=theme.line, radius=6)
        picture.boxes([(left, top, 7, card)], fill=paint.fill, radius=3)
        picture.write(left + 16, top + 18, fit(service.name, grid.card - 24, 12, bold=True), bold=True)
        for line, words in enumerate(_card_lines(service)):
            said = fit(words, grid.card - 24, 10)
            picture.write(left + 16, top + 33 + 14 * line, said, size=10, colour=theme.muted)


def _draw_network(
    picture: Picture,
    grid: _Grid,
    network: Network,
    band: Sequence[Service],
    paints: dict[str, Paint],
    top: float,
    *,
    again: bool,
) -> None:
    """A network's bar with the services' addresses; dashed where it is the same network `again`."""
    theme, height = picture.theme, _BAR - 10
    picture.boxes(
        [(_LEFT - 4, top, grid.width - _MARGIN - _LEFT + 4, height)],
        fill=theme.panel,
        edge=theme.line,
        radius=6,
        dashed=again,
    )
    room = _LEFT - _MARGIN - 12
    picture.write(_MARGIN, top + 12, fit(network.name, room, 11.5, bold=True), size=11.5, bold=True)
    about = [
        *network.subnets,
        *(["encrypted"] if network.encrypted else []),
        *(["mesh"] if network.ingress else []),
    ]
    if again:
        about = ["same network as above"]
    picture.write(_MARGIN, top + 25, fit(" · ".join(about), room, 9), size=9, colour=theme.muted)
    if not any(network.name in attached(service) for service in band):
        picture.write(_LEFT + 8, top + height / 2 + 3.6, "no service", size=10, colour=theme.muted)
    for place, service in enumerate(band):
        if network.name not in attached(service):
            continue
        paint, address = paints[service.name], service.vips.get(network.name)
        left = grid.left(place) + 6
        words = address or "no VIP (dnsrr)"
        if address:
            picture.boxes([(left, top + 4, grid.card - 12, height - 8)], fill=paint.fill, radius=10)
        else:
            picture.boxes(
                [(left, top + 4, grid.card - 12, height - 8)],
                fill=theme.paper,
                edge=theme.muted,
                radius=10,
                dashed=True,
            )
        colour = paint.text if address else theme.ink
        said = fit(words, grid.card - 24, 10)
        picture.write(
            left + (grid.card - 12) / 2, top + height / 2 + 3.6, said, size=10, colour=colour, align="center"
        )


def _draw_mesh(
    picture: Picture, grid: _Grid, mesh: Sequence[tuple[Service, Port]], paints: dict[str, Paint], top: float
) -> None:
    """The ports that the routing mesh opens on every node."""
    theme = picture.theme
    picture.write(_MARGIN, top + 13, "Every node", bold=True)
    picture.write(_MARGIN, top + 27, "routing mesh", size=9, colour=theme.muted)
    for place, (service, port) in enumerate(mesh):
        left, y = grid.left(place), top + 24.0 * (place // grid.columns)
        paint = paints[service.name]
        picture.boxes([(left, y, grid.card, 19)], fill=paint.fill, radius=4)
        said = fit(f"{_port(port)}  {service.name}", grid.card - 14, 10)
        picture.write(left + 8, y + 13, said, size=10, colour=paint.text)


def _draw_node(picture: Picture, node: Node, lines: Sequence[str], paint: Paint, box: Box) -> None:
    theme, (left, top, width, _) = picture.theme, box
    away = node.status != "ready"
    picture.boxes(
        [box],
        fill=theme.paper if away else theme.panel,
        edge=theme.line,
        radius=6,
        dashed=away,
    )
    picture.boxes([(left + 10, top + 10, 10, 10)], fill=paint.fill, edge=theme.muted, width=0.8, radius=3)
    picture.write(left + 26, top + 20, fit(node.name, width - 34, 12, bold=True), bold=True)
    about = (
        node.status if away else " · ".join(filter(None, [node.manager_status or node.role, node.address]))
    )
    colour = theme.bad if away else theme.muted
    picture.write(left + 10, top + 34, fit(about, width - 18, 9), size=9, colour=colour)
    for line, words in enumerate(lines):
        picture.write(left + 10, top + 50 + 15 * line, fit(words, width - 18, 10), size=10)


def _node_lines(snapshot: Snapshot, node: Node) -> list[str]:
    """What runs on a node, and its own ports; at most as many lines as there is room for."""
    if node.status == "down":
        return []
    lines = []
    for service in sorted(snapshot.services, key=lambda service: natural(service.name)):
        count = snapshot.tasks_per_node(service.name)[node.name]
        own = [f"   {_port(port)} {service.name}" for port in service.ports if port.mode == "host"]
        lines += [f"{service.name} × {count}", *own] if count else []
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"and {len(lines) - _LINES + 1} more"]
    return lines or ["no tasks"]


def _port(port: Port) -> str:
    """`8080 → 80`, with the protocol where it is not TCP."""
    protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return f"{port.published or 'random'}{protocol} → {port.target}"
