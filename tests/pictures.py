"""What a picture shows, and whether it looks as it did: for the tests of plots.

After a wanted change of looks, `LABKIT_NEW_PICTURES=1 pytest tests/unit -k plots` makes the baselines anew.
Look at them before you commit them.
"""

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from labkit.plots import Picture
from tests.recorded import DATA

PICTURES = DATA / "pictures"
_DPI = 60
_TOLERANCE = 2.0  # root mean square of 0–255: anti-aliasing differs between versions of FreeType
_FINE = 144  # dots per inch, as files are written: with few, letters are rounded to whole dots
_SLACK = 1.0  # dots


def texts(picture: Picture) -> list[str]:
    """All that is written in the picture."""
    return [text.get_text() for text in _texts(picture)]


def faults(picture: Picture) -> list[str]:
    """Texts that leave the picture, cross the edge of a box or lie behind it, or lie on each other."""
    picture.set_dpi(_FINE)
    renderer = FigureCanvasAgg(picture).get_renderer()
    extents = [(text.get_text(), text.get_window_extent(renderer)) for text in _texts(picture)]
    heights = [text.get_zorder() for text in _texts(picture)]
    boxes = list(_boxes(picture))
    found = [f"{words!r} leaves the picture" for words, at in extents if not _inside(at, picture.bbox)]
    for (words, at), height in zip(extents, heights, strict=True):
        for box, above in boxes:
            if _overlap(at, box) and not _inside(at, box):
                found.append(f"{words!r} crosses the edge of {_told(box)}")
            if _overlap(at, box) and above > height:
                found.append(f"{words!r} lies behind {_told(box)}")
    for (first, at), (second, there) in combinations(extents, 2):
        if _overlap(at, there):
            found.append(f"{first!r} and {second!r} lie on each other")
    return found


def looks_as_before(picture: Picture, name: str, tmp_path: Path) -> None:
    """Hold the picture against tests/data/pictures/NAME.png."""
    baseline, now = PICTURES / f"{name}.png", tmp_path / f"{name}.png"
    if os.environ.get("LABKIT_NEW_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        picture.save(baseline, dpi=_DPI)
    picture.save(now, dpi=_DPI)
    difference = compare_images(str(baseline), str(now), tol=_TOLERANCE)
    assert difference is None, difference


def _texts(picture: Picture) -> list[Text]:
    found = picture.findobj(Text)
    return [text for text in found if isinstance(text, Text) and text.get_text() and text.get_visible()]


def _boxes(picture: Picture) -> Iterator[tuple[Bbox, float]]:
    """Every closed shape and its place in the order of drawing; lines have no inside."""
    for shapes in picture.findobj(PathCollection):
        assert isinstance(shapes, PathCollection)
        for shape in shapes.get_paths():
            extent = shapes.get_transform().transform_path(shape).get_extents()
            if min(extent.width, extent.height) > 1:
                yield extent, shapes.get_zorder()


def _inside(at: Bbox, box: Bbox) -> bool:
    return (
        at.x0 >= box.x0 - _SLACK
        and at.x1 <= box.x1 + _SLACK
        and at.y0 >= box.y0 - _SLACK
        and at.y1 <= box.y1 + _SLACK
    )


def _overlap(one: Bbox, other: Bbox) -> bool:
    return (
        min(one.x1, other.x1) - max(one.x0, other.x0) > _SLACK
        and min(one.y1, other.y1) - max(one.y0, other.y0) > _SLACK
    )


def _told(box: Bbox) -> str:
    return f"the box at {box.x0:.0f}, {box.y0:.0f} ({box.width:.0f} × {box.height:.0f})"
