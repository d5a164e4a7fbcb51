"""The concept drawing `mesh_path`: the path of a request through the routing mesh."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.plots.lettering import fit
from labkit.plots.picture import Picture
from labkit.plots.sketch import (
    INNER,
    MARGIN,
    WIDTH,
    Card,
    card_height,
    draw_arrow,
    draw_card,
    draw_panel,
    draw_text,
    text_height,
)
from labkit.plots.theme import LIGHT, Paint, Theme, node_paints
from labkit.swarm.model import Port, Snapshot
from labkit.util.errors import LabError
from labkit.util.text import counted, listed, natural

_NOTES = (
    "Every node opens the published port, even one without a task of the service.",
    "The task sees an address of the entry node on the ingress network, not the client's.",
)
_PANEL, _CHIP, _NODES, _TASKS = 30.0, 26.0, 8, 4
_ENTRY, _RIGHT, _TARGET = 196.0, 520.0, 244.0  # lefts and the width of the right column
_CLIENT_WIDTH, _ENTRY_WIDTH = 140.0, 270.0


@dataclass(frozen=True)
class _Path:
    """What to draw: the nodes with the service's tasks, and the node at which the request enters."""

    service: str
    published: str
    target: str
    entry: str
    nodes: tuple[tuple[str, tuple[str, ...]], ...]
    names: tuple[str, ...]  # of all nodes: they determine the colors


_EXAMPLE = _Path(
    "web",
    "8080",
    "80",
    "manager1",
    (("worker1", ("web.1", "web.3")), ("worker2", ("web.2",))),
    ("manager1", "worker1", "worker2"),
)


def mesh_path(
    snapshot: Snapshot | None = None, service: str = "web", entry: str = "", *, theme: Theme = LIGHT
) -> Picture:
    """Draw how a request to a published port of any node gets to a task.

    Without a snapshot, draw an example with three nodes. With one, draw the nodes and running tasks of
    `service`. The request enters at `entry`, or by default at a node without such a task. Raises `LabError`
    if the service or its port in the routing mesh doesn't exist.
    """
    path = _path(snapshot, service, entry) if snapshot else _EXAMPLE
    steps = _steps(path)
    inner = _ENTRY_WIDTH - 24
    entry_height = _PANEL + sum(card_height(step, inner) + 18 for step in steps) - 6
    shown = path.nodes[:_NODES]
    targets = [_PANEL + 14 + _CHIP * min(max(len(tasks), 1), _TASKS + 1) for _, tasks in shown]
    arrive = _arrival(path)
    right = sum(targets) + 12 * len(targets) + card_height(arrive, _TARGET)
    drawn = max(entry_height, right)
    top = 48.0
    notes = top + drawn + 12
    height = notes + sum(text_height(note, INNER) + 4 for note in _NOTES) + 12
    picture = Picture(WIDTH, height, _describe(path), theme=theme)
    paints = node_paints(path.names)
    title = fit(_title(path), INNER, 15, bold=True)
    picture.write(MARGIN, 28, title, size=15, bold=True)
    _draw_entry(picture, path, steps, (_ENTRY, top, _ENTRY_WIDTH, drawn), paints[path.entry])
    _draw_client(picture, path, top)
    lines = _draw_targets(picture, path, targets, top, paints)
    last = card_height(arrive, _TARGET)
    draw_card(picture, arrive, (_RIGHT, top + right - last, _TARGET, last))
    _draw_bus(picture, lines, top + entry_height - 12 - card_height(steps[-1], inner) / 2)
    for note in _NOTES:
        draw_text(picture, note, MARGIN, notes, INNER)
        notes += text_height(note, INNER) + 4
    return picture


def _path(snapshot: Snapshot, service: str, entry: str) -> _Path:
    found = snapshot.service(service)
    port = _mesh_port(found.ports) if found else None
    if found is None or port is None:
        raise LabError(
            f"no port of service '{service}' is in the routing mesh" if found else f"no service '{service}'",
            evidence=[f"services: {listed([each.name for each in snapshot.services]) or 'none'}"],
            next_step="publish a port: docker service update --publish-add published=8080,target=80 "
            f"{service}",
        )
    names = tuple(sorted({node.name for node in snapshot.nodes}, key=natural))
    tasks = snapshot.running(service)
    running = {
        name: tuple(sorted((task.name for task in tasks if task.node == name), key=natural)) for name in names
    }
    if entry and entry not in names:
        raise LabError(
            f"no node '{entry}' in the swarm",
            evidence=[f"nodes: {listed(names)}"],
            next_step="choose one of these nodes as the entry",
        )
    ready = [node.name for node in snapshot.nodes if node.status == "ready"]
    idle = [name for name in names if name in ready and not running[name]]
    chosen = entry or (idle or sorted(ready, key=natural) or names)[0]
    nodes = tuple((name, tasks) for name, tasks in running.items() if tasks)
    return _Path(service, str(port.published or "?"), str(port.target), chosen, nodes, names)


