"""Text in pictures: measures how wide it is, and shortens it."""

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags

FONT = "DejaVu Sans"  # included in matplotlib, and wider than the fonts that browsers use instead
_MEASURED = 100  # points: advances grow in proportion


@lru_cache(maxsize=4096)
def _advance(letter: str, bold: bool) -> float:
    font = get_font(findfont(FontProperties(family=FONT, weight="bold" if bold else "normal")))
    if not font.get_char_index(ord(letter)):
        return 1.0  # not in this font; in any other font it's at most this wide
    font.set_size(_MEASURED, 72)
    return font.load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / _MEASURED


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """The width of a line of text in points, without kerning, which could only make it narrower."""
    return size * sum(_advance(letter, bold) for letter in words)


def fit(words: str, width: float, size: float, *, bold: bool = False) -> str:
    """The words, shortened with an ellipsis if they are wider than `width` points."""
    if width_of(words, size, bold=bold) <= width:
        return words
    while words and width_of(f"{words}…", size, bold=bold) > width:
        words = words[:-1]
    return f"{words.rstrip()}…"


def fit_name(name: str, width: float, size: float) -> str:
    """A task's name or count, shortened before its number: `long-na….12`, `long-n… × 3`."""
    number = re.search(r"(\.| × )\d+$", name)
    tail = number[0] if number else ""
    return fit(name.removesuffix(tail), width - width_of(tail, size), size) + tail


def wrap(words: str, width: float, size: float, *, lines: int) -> list[str]:
    """The words in at most `lines` lines of `width` points; the last one is shortened if necessary."""
    found: list[str] = [""]
    for word in words.split():
        longer = f"{found[-1]} {word}".strip()
        if width_of(longer, size) <= width or not found[-1] or len(found) == lines:
            found[-1] = longer
        else:
            found.append(word)
    return [fit(line, width, size) for line in found]
