"""The plot `managers`: who votes in the Raft, how many votes a majority needs, and how many may fail."""

from labkit.model import Snapshot
from labkit.plots.council import Council, Member, council_of
from labkit.plots.lettering import counted, fit, wrap
from labkit.plots.picture import Picture
from labkit.plots.theme import LIGHT, Theme

_MARGIN, _GAP, _PAD, _WIDTH = 16.0, 10.0, 9.0, 460.0  # readable beside the board too
_CARDS, _CARD, _BAR, _VOTE = 42.0, 66.0, 152.0, 28.0  # tops and heights
_NARROWEST = 112.0


def managers(snapshot: Snapshot, *, before: Snapshot | None = None, theme: Theme = LIGHT) -> Picture:
    """The managers, the votes that are there and that a majority needs, and what that means.

    Without a quorum nobody can tell who the managers are; `before`, a snapshot from when there was one, can.
    """
    council = council_of(snapshot, before)
    count = max(len(council.members), 1)
    card = max((_WIDTH + _GAP) / count - _GAP, _NARROWEST)
    width = count * (card + _GAP) - _GAP
    lines = [part for line in council.meaning for part in wrap(line, width, 12, lines=3)]
    drawn = _CARDS
    if council.members:
        drawn = _BAR + _VOTE + 22 if council.sure else _CARDS + _CARD + 20
    height = drawn + 19 * len(lines) + 12
    picture = Picture(width + 2 * _MARGIN, height, council.description, theme=theme)
    picture.write(_MARGIN, 28, council.title, size=15, bold=True)
    _draw_cards(picture, council, card)
    _draw_votes(picture, council, width)
    for place, line in enumerate(reversed(lines)):
        picture.write(_MARGIN, height - 16 - place * 19, line, size=12)
    return picture


def describe_managers(snapshot: Snapshot, *, before: Snapshot | None = None) -> str:
    """What `managers` shows, in words; the first sentence tells how many managers take part."""
    return council_of(snapshot, before).description


def _draw_cards(picture: Picture, council: Council, width: float) -> None:
    theme = picture.theme
    for vote in (True, False):
        cards = [
            (_MARGIN + place * (width + _GAP), _CARDS, width, _CARD)
            for place, member in enumerate(council.members)
            if member.votes == vote
        ]
        fill, edge = (theme.panel, theme.panel) if vote else ("none", theme.line)
        picture.boxes(cards, fill=fill, edge=edge, radius=8, dashed=not vote)
    for place, member in enumerate(council.members):
        left, room = _MARGIN + place * (width + _GAP) + _PAD, width - 2 * _PAD
        words, colour = _part(member, theme)
        machine = f"✗ {member.machine}" if member.machine and member.part else ""
        picture.write(left, _CARDS + 20, fit(member.name, room, 13, bold=True), size=13, bold=True)
        picture.write(left, _CARDS + 38, fit(words, room, 11), size=11, colour=colour)
        picture.write(left, _CARDS + 55, fit(machine, room, 11), size=11, colour=theme.bad)


def _part(member: Member, theme: Theme) -> tuple[str, str]:
    match member.part:
        case "leader":
            return "★ leader", theme.ink
        case "reachable":
            return "✓ reachable", theme.good
        case "":
            return (f"✗ {member.machine}", theme.bad) if member.machine else ("on, a manager", theme.muted)
        case "joining":
            return "joining", theme.warn
        case other:
            return f"✗ {other}", theme.bad


def _draw_votes(picture: Picture, council: Council, width: float) -> None:
    """The votes in a row, those that are there first, and how far a majority reaches."""
    if not council.members or not council.sure:
        return
    theme, step = picture.theme, (width + 4) / council.voters
    boxes = [(_MARGIN + place * step, _BAR, step - 4, _VOTE) for place in range(council.voters)]
    picture.boxes(boxes[: council.present], fill=theme.good)
    picture.boxes(boxes[council.present :], edge=theme.bad, width=1.5, dashed=True)
    for place, (left, top, wide, _) in enumerate(boxes):
        there = place < council.present
        words, colour = ("✓ vote", theme.paper) if there else ("✗ no vote", theme.bad)
        picture.write(left + wide / 2, top + 18, words, size=11.5, colour=colour, align="center")
    end, above = _MARGIN + council.majority * step - 4, _BAR - 8
    picture.line(
        [(_MARGIN, above + 4), (_MARGIN, above), (end, above), (end, above + 4)],
        colour=theme.muted,
        width=1.5,
    )
    needed = f"{counted(council.majority, 'vote')} of {council.voters} needed"
    picture.write(_MARGIN, above - 8, needed, size=11, colour=theme.muted)
