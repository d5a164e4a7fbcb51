"""A picture: a matplotlib figure with a description. A notebook shows it as inline SVG."""

import hashlib
import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from labkit.plots.lettering import FONT
from labkit.plots.theme import DARK, LIGHT, Theme

Box = tuple[float, float, float, float]  # left, top, width, height in points

_FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_STROKES = "stroke-linejoin:round;stroke-linecap:butt"
_WORDS = "margin:0 2%;font-size:90%;line-height:1.5"
_LARGEST = 1.2  # times as wide as drawn
_SHORT = 160  # characters of a description that doesn't need to be folded
# JupyterLab's variables, where one is readable on both backgrounds; the others are set here for dark themes.
_VARIABLES = {"paper": "--jp-layout-color0", "ink": "--jp-content-font-color0"}
_PROPERTIES = {name: _VARIABLES.get(name, f"--labkit-{name}") for name in LIGHT.colours()}
_DARK_STYLE = "".join(
    f"{_PROPERTIES[name]}:{colour};" for name, colour in DARK.colours().items() if name not in _VARIABLES
)
_STYLE = f"<style>body[data-jp-theme-light=false] .labkit-picture{{{_DARK_STYLE}}}</style>"


class Picture(Figure):
    """A figure of `width` × `height` points, to draw on with `boxes`, `write`, and `line`, or on axes.

    Coordinates are points from the upper left corner. `description` is its text alternative, with the
    conclusion in the first sentence. In a notebook, a picture in `LIGHT` follows JupyterLab's theme.
    """

    def __init__(self, width: float, height: float, description: str, *, theme: Theme = LIGHT) -> None:
        super().__init__(figsize=(width / 72, height / 72), dpi=72, facecolor=theme.paper)
        self.description = description
        self.theme = theme
        self._points = Affine2D().scale(1 / 72, -1 / 72).translate(0, height / 72) + self.dpi_scale_trans

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        width, height = self.get_size_inches()
        return float(width * 72), float(height * 72)

    @property
    def headline(self) -> str:
        """The description's first sentence."""
        return re.split(r"(?<=[.!?])\s", self.description, maxsplit=1)[0]

    def boxes(
        self,
        boxes: Sequence[Box],
        *,
        fill: str | Sequence[str] = "none",
        edge: str | Sequence[str] = "none",
        width: float = 1,
        radius: float = 4,
        dashed: bool = False,
    ) -> None:
        """Draw rounded rectangles; `fill` and `edge` are one color for all of them, or one for each."""
        if boxes:
            shapes = [_rounded(box, radius) for box in boxes]
            style = (0, (3, 2)) if dashed else "solid"
            self._place(
                PathCollection(shapes, facecolors=fill, edgecolors=edge, linewidths=width, linestyles=style)
            )

    def line(
        self, points: Sequence[tuple[float, float]], *, colour: str, width: float = 1, dashed: bool = False
    ) -> None:
        """Draw a line through points."""
        shape = Outline([*points])
        style = (0, (3, 2)) if dashed else "solid"
        self._place(
            PathCollection([shape], facecolors="none", edgecolors=colour, linewidths=width, linestyles=style)
        )

    def write(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        colour: str | None = None,
        bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
    ) -> None:
        """Write one line of text with its baseline at `y`, in the theme's ink unless `colour` is given."""
        font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
        text = Text(x, y, words, color=colour or self.theme.ink, fontproperties=font, parse_math=False)
        text.set(horizontalalignment=align, verticalalignment="baseline")
        self._place(text)

    def _place(self, artist: PathCollection | Text) -> None:
        artist.set_transform(self._points)
        artist.set_zorder(
            len(self.artists) + 1
        )  # in the order of drawing; figures would put text above everything else
        self.add_artist(artist)

    def save(self, path: str | Path, *, dpi: float = 144) -> None:
        """Write a PNG or SVG file, depending on the suffix, with the description in it. Reproducible."""
        path = Path(path)
        if path.suffix == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        else:
            self.savefig(path, dpi=dpi, metadata={"Description": self.description})

    def svg(self) -> str:
        """An SVG document with the description in it."""
        about = f"<title>{escape(self.headline)}</title><desc>{escape(self.description)}</desc>"
        return self._svg('role="img"', _STROKES, about)

    def html(self) -> str:
        """A `<figure>` with the picture as SVG and its description as text."""
        width, _ = self.size
        drawing = self._svg(
            f'role="img" aria-label="{escape(self.headline)}"',
            f"{_STROKES};display:block;width:100%;height:auto",
        )
        if self.theme == LIGHT:
            drawing = _with_variables(drawing)
        caption, more = self.description, ""
        if len(self.description) > _SHORT:
            words = escape(self.description.removeprefix(self.headline).strip(), quote=False)
            caption = self.headline
            inner = f'<div style="white-space:pre-line">{words}</div>'
            more = f'<details style="{_WORDS}"><summary>In words</summary>{inner}</details>'
        return (
            f'<figure class="labkit-picture" style="margin:0;max-width:{width * _LARGEST:.0f}px">'
            f'{_STYLE}{drawing}<figcaption style="{_WORDS}">{escape(caption, quote=False)}</figcaption>'
            f"{more}</figure>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.description, "text/html": self.html()}

    def _svg(self, attributes: str, style: str, about: str = "") -> str:
        """The drawing, with text as text.

        It omits matplotlib's style sheet, which would apply to the whole page. Its identifiers are unique, so
        that pictures on the same page don't use each other's patterns.
        """
        self.set_dpi(72)  # a point is SVG's unit
        width, height = self.size
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        renderer = RendererSVG(width, height, written, metadata=nothing)
        # Like `svg.fonttype: none`, but not for the whole process and its other threads.
        renderer.draw_text = renderer._draw_text_as_text  # type: ignore[assignment, method-assign]
        self.draw(renderer)
        renderer.finalize()
        _, _, body = written.getvalue().partition("</defs>")  # after the style sheet
        body = (
            re.sub(r">\s+<", "><", body.replace(f"font-family: '{FONT}'; ", "")).replace(" \n", " ").strip()
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width:g} {height:g}" {attributes} style="{style};font-family:{_FONTS}">'
        )
        return f"{head}{about}{_with_own_identifiers(body)}"


