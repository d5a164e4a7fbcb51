"""Tasks as boxes: filled with their service's color if they run, otherwise outlined, with their state."""

from collections.abc import Mapping, Sequence

from labkit.plots.arrangement import Tile
from labkit.plots.lettering import fit, fit_name, width_of
from labkit.plots.picture import Box, Picture
from labkit.plots.theme import Paint

_LEAVING = ("stopping", "lost")  # dashed, because the swarm no longer counts them
_LABEL, _ASIDE, _SIDE = 12.0, 10.5, 8.0  # sizes of text, and the space next to it
_MOST_ASIDE = 0.54  # of a tile's width, if not everything fits


def draw_tiles(picture: Picture, tiles: Sequence[tuple[Box, Tile]], paints: Mapping[str, Paint]) -> None:
    """Draw each tile in its box; a service without a paint has been removed."""
    theme = picture.theme
    removed = Paint(theme.muted, theme.paper)
    paint = {tile.service: paints.get(tile.service, removed) for _, tile in tiles}
    full = [(box, paint[tile.service].fill) for box, tile in tiles if not tile.state]
    picture.boxes([box for box, _ in full], fill=[fill for _, fill in full])
    for dashed in (False, True):
        light = [
            ((left + 1, top + 1, width - 2, height - 2), paint[tile.service].fill)
            for (left, top, width, height), tile in tiles
            if tile.state and (tile.state in _LEAVING) == dashed
        ]
        edges = [edge for _, edge in light]
        picture.boxes([box for box, _ in light], fill=theme.paper, edge=edges, width=2, dashed=dashed)
    asides = [_aside(box, tile) for box, tile in tiles]
    plates = [
        plate for (_, plate), (_, tile) in zip(asides, tiles, strict=True) if tile.current and not tile.state
    ]
    picture.boxes(plates, fill=theme.paper, radius=3)
    for (box, tile), (words, plate) in zip(tiles, asides, strict=True):
        left, top, width, height = box
        ink = theme.ink if tile.state else paint[tile.service].text
        base = top + height / 2 + 4.2
        room = (plate[0] if words else left + width) - left - 2 * _SIDE + (2 if words else 0)
        picture.write(left + _SIDE, base, fit_name(tile.label, room, _LABEL), size=_LABEL, colour=ink)
        if words:
            colour = theme.ink if tile.current or tile.state else ink
            x = plate[0] + plate[2] / 2
            picture.write(x, base - 0.4, words, size=_ASIDE, colour=colour, align="center")


def _aside(box: Box, tile: Tile) -> tuple[str, Box]:
    """The text on the right of a tile, and the plate behind it."""
    left, top, width, height = box
    image = tile.image.rpartition("/")[2]  # the part in which a service's images differ
    both = " · ".join(filter(None, [image, tile.state]))
    roomy = width_of(both, _ASIDE) + width_of(tile.label, _LABEL) + 4 * _SIDE <= width
    words = both if roomy else tile.state or image
    words = words if roomy else fit(words, width * _MOST_ASIDE, _ASIDE)
    room = width_of(words, _ASIDE) + 10
    return words, (left + width - room - 4, top + 4, room, height - 8)
