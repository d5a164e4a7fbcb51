"""The concept drawing `raft_log`: the managers' logs, and when an entry is committed."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.plots.lettering import fit
from labkit.plots.picture import Picture
from labkit.plots.quorum import QuorumView, quorum_view
from labkit.plots.sketch import INNER, MARGIN, WIDTH, draw_panel, draw_text, text_height
from labkit.plots.theme import LIGHT, Theme
from labkit.swarm.model import Snapshot
from labkit.util.text import counted

_TITLE = "An entry is committed when a majority of the managers has it"
_RULE = (
    "The leader appends each change to its log and sends it to the followers. As soon as a majority has"
    " stored the entry, it is committed and takes effect. The majority is counted over all managers,"
    " including those that are away. Entry 5 is an example."
)
_PANEL, _ROW, _CELL, _NEWEST, _NAME = 30.0, 26.0, 74.0, 180.0, 236.0
_OLD, _MOST = 4, 7  # entries that everyone has; managers that are drawn


@dataclass(frozen=True)
class _Log:
    """A manager's log: whether it answers, and whether it has the newest entry."""

    name: str
    part: str
    there: bool
    newest: bool


@dataclass(frozen=True)
class _Case:
    """A situation: its logs, and what happens to the newest entry."""

    title: str
    logs: tuple[_Log, ...]
    verdict: str
    committed: bool


def _example(away: int) -> _Case:
    names = ("manager1", "manager2", "manager3")
    quorum = away < 2
    first = "leader" if quorum else "no leader"
    parts = (first, "away" if away > 1 else "follower", "away" if away else "follower")
    logs = tuple(
        _Log(name, part, part != "away", part != "away") for name, part in zip(names, parts, strict=True)
    )
    verdict = {
        0: "3 of 3 have entry 5: committed.",
        1: "2 of 3 have entry 5: committed. manager3 gets what it missed when it comes back.",
        2: "1 of 3 has entry 5: not committed. No quorum, so the leader steps down, and nothing can be"
        " changed. Tasks keep running.",
    }[away]
    title = ("All three managers answer", "One of three is away", "Two of three are away")[away]
    return _Case(title, logs, verdict, quorum)


def raft_log(snapshot: Snapshot | None = None, *, theme: Theme = LIGHT) -> Picture:
    """Draw three managers' logs with all of them present, with one away, and with two away.

    With a snapshot, first draw its managers, and which of them can be reached.
    """
    view = quorum_view(snapshot) if snapshot else None
    cases = [*([_now(view)] if view and view.members else []), *(_example(away) for away in range(3))]
    heights = [_height(case) for case in cases]
    rule = 44 + sum(heights) + 12 * len(cases)
    description = "\n".join([f"{_TITLE}.", _RULE, *map(_describe, cases)])
    picture = Picture(WIDTH, rule + text_height(_RULE, INNER) + 14, description, theme=theme)
    picture.write(MARGIN, 28, _TITLE, size=15, bold=True)
    top = 44.0
    for case, height in zip(cases, heights, strict=True):
        _draw_case(picture, case, top, height)
        top += height + 12
    draw_text(picture, _RULE, MARGIN, rule, INNER)
    return picture


def _now(view: QuorumView) -> _Case:
    """The managers of a snapshot; their logs aren't visible, so this only shows votes."""
    logs = tuple(
        _Log(
            member.name,
            "follower" if member.part == "reachable" else member.part or member.condition or "on",
            member.votes,
            member.votes and bool(view.quorum),
        )
        for member in view.members[:_MOST]
    )
    more = len(view.members) - len(logs)
    hidden = f" And {counted(more, 'more manager')}." if more else ""
    if not view.quorum:
        return _Case("Now", logs, f"No quorum: no entry can be committed now.{hidden}", False)
    need = f"{view.present} of {view.voters} can store a new entry; {counted(view.majority, 'manager')} must."
    return _Case("Now", logs, f"{need} It will be committed.{hidden}", True)


def _height(case: _Case) -> float:
    return _PANEL + _ROW * len(case.logs) + text_height(case.verdict, INNER - 24) + 14


def _draw_case(picture: Picture, case: _Case, top: float, height: float) -> None:
    theme = picture.theme
    draw_panel(picture, (MARGIN, top, INNER, height), case.title)
    for row, log in enumerate(case.logs):
        y = top + _PANEL + row * _ROW
        star = "★ " if log.part == "leader" else "" if log.there else "✗ "
        name = fit(log.name, 120, 11, bold=True)
        picture.write(MARGIN + 12, y + 15, name, size=11, bold=True)
        tone = theme.ink if log.there else theme.bad
        picture.write(MARGIN + 140, y + 15, fit(f"{star}{log.part}", 84, 10.5), size=10.5, colour=tone)
        _draw_log(picture, log, y, case.committed)
    words = f"{'✓' if case.committed else '✗'} {case.verdict}"
    colour = theme.good if case.committed else theme.bad
    draw_text(
        picture, words, MARGIN + 12, top + _PANEL + _ROW * len(case.logs) + 2, INNER - 24, colour=colour
    )


def _draw_log(picture: Picture, log: _Log, y: float, committed: bool) -> None:
    """The entries as numbered cells; the newest one also shows its state."""
    theme, left = picture.theme, MARGIN + _NAME
    cells = [(left + place * (_CELL + 4), y, _CELL, 21.0) for place in range(_OLD)]
    picture.boxes(cells, fill=theme.paper, edge=theme.line, width=1.2, radius=3)
    for number, cell in enumerate(cells, 1):
        picture.write(cell[0] + _CELL / 2, y + 15, str(number), size=10.5, align="center")
    newest = (left + _OLD * (_CELL + 4), y, _NEWEST, 21.0)
    tone = (theme.good if committed else theme.warn) if log.newest else theme.muted
    sure = log.newest and committed
    picture.boxes([newest], fill=theme.paper, edge=tone, width=1.6, radius=3, dashed=not sure)
    words = ("5  committed" if committed else "5  stored only") if log.newest else "missing"
    picture.write(newest[0] + _NEWEST / 2, y + 15, words, size=10.5, colour=tone, align="center")


def _describe(case: _Case) -> str:
    told: Sequence[str] = [f"{log.name} ({log.part})" for log in case.logs]
    return f"{case.title}: {', '.join(told)}. {case.verdict}"