def _with_variables(drawing: str) -> str:
    names = {colour: name for name, colour in LIGHT.colours().items()}
    return re.sub("|".join(names), lambda found: f"var({_PROPERTIES[names[found[0]]]},{found[0]})", drawing)


def _with_own_identifiers(body: str) -> str:
    """Rename the identifiers that are in use, with a hash of the whole drawing, and remove the others."""
    used = list(dict.fromkeys(re.findall(r'(?:url\(|href=")#([^")]+)', body)))

    def named(prefix: str) -> str:
        def name(found: re.Match[str]) -> str:
            if found[2] in used:
                return f"{found[1]}{prefix}{used.index(found[2])}{found[3]}"
            return ""  # nothing refers to it

        return re.sub(r'( id="|(?:url\(|href=")#)([^")]+)(["\)])', name, body)

    return named(f"p{hashlib.sha256(named('').encode()).hexdigest()[:8]}-")


def _rounded(box: Box, radius: float) -> Outline:
    left, top, width, height = box
    right, bottom, r = left + width, top + height, min(radius, width / 2, height / 2)
    corners = [
        (left + r, top), (right - r, top), (right, top), (right, top + r),
        (right, bottom - r), (right, bottom), (right - r, bottom),
        (left + r, bottom), (left, bottom), (left, bottom - r),
        (left, top + r), (left, top), (left + r, top), (left + r, top),
    ]  # fmt: skip
    line, curve = Outline.LINETO, Outline.CURVE3
    codes = [Outline.MOVETO, *[line, curve, curve] * 4, Outline.CLOSEPOLY]
    return Outline(corners, codes)
