"""The plot `managers`: who votes in Raft, how many votes a majority needs, and how many may fail."""

from labkit.plots.lettering import fit, wrap
from labkit.plots.picture import Picture
from labkit.plots.quorum import Member, QuorumView, quorum_view
from labkit.plots.theme import LIGHT, Theme
from labkit.swarm.model import Snapshot

_MARGIN, _GAP, _PAD, _WIDTH = 16.0, 10.0, 9.0, 460.0  # also readable next to the board
_CARDS, _CARD, _BAR, _VOTE = 42.0, 66.0, 114.0, 28.0  # tops and heights
_NARROWEST = 112.0


def managers(snapshot: Snapshot, *, before: Snapshot | None = None, theme: Theme = LIGHT) -> Picture:
    """Draw the managers with their votes below them, how many votes a majority needs, and what that means.

    Without a quorum, the swarm can't list its managers, but `before`, a snapshot from when it could, does.
    """
    view = quorum_view(snapshot, before)
    count = max(len(view.members), 1)
    card = max((_WIDTH + _GAP) / count - _GAP, _NARROWEST)
    width = count * (card + _GAP) - _GAP
    lines = [part for line in view.meaning for part in wrap(line, width, 12, lines=3)]
    drawn = _CARDS
    if view.members:
        drawn = _BAR + _VOTE + 34 if view.sure else _CARDS + _CARD + 20
    height = drawn + 19 * len(lines) + 12
    picture = Picture(width + 2 * _MARGIN, height, view.description, theme=theme)
    picture.write(_MARGIN, 28, view.title, size=15, bold=True)
    _draw_cards(picture, view, card)
    _draw_votes(picture, view, card)
    for place, line in enumerate(reversed(lines)):
        picture.write(_MARGIN, height - 16 - place * 19, line, size=12)
    return picture


def describe_managers(snapshot: Snapshot, *, before: Snapshot | None = None) -> str:
    """What `managers` shows, in words; the first sentence says how many managers take part."""
    return quorum_view(snapshot, before).description


def _draw_cards(picture: Picture, view: QuorumView, width: float) -> None:
    theme = picture.theme
    for vote in (True, False):
        cards = [
            (_MARGIN + place * (width + _GAP), _CARDS, width, _CARD)
            for place, member in enumerate(view.members)
            if member.votes == vote
        ]
        fill, edge = (theme.panel, theme.panel) if vote else ("none", theme.line)
        picture.boxes(cards, fill=fill, edge=edge, radius=8, dashed=not vote)
    for place, member in enumerate(view.members):
        left, room = _MARGIN + place * (width + _GAP) + _PAD, width - 2 * _PAD
        words, colour = _part(member, theme)
        condition = f"✗ {member.condition}" if member.condition and member.part else ""
        picture.write(left, _CARDS + 20, fit(member.name, room, 13, bold=True), size=13, bold=True)
        picture.write(left, _CARDS + 38, fit(words, room, 11), size=11, colour=colour)
        picture.write(left, _CARDS + 55, fit(condition, room, 11), size=11, colour=theme.bad)


def _part(member: Member, theme: Theme) -> tuple[str, str]:
    match member.part:
        case "leader":
            return "★ leader", theme.ink
        case "reachable":
            return "✓ reachable", theme.good
        case "":
            return (
                (f"✗ {member.condition}", theme.bad) if member.condition else ("on, a manager", theme.muted)
            )
        case "joining":
            return "joining", theme.warn
        case other:
            return f"✗ {other}", theme.bad


def _draw_votes(picture: Picture, view: QuorumView, width: float) -> None:
    """Each manager's vote below its card, and then how many votes there are and how many a majority needs."""
    if not view.members or not view.sure:
        return
    theme = picture.theme
    for place, member in enumerate(view.members):
        box = (_MARGIN + place * (width + _GAP), _BAR, width, _VOTE)
        if member.part == "joining":
            words, colour = "no vote yet", theme.muted
            picture.boxes([box], edge=theme.line, dashed=True)
        elif member.votes:
            words, colour = "✓ vote", theme.paper
            picture.boxes([box], fill=theme.good)
        else:
            words, colour = "✗ no vote", theme.bad
            picture.boxes([box], edge=theme.bad, width=1.5, dashed=True)
        picture.write(box[0] + width / 2, _BAR + 18, words, size=11.5, colour=colour, align="center")
    tone = theme.good if view.present >= view.majority else theme.bad
    picture.write(_MARGIN, _BAR + _VOTE + 22, view.ballot, size=12, bold=True, colour=tone)
