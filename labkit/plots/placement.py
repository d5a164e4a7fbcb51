"""The plot `placement`: which task is on which node, which tasks wait, and what has failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.plots.arrangement import LOST, Arrangement, Column, Entry, Waiting, arrange
from labkit.plots.groups import Group, describe_group, grouped
from labkit.plots.lettering import fit, width_of
from labkit.plots.picture import Box, Picture
from labkit.plots.placement_text import NOTES, narrate, title
from labkit.plots.theme import LIGHT, Paint, Theme, node_paints, paints_of
from labkit.plots.tiles import draw_tiles
from labkit.swarm.model import Snapshot
from labkit.swarm.reasons import label_of_update
from labkit.util.text import counted

_MARGIN, _GAP, _PAD = 16.0, 10.0, 9.0  # points, like all lengths here
_WIDTH = 660.0
_NARROWEST, _WIDEST = 136.0, 240.0
_TITLE, _ENTRY, _HEAD, _STEP, _TILE, _FAILURE = 42.0, 40.0, 68.0, 29.0, 24.0, 32.0  # heights
_ENTRY_WIDTH = 150.0
_GROUP, _NOBODY = 26.0, 4.0  # heights of a group's name, and of the line saying that no task waits
_ROWS_AT_ONCE = 4  # columns grow by this many tiles, so that a live picture doesn't jump with each task
_MOST_ENTRY_ROWS, _MOST_FAILURES, _MOST_WAITING, _MOST_LABELS = 3, 3, 4, 3


def placement(
    snapshot: Snapshot,
    *,
    by: str = "",
    theme: Theme = LIGHT,
    width: float = _WIDTH,
    steady: bool = False,
) -> Picture:
    """Nodes as columns, tasks as boxes in their service's color; below, the tasks that wait for a node.

    A box without a fill shows the state of a task that isn't simply running. While a service runs several
    images, its boxes show them, and the image that the service specifies is on a plate. `width` (in points)
    is the total width of the columns, unless they would get too narrow or too wide. `by` is a node label,
    such as `zone`: nodes with the same value are drawn together in a frame. `steady` reserves space for tasks
    that wait, so that a live picture doesn't jump when one does.
    """
    plan, groups = grouped(arrange(snapshot), snapshot, by)
    layout = _Layout.of(plan, width, above=_GROUP if groups else 0.0, steady=steady)
    words = "\n".join([narrate(snapshot.quorum, plan), *map(describe_group, groups)])
    picture = Picture(layout.width, layout.height, words, theme=theme)
    paints = paints_of(snapshot)
    heading = fit(title(snapshot.quorum, plan), layout.inner, 15, bold=True)
    picture.write(_MARGIN, 28, heading, size=15, bold=True)
    picture.write(
        _MARGIN, 50, fit(NOTES.get(snapshot.quorum, ""), layout.inner, 11.5), size=11.5, colour=theme.muted
    )
    _draw_services(picture, layout, plan.services, paints)
    _draw_groups(picture, layout, groups)
    _draw_panels(picture, layout, plan)
    for place, column in enumerate(plan.columns):
        _draw_head(picture, layout.left(place), layout, column)
        _draw_failures(picture, layout.left(place), layout, column)
    draw_tiles(
        picture,
        [
            ((layout.left(place) + _PAD, layout.tiles + row * _STEP, layout.tile, _TILE), tile)
            for place, column in enumerate(plan.columns)
            for row, tile in enumerate(column.tiles)
        ],
        paints,
    )
    if plan.services:
        _draw_tray(picture, layout, plan.waiting, paints)
    return picture


def describe_placement(snapshot: Snapshot, *, by: str = "") -> str:
    """What `placement` shows, in words; the first sentence says whether all tasks are running."""
    plan, groups = grouped(arrange(snapshot), snapshot, by)
    return "\n".join([narrate(snapshot.quorum, plan), *map(describe_group, groups)])


@dataclass(frozen=True)
class _Layout:
    """Where the parts are: `board` is the top of the columns, `tray` the top of the waiting tasks."""

    columns: int
    column: float
    inner: float  # the width within the margins
    entries: int  # in a row
    board: float
    tray: float
    height: float

    @classmethod
    def of(cls, plan: Arrangement, width: float, *, above: float, steady: bool) -> "_Layout":
        columns = max(len(plan.columns), 1)
        column = min(max((width + _GAP) / columns - _GAP, _NARROWEST), _WIDEST)
        inner = max(columns * (column + _GAP) - _GAP, width)
        entries = int((inner + _GAP) // (_ENTRY_WIDTH + _GAP))
        board = _TITLE + min(max(-(-len(plan.services) // entries), 1), _MOST_ENTRY_ROWS) * _ENTRY + 4 + above
        rows = max((len(each.tiles) for each in plan.columns), default=0)
        rows = max(-(-rows // _ROWS_AT_ONCE), 1) * _ROWS_AT_ONCE
        failures = min(max((len(each.failures) for each in plan.columns), default=0), _MOST_FAILURES)
        if not plan.columns:
            return cls(columns, column, inner, entries, board, board, board)
        tray = board + _HEAD + rows * _STEP + failures * _FAILURE + _PAD + _GAP
        waiting = min(max(len(plan.waiting), int(steady)), _MOST_WAITING) if plan.services else 0
        height = tray + (26 + waiting * _STEP if waiting else _NOBODY if plan.services else 0) + 14
        return cls(columns, column, inner, entries, board, tray, height)

    @property
    def width(self) -> float:
        return self.inner + 2 * _MARGIN

    @property
    def tile(self) -> float:
        return self.column - 2 * _PAD

    @property
    def tiles(self) -> float:
        return self.board + _HEAD

    def left(self, place: int) -> float:
        return _MARGIN + place * (self.column + _GAP)


def _draw_services(
    picture: Picture, layout: _Layout, entries: tuple[Entry, ...], paints: Mapping[str, Paint]
) -> None:
    most = _MOST_ENTRY_ROWS * layout.entries
    shown = entries if len(entries) <= most else entries[: most - 1]
    step = (layout.inner + _GAP) / layout.entries
    marks: list[Box] = []
    for place, entry in enumerate(shown):
        left, top = _MARGIN + place % layout.entries * step, _TITLE + place // layout.entries * _ENTRY
        marks.append((left, top + 2, 8, 28))
        room = step - _GAP - 16
        count = f"{entry.running}/{entry.wanted}"
        short = entry.running < entry.wanted
        name = fit(entry.name, room - width_of(count, 12, bold=True) - 8, 12, bold=True)
        picture.write(left + 16, top + 14, name, bold=True)
        colour = picture.theme.warn if short else picture.theme.ink
        after = left + 24 + width_of(name, 12, bold=True)
        picture.write(after, top + 14, count, colour=colour, bold=short)
        words = " · ".join(filter(None, [entry.image, entry.mode, label_of_update(entry.update)]))
        picture.write(left + 16, top + 28, fit(words, room, 10.5), size=10.5, colour=picture.theme.muted)
    picture.boxes(marks, fill=[paints[entry.name].fill for entry in shown], radius=2)
    if len(shown) < len(entries):
        left, top = _MARGIN + (most - 1) % layout.entries * step, _TITLE + (_MOST_ENTRY_ROWS - 1) * _ENTRY
        more = f"and {len(entries) - len(shown)} more services"
        picture.write(left, top + 14, fit(more, step - _GAP, 11), size=11, colour=picture.theme.muted)


def _draw_groups(picture: Picture, layout: _Layout, groups: Sequence[Group]) -> None:
    """A frame around the columns of each group, with the label's value in its upper edge."""
    theme, place = picture.theme, 0
    height = layout.tray - _GAP - layout.board
    for group in groups:
        left, count = layout.left(place), len(group.nodes)
        width = count * (layout.column + _GAP) - _GAP
        picture.boxes(
            [(left - 4, layout.board - _GROUP + 4, width + 8, height + _GROUP)],
            edge=theme.muted,
            width=1.2,
            radius=8,
        )
        name = fit(group.title, width - 12, 11.5, bold=True)
        picture.write(left + 6, layout.board - 7, name, size=11.5, bold=True)
        place += count


