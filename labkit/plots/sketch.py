"""What the concept drawings share: cards with text, rows of cards joined by arrows, and panels."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.plots.lettering import width_of, wrap
from labkit.plots.picture import Box, Picture

WIDTH, MARGIN = 780.0, 16.0  # points
INNER = WIDTH - 2 * MARGIN
SIZE, LINE = 10.5, 14.5  # of running text
_PAD, _GAP, _HEAD = 9.0, 20.0, 20.0
_MOST = 12  # lines in a card; no text here has that many


@dataclass(frozen=True)
class Card:
    """A box in a drawing. `who` is shown below the title, and `badge` next to it."""

    title: str
    text: str
    who: str = ""
    badge: str = ""

    @property
    def words(self) -> str:
        """The card as a sentence of a description."""
        about = ", ".join(filter(None, [self.who, self.badge]))
        return f"{self.title}{f' ({about})' if about else ''}: {self.text}"


def text_height(words: str, width: float) -> float:
    """The height of running text that is `width` points wide."""
    return LINE * len(_lines(words, width))


def draw_text(
    picture: Picture, words: str, left: float, top: float, width: float, *, colour: str | None = None
) -> None:
    """Draw running text below `top`."""
    for place, line in enumerate(_lines(words, width)):
        picture.write(left, top + 11 + LINE * place, line, size=SIZE, colour=colour)


def card_height(card: Card, width: float) -> float:
    """The height of a card that has room for all its text."""
    who = LINE if card.who else 0.0
    return _HEAD + who + text_height(card.text, width - 2 * _PAD) + 10


def draw_card(
    picture: Picture, card: Card, box: Box, *, colour: str | None = None, dashed: bool = False
) -> None:
    """Draw a card; `colour` is the color of its edge and badge."""
    theme, (left, top, width, _) = picture.theme, box
    picture.boxes([box], fill=theme.paper, edge=colour or theme.line, width=1.3, radius=6, dashed=dashed)
    picture.write(left + _PAD, top + 17, card.title, size=11.5, bold=True)
    if card.badge:
        right = left + width - _PAD
        tone = colour or theme.muted
        picture.write(right, top + 17, card.badge, size=10.5, bold=True, colour=tone, align="right")
    below = top + _HEAD
    if card.who:
        picture.write(left + _PAD, below + 11, card.who, size=10, colour=theme.muted)
        below += LINE
    draw_text(picture, card.text, left + _PAD, below, width - 2 * _PAD)


def row_height(cards: Sequence[Card], width: float = INNER) -> float:
    """The height of a row of cards, which is that of the tallest card."""
    each = _each(cards, width)
    return max(card_height(card, each) for card in cards)


def draw_row(
    picture: Picture,
    cards: Sequence[Card],
    top: float,
    *,
    left: float = MARGIN,
    width: float = INNER,
    arrows: bool = True,
    colours: Sequence[str | None] = (),
) -> list[Box]:
    """Draw cards side by side, with an arrow from each to the next; return their boxes."""
    each, height = _each(cards, width), row_height(cards, width)
    boxes = [(left + place * (each + _GAP), top, each, height) for place in range(len(cards))]
    for place, (card, box) in enumerate(zip(cards, boxes, strict=True)):
        draw_card(picture, card, box, colour=colours[place] if colours else None)
    if arrows:
        for box in boxes[:-1]:
            end = box[0] + box[2]
            draw_arrow(picture, (end + 3, top + height / 2), (end + _GAP - 3, top + height / 2))
    return boxes


def draw_panel(picture: Picture, box: Box, title: str, *, note: str = "") -> None:
    """Draw the background of a group with its title, and a note on the right."""
    theme, (left, top, width, _) = picture.theme, box
    picture.boxes([box], fill=theme.panel, edge=theme.panel, radius=8)
    picture.write(left + 12, top + 20, title, size=12, bold=True)
    if note:
        picture.write(left + width - 12, top + 20, note, size=10.5, colour=theme.muted, align="right")


def draw_arrow(
    picture: Picture,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    colour: str | None = None,
    dashed: bool = False,
) -> None:
    """Draw a horizontal or vertical arrow."""
    tone, (x, y) = colour or picture.theme.muted, end
    picture.line([start, end], colour=tone, width=1.6, dashed=dashed)
    if start[1] == y:
        back = -5 if end[0] > start[0] else 5
        head = [(x + back, y - 4), (x, y), (x + back, y + 4)]
    else:
        back = -5 if y > start[1] else 5
        head = [(x - 4, y + back), (x, y), (x + 4, y + back)]
    picture.line(head, colour=tone, width=1.6)


def draw_brace(picture: Picture, left: float, right: float, y: float, words: str, colour: str) -> None:
    """Draw a brace, and words centered below it that stay within the picture."""
    picture.line([(left, y - 5), (left, y)], colour=colour, width=1.4)
    picture.line([(left, y), (right, y)], colour=colour, width=1.4)
    picture.line([(right, y - 5), (right, y)], colour=colour, width=1.4)
    half = width_of(words, SIZE) / 2
    middle = min(max((left + right) / 2, MARGIN + half), WIDTH - MARGIN - half)
    picture.write(middle, y + 14, words, size=SIZE, colour=colour, align="center")


def _lines(words: str, width: float) -> list[str]:
    """The lines, slightly shorter than the space, because screens round letters to whole pixels."""
    return wrap(words, width * 0.96, SIZE, lines=_MOST)


def _each(cards: Sequence[Card], width: float) -> float:
    return (width + _GAP) / len(cards) - _GAP
