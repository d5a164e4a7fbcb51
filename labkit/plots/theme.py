"""The colors of the page in its two themes, of services, and of nodes."""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.swarm.model import Snapshot
from labkit.util.text import natural


@dataclass(frozen=True)
class Theme:
    """The colors of a picture, each a hex code that means nothing else in it.

    `paper` is behind everything, and `panel` behind a group. `ink` and `muted` are for text, `line` for
    edges, and `good`, `warn`, and `bad` for text and marks. All text is readable on both backgrounds (WCAG
    AA, 4.5:1).
    """

    name: str
    paper: str
    panel: str
    ink: str
    muted: str
    line: str
    good: str
    warn: str
    bad: str

    def colours(self) -> dict[str, str]:
        """The colors by name."""
        return {name: value for name, value in vars(self).items() if name != "name"}


LIGHT = Theme(
    name="light",
    paper="#fefefe",
    panel="#f2f4f7",
    ink="#1b1f24",
    muted="#57606a",
    line="#c9d1d9",
    good="#17713a",
    warn="#855700",
    bad="#b8232c",
)
DARK = Theme(
    name="dark",
    paper="#212121",
    panel="#2d3239",
    ink="#f0f3f6",
    muted="#b4bcc6",
    line="#59626d",
    good="#5fd07f",
    warn="#e9b44c",
    bad="#ff8f87",
)


@dataclass(frozen=True)
class Paint:
    """A color for a surface, and one for the text on it. They are the same in both themes."""

    fill: str
    text: str


_DARK_TEXT, _LIGHT_TEXT = "#101214", "#ffffff"
# Okabe and Ito, "Color Universal Design" (2008): distinguishable with any kind of color vision. Their black
# would disappear on a dark page, so gray replaces it.
_SERVICES = (
    Paint("#e69f00", _DARK_TEXT),
    Paint("#0072b2", _LIGHT_TEXT),
    Paint("#009e73", _DARK_TEXT),
    Paint("#cc79a7", _DARK_TEXT),
    Paint("#9aa1ab", _DARK_TEXT),
    Paint("#d55e00", _DARK_TEXT),
    Paint("#f0e442", _DARK_TEXT),
    Paint("#56b4e9", _DARK_TEXT),
)
# Nodes are darker than services, so nobody can mistake a color of one family for one of the other, with any
# kind of color vision. The first three, for a lab's usual nodes, are distinguishable for everyone.
_NODES = (
    Paint("#7a1f4f", _LIGHT_TEXT),
    Paint("#4338a8", _LIGHT_TEXT),
    Paint("#75650a", _LIGHT_TEXT),
    Paint("#1f5c2e", _LIGHT_TEXT),
    Paint("#52606d", _LIGHT_TEXT),
    Paint("#963018", _LIGHT_TEXT),
    Paint("#0d5c68", _LIGHT_TEXT),
    Paint("#8a2f8f", _LIGHT_TEXT),
    Paint("#5b3d1e", _LIGHT_TEXT),
)


def service_paints(names: Iterable[str]) -> dict[str, Paint]:
    """The services' colors; `names` go from the oldest service to the newest.

    A name has the same color everywhere, or the next free one if an older service has taken it. So a new
    service never changes another one's color. If there are more than eight, they share colors, and text must
    distinguish them.
    """
    taken: dict[str, int] = {}
    for name in dict.fromkeys(names):
        first = zlib.crc32(name.encode())
        uses = list(taken.values())
        order = [(first + step) % len(_SERVICES) for step in range(len(_SERVICES))]
        taken[name] = min(order, key=uses.count)
    return {name: _SERVICES[place] for name, place in taken.items()}


def paints_of(snapshot: Snapshot) -> dict[str, Paint]:
    """The colors of a snapshot's services."""
    oldest_first = sorted(snapshot.services, key=lambda service: (service.created, service.name))
    return service_paints(service.name for service in oldest_first)


def node_paints(names: Iterable[str]) -> dict[str, Paint]:
    """The nodes' colors: a name has the same one in every picture, unless an earlier name has taken it.

    The lab's own names, up to six workers and three managers, never conflict. If there are more than nine
    nodes, they share colors.
    """
    taken: dict[str, int] = {}
    for name in sorted(set(names), key=natural):
        first = _favorite(name)
        uses = list(taken.values())
        order = [(first + step) % len(_NODES) for step in range(len(_NODES))]
        taken[name] = min(order, key=uses.count)
    return {name: _NODES[place] for name, place in taken.items()}


def _favorite(name: str) -> int:
    """The preferred color of a node's name: workers count from the front, further managers from the end."""
    numbered = re.fullmatch(r"(manager|worker)([1-9]\d*)", name)
    if not numbered:
        return zlib.crc32(name.encode())
    number = int(numbered[2])
    return number if numbered[1] == "worker" else -(number - 1)