def _draw_panels(picture: Picture, layout: _Layout, plan: Arrangement) -> None:
    """The columns' backgrounds with their nodes' colors; not filled for a node that doesn't take part."""
    theme, height = picture.theme, layout.tray - _GAP - layout.board
    panels = [
        (_away(column), (layout.left(place), layout.board, layout.column, height))
        for place, column in enumerate(plan.columns)
    ]
    picture.boxes([box for away, box in panels if not away], fill=theme.panel, edge=theme.panel, radius=8)
    picture.boxes([box for away, box in panels if away], edge=theme.line, radius=8, dashed=True)
    colors = node_paints(column.name for column in plan.columns)
    bars = [(box[0] + 8, box[1], box[2] - 16, 4.0) for _, box in panels]
    fills = [colors[column.name].fill for column in plan.columns]
    picture.boxes(bars, fill=fills, edge=theme.muted, width=0.6, radius=2)


def _draw_head(picture: Picture, left: float, layout: _Layout, column: Column) -> None:
    """Name, role, and status on the left; on the right, the state of the engine, of Raft, and availability.

    Next to the name is the engine's version, unless something is wrong with the node.
    """
    theme, top = picture.theme, layout.board
    status, colour = _status(column, theme)
    wrong = f"✗ {column.condition}" if column.status and column.condition else ""
    aside = wrong or _version(column, layout.tile)
    part = {"leader": "★ leader", "unreachable": "✗ unreachable"}.get(column.part, column.part)
    availability = column.availability
    rows = (
        (20, column.name, theme.ink, 13.0, True, aside, theme.bad if wrong else theme.muted),
        (38, column.role, theme.muted, 11.0, False, part, theme.bad if "✗" in part else theme.ink),
        (
            55,
            status,
            colour,
            11.0,
            False,
            availability,
            theme.muted if availability == "active" else theme.warn,
        ),
    )
    for down, words, ink, size, bold, right, tone in rows:
        room = layout.tile - (width_of(right, 11) + 8 if right else 0)
        if size == 11 and width_of(words, size) > room:
            words, ink, right = right, tone, ""  # the text on the right says more
        picture.write(
            left + _PAD, top + down, fit(words, room, size, bold=bold), size=size, colour=ink, bold=bold
        )
        picture.write(left + _PAD + layout.tile, top + down, right, size=11, colour=tone, align="right")


