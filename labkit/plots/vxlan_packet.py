"""The concept drawing `vxlan_packet`: the headers of a packet between two nodes, plain and encrypted."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.plots.picture import Picture
from labkit.plots.sketch import INNER, MARGIN, WIDTH, draw_brace, draw_text, text_height
from labkit.plots.theme import LIGHT, Theme


@dataclass(frozen=True)
class _Field:
    """A header, with its share of the picture's width, and whether an eavesdropper can read it."""

    name: str
    about: str
    size: str
    share: float
    readable: bool = True


_ETHERNET = _Field("Ethernet", "node MACs", "14 bytes", 9)
_IP = _Field("IP", "node → node", "20 bytes", 11)
_INSIDE = (
    _Field("UDP", "port 4789", "8 bytes", 9),
    _Field("VXLAN", "VNI", "8 bytes", 8),
    _Field("Ethernet", "task MACs", "14 bytes", 10),
    _Field("IP", "task → task", "20 bytes", 11),
    _Field("Payload", "such as TCP and HTTP", "the rest", 17),
)
_PLAIN = (_ETHERNET, _IP, *_INSIDE)
_ENCRYPTED = (
    _ETHERNET,
    _IP,
    _Field("ESP", "SPI, number", "8 bytes", 11),
    _Field("IV", "", "8", 4),
    *(_Field(field.name, field.about, field.size, field.share, readable=False) for field in _INSIDE[:-1]),
    _Field("Payload", "and padding", "the rest", 11, readable=False),
    _Field("ICV", "", "8", 5),
)
_PLAIN_TITLE = "A plain overlay network: VXLAN in UDP"
_ENCRYPTED_TITLE = "With --opt encrypted: the same in IPsec ESP (transport mode)"
_OVERHEAD = "20 + 8 + 8 + 14 = 50 bytes are added to the task's packet: 1500 − 50 leaves an MTU of 1450"
_EXPANSION = "encrypted with keys that only the swarm's nodes hold"
_PLAIN_SEEN = (
    "An eavesdropper can read everything: which nodes and which tasks talk, on which network, and what"
    " they say."
)
_ENCRYPTED_SEEN = (
    "An eavesdropper still sees which nodes talk, when, and how much. Tasks, networks, and content are"
    " hidden. ESP costs 26 more bytes and padding, so Docker sets an MTU of 1424 in these networks."
)
_BOX, _BLOCK = 46.0, 116.0  # heights: of a header, and of a packet with its title and its brace


def vxlan_packet(encrypted: bool | None = None, *, theme: Theme = LIGHT) -> Picture:
    """Draw a packet from a task to a task on another node, and what an eavesdropper between them sees.

    With None, draw both the plain and the encrypted packet; with a bool, only one. Sizes are for IPv4.
    """
    shown = [
        part
        for part, wanted in (
            ((_PLAIN_TITLE, _PLAIN, _PLAIN_SEEN), encrypted is not True),
            ((_ENCRYPTED_TITLE, _ENCRYPTED, _ENCRYPTED_SEEN), encrypted is not False),
        )
        if wanted
    ]
    height = 44 + sum(_BLOCK + text_height(seen, INNER) + 16 for _, _, seen in shown)
    picture = Picture(WIDTH, height, _describe(shown), theme=theme)
    picture.write(MARGIN, 28, _title(encrypted), size=15, bold=True)
    top = 44.0
    for title, fields, seen in shown:
        _draw_packet(picture, title, fields, top)
        draw_text(picture, seen, MARGIN, top + _BLOCK, INNER)
        top += _BLOCK + text_height(seen, INNER) + 16
    return picture


def _title(encrypted: bool | None) -> str:
    if encrypted is None:
        return "Encryption hides the tasks' packets, but not which nodes talk"
    return (
        "ESP hides the tasks' packets" if encrypted else "VXLAN wraps the tasks' packets, and hides nothing"
    )


def _draw_packet(picture: Picture, title: str, fields: Sequence[_Field], top: float) -> None:
    theme, unit = picture.theme, INNER / sum(field.share for field in fields)
    picture.write(MARGIN, top + 16, title, size=12, bold=True)
    left, y = MARGIN, top + 40
    edges: list[tuple[float, float]] = []
    for field in fields:
        width = field.share * unit
        edges.append((left, left + width - 3))
        tone = theme.warn if field.readable else theme.good
        picture.boxes(
            [(left, y, width - 3, _BOX)],
            fill=theme.paper if field.readable else theme.panel,
            edge=tone,
            width=1.4,
            dashed=not field.readable,
        )
        middle = left + (width - 3) / 2
        picture.write(middle, y - 5, field.size, size=10, colour=theme.muted, align="center")
        picture.write(middle, y + (19 if field.about else 27), field.name, size=11, bold=True, align="center")
        if field.about:
            picture.write(middle, y + 35, field.about, size=10, align="center")
        left += width
    hidden = [edge for edge, field in zip(edges, fields, strict=True) if not field.readable]
    if hidden:
        draw_brace(picture, hidden[0][0], hidden[-1][1], y + _BOX + 8, _EXPANSION, theme.good)
    else:
        draw_brace(picture, edges[1][0], edges[4][1], y + _BOX + 8, _OVERHEAD, theme.muted)


def _describe(shown: Sequence[tuple[str, Sequence[_Field], str]]) -> str:
    both, first = len(shown) == 2, shown[0][1]
    lines = [f"{_title(None if both else first is _ENCRYPTED)}."]
    for title, fields, seen in shown:
        told = []
        for field in fields:
            size = f"{field.size} bytes" if field.size == "8" else field.size
            words = ", ".join(filter(None, [field.about, size]))
            told.append(f"{field.name} ({words}{'' if field.readable else ', encrypted'})")
        lines += [f"{title}. In order: {'; '.join(told)}.", seen]
        brace = _OVERHEAD if fields is _PLAIN else f"The dashed part is {_EXPANSION}"
        lines.append(f"{brace}.")
    return "\n".join(lines)