def _mesh_port(ports: Sequence[Port]) -> Port | None:
    return next((port for port in ports if port.mode == "ingress"), None)


def _steps(path: _Path) -> tuple[Card, ...]:
    return (
        Card("1  Published port", f"A NAT rule sends port {path.published} to the namespace ingress_sbox."),
        Card("2  IPVS", "In ingress_sbox, it picks a task, each in turn (round robin)."),
        Card("3  SNAT", "The sender becomes this node's address on the ingress network."),
        Card("4  Ingress network", "To another node, the packet travels in VXLAN: UDP port 4789."),
    )


def _arrival(path: _Path) -> Card:
    text = f"Port {path.published} becomes {path.target}. The answer goes the same way back."
    return Card("5  In the task", text)


def _title(path: _Path) -> str:
    if not path.nodes:
        return f"Port {path.published} leads nowhere: no task of {path.service} runs"
    return f"Any node takes requests on port {path.published}, and passes them to a task of {path.service}"


def _draw_client(picture: Picture, path: _Path, top: float) -> None:
    card = Card("Client", f"connects to any node, here {path.entry}, on port {path.published}")
    height = card_height(card, _CLIENT_WIDTH)
    draw_card(picture, card, (MARGIN, top + _PANEL, _CLIENT_WIDTH, height))
    y = top + _PANEL + 24
    draw_arrow(picture, (MARGIN + _CLIENT_WIDTH + 4, y), (_ENTRY + 10, y))


def _draw_entry(
    picture: Picture, path: _Path, steps: Sequence[Card], box: tuple[float, float, float, float], paint: Paint
) -> None:
    left, top, width, _ = box
    draw_panel(picture, box, fit(path.entry, width - 100, 12, bold=True), note="entry node")
    picture.boxes([(left, top, 5, 24)], fill=paint.fill, edge=picture.theme.muted, width=0.6, radius=2)
    y = top + _PANEL
    for place, step in enumerate(steps):
        height = card_height(step, width - 24)
        draw_card(picture, step, (left + 12, y, width - 24, height))
        if place:
            draw_arrow(picture, (left + width / 2, y - 16), (left + width / 2, y - 2))
        y += height + 18


def _draw_targets(
    picture: Picture, path: _Path, heights: Sequence[float], top: float, paints: dict[str, Paint]
) -> list[float]:
    """The nodes with their tasks; return where the arrows to them end."""
    theme, ends = picture.theme, []
    for (name, tasks), height in zip(path.nodes[:_NODES], heights, strict=True):
        here = name == path.entry
        note = "entry node: no VXLAN" if here else ""
        draw_panel(picture, (_RIGHT, top, _TARGET, height), fit(name, 90, 12, bold=True), note=note)
        fill = paints[name].fill
        picture.boxes([(_RIGHT, top, 5, 24)], fill=fill, edge=theme.muted, width=0.6, radius=2)
        more = [f"and {counted(len(tasks) - _TASKS, 'more task')}"] if tasks[_TASKS:] else []
        labels = [*tasks[:_TASKS], *more]
        for row, label in enumerate(labels):
            y = top + _PANEL + row * _CHIP
            picture.boxes([(_RIGHT + 12, y, _TARGET - 24, 21)], fill=theme.paper, edge=theme.line, radius=4)
            picture.write(_RIGHT + 20, y + 15, fit(label, _TARGET - 44, 11), size=11)
        ends.append(top + height / 2)
        top += height + 12
    return ends


def _draw_bus(picture: Picture, ends: Sequence[float], start: float) -> None:
    """A line from the last step to a vertical line, from which an arrow goes to each node."""
    if not ends:
        return
    left, middle = _ENTRY + _ENTRY_WIDTH, (_ENTRY + _ENTRY_WIDTH + _RIGHT) / 2
    tone = picture.theme.muted
    picture.line([(left - 12, start), (middle, start)], colour=tone, width=1.6)
    picture.line([(middle, min(start, *ends)), (middle, max(start, *ends))], colour=tone, width=1.6)
    for y in ends:
        draw_arrow(picture, (middle, y), (_RIGHT - 3, y))


def _describe(path: _Path) -> str:
    where = [f"{name} runs {listed(tasks)}." for name, tasks in path.nodes]
    here = path.entry in dict(path.nodes)
    local = [f"To a task on the entry node {path.entry} itself, the packet needs no VXLAN."] if here else []
    return "\n".join(
        [
            f"{_title(path)}.",
            f"The client connects to any node, here {path.entry}, the entry node, on port {path.published}.",
            *(step.words for step in _steps(path)),
            *where,
            *local,
            _arrival(path).words,
            *_NOTES,
        ]
    )