def _version(column: Column, room: float) -> str:
    """The version of a node's engine, if there's room for it next to the node's name."""
    left = room - width_of(column.name, 13, bold=True) - 8
    longer = f"Docker {column.docker}"
    for words in (longer, column.docker) if column.docker else ():
        if width_of(words, 11) <= left:
            return words
    return ""


def _status(column: Column, theme: Theme) -> tuple[str, str]:
    match column.status:
        case "ready":
            return "✓ ready", theme.good
        case "down":
            return "✗ down", theme.bad
        case "" if column.condition in LOST:
            return f"✗ {column.condition}", theme.bad
        case "":
            return column.condition or "on", theme.muted
        case other:
            return f"? {other}", theme.warn


def _away(column: Column) -> bool:
    return column.status != "ready" and not (column.status == "" and column.condition == "")


def _draw_failures(picture: Picture, left: float, layout: _Layout, column: Column) -> None:
    """From the bottom of the column upward, two lines for each service."""
    shown = column.failures
    if len(shown) > _MOST_FAILURES:
        shown = shown[: _MOST_FAILURES - 1]
    rows = [(f"✗ {failures.count} failed: {failures.service}", failures.reason) for failures in shown]
    if len(shown) < len(column.failures):
        rest = sum(failures.count for failures in column.failures[len(shown) :])
        rows.append((f"✗ {rest} failed", "of other services"))
    top = layout.tray - _GAP - _PAD - len(rows) * _FAILURE
    for place, (words, reason) in enumerate(rows):
        at = top + place * _FAILURE
        fitting = fit(words, layout.tile, 11, bold=True)
        picture.write(left + _PAD, at + 14, fitting, size=11, colour=picture.theme.bad, bold=True)
        picture.write(
            left + _PAD, at + 27, fit(reason, layout.tile, 10.5), size=10.5, colour=picture.theme.muted
        )


def _draw_tray(
    picture: Picture, layout: _Layout, waiting: tuple[Waiting, ...], paints: Mapping[str, Paint]
) -> None:
    theme, top = picture.theme, layout.tray
    height = layout.height - top - 14
    if not waiting:
        picture.write(_MARGIN, top + 7, "No task waits for a node", size=10, colour=theme.muted)
        return
    picture.boxes([(_MARGIN, top, layout.inner, height)], edge=theme.line, radius=8)
    tasks = counted(sum(len(row.labels) for row in waiting), "task")
    picture.write(
        _MARGIN + _PAD, top + 18, f"{tasks} waiting for a node", size=11, bold=True, colour=theme.warn
    )
    shown = waiting if len(waiting) <= _MOST_WAITING else waiting[: _MOST_WAITING - 1]
    chips: list[tuple[Box, str, str]] = []
    for place, row in enumerate(shown):
        left = _MARGIN + _PAD
        for label in row.labels[:_MOST_LABELS]:
            box = (left, top + 27 + place * _STEP, width_of(label, 12) + 16, _TILE - 2)
            chips.append((box, label, paints[row.service].fill if row.service in paints else theme.muted))
            left += box[2] + 6
    edges = [edge for _, _, edge in chips]
    picture.boxes([box for box, _, _ in chips], fill=theme.paper, edge=edges, width=2)
    for (left, above, _, _), label, _ in chips:
        picture.write(left + 8, above + 15, label)
    start = max((left + width for (left, _, width, _), _, _ in chips), default=0.0) + 12
    for place, row in enumerate(shown):
        more = f"+ {len(row.labels) - _MOST_LABELS} · " if len(row.labels) > _MOST_LABELS else ""
        words = fit(more + row.reason, layout.width - _MARGIN - _PAD - start, 11)
        picture.write(start, top + 42 + place * _STEP, words, size=11)
    if len(shown) < len(waiting):
        rest = f"and {sum(len(row.labels) for row in waiting[len(shown) :])} more"
        picture.write(_MARGIN + _PAD, top + 42 + len(shown) * _STEP, rest, size=11, colour=theme.muted)
