"""The timeline: what each task did during a recording, how many served, and what caused it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.observe.recording import Recording
from labkit.observe.recovery import Cause, Outage, causes, outages
from labkit.observe.task_history import Count, TaskHistory, blind, counts, task_histories
from labkit.plots.lettering import fit, width_of
from labkit.plots.phases import describe_phase, draw_failure, draw_phase
from labkit.plots.picture import Picture
from labkit.plots.rows import Row, bars, choose_rows
from labkit.plots.theme import LIGHT, Paint, Theme, node_paints, service_paints
from labkit.plots.timeline_text import (
    describe_cause,
    describe_nothing,
    describe_outage,
    describe_timeline,
    title_of,
)
from labkit.util.text import counted, natural

__all__ = ["describe_timeline", "timeline"]

_WIDTH, _LEFT, _RIGHT = 780.0, 116.0, 700.0  # points; the time axis goes from left to right
_HEAD, _STRIP = 20.0, 30.0  # of a service's running count: the line of words, and the curve
_ROWS, _CAUSES, _STRIPS = 30, 12, 6  # more would not be readable
_BADGE = 16.0
_LEGEND = 400.0  # points for the nodes' names
_KINDS = ("waiting", "preparing", "starting", "running", "stopping", "lost", "failed")
_LEGENDS = {"stopping": "stopping: not counted"}


@dataclass(frozen=True)
class _Drawing:
    """What every part of the picture needs to know."""

    picture: Picture
    theme: Theme
    recording: Recording
    nodes: dict[str, Paint]
    services: dict[str, Paint]

    def x(self, moment: float) -> float:
        """From a moment to points."""
        length = max(self.recording.end - self.recording.start, 0.1)
        return _LEFT + (_RIGHT - _LEFT) * min(max((moment - self.recording.start) / length, 0), 1)


def timeline(recording: Recording, *, theme: Theme = LIGHT) -> Picture:
    """Draw a recording as a Gantt chart: a row for each slot, its tasks' bars in their nodes' colours.

    Above it how many tasks of each service serve against how many are desired, with outages in seconds. A
    task that is shutting down doesn't count: it gets no new requests. Numbered lines stand for what caused
    them, with a key. Beyond 30 slots, those in which something happened.
    """
    histories = task_histories(recording)
    if not histories:
        picture = Picture(_WIDTH, 70, describe_timeline(recording), theme=theme)
        picture.write(16, 28, describe_nothing(recording).rstrip("."), size=15, bold=True)
        return picture
    rows, hidden = choose_rows(histories, _ROWS, slack=0.02 * (recording.end - recording.start))
    steps, more_services = _choose_services(counts(recording))
    reported, found = causes(recording), outages(recording)
    shown = reported[:_CAUSES]
    lane = 16.0 if len(rows) <= 16 else 12.0
    strips_top = 70.0 if shown else 48.0
    rows_top = strips_top + len(steps) * (_HEAD + _STRIP) + 12
    axis = rows_top + sum(_height(row, lane) for row in rows) + 2
    key = axis + 46
    notes = [f"and {counted(len(reported) - len(shown), 'more event')}"] if reported[_CAUSES:] else []
    if more_services:
        notes.append(f"and {counted(more_services, 'more service')}: their counts are not drawn")
    if hidden:
        notes.append(
            f"shown: {len(rows)} of {len(rows) + hidden} slots, first those in which something happened"
        )
    height = key + 20 * (len(shown) + len(notes)) + 30

    picture = Picture(_WIDTH, height, describe_timeline(recording), theme=theme)
    nodes = node_paints(node.name for frame in recording for node in frame.snapshot.nodes)
    ages = sorted(
        {(service.created, service.name) for frame in recording for service in frame.snapshot.services}
    )
    drawing = _Drawing(picture, theme, recording, nodes, service_paints(name for _, name in ages))
    _draw_title(drawing, histories)
    _draw_axis(drawing, strips_top, axis)
    _draw_causes(drawing, shown, strips_top - 2, axis, key)
    for place, (service, mine) in enumerate(steps.items()):
        top = strips_top + place * (_HEAD + _STRIP)
        _draw_strip(drawing, service, mine, [outage for outage in found if outage.service == service], top)
    top = rows_top
    versions = Counter(
        service for service, _ in {(history.task.service, history.task.image) for history in histories}
    )
    for row in rows:
        _draw_row(drawing, row, top, lane, versions)
        top += _height(row, lane)
    for place, words in enumerate(notes):
        picture.write(_LEFT, key + 20 * (len(shown) + place), words, size=10, colour=theme.muted)
    _draw_legend(drawing, histories, height - 16)
    return picture


def _choose_services(steps: dict[str, list[Count]]) -> tuple[dict[str, list[Count]], int]:
    """The counts to draw, those that changed first, and how many others there are."""
    chosen = sorted(steps, key=lambda service: len(steps[service]) == 1)[:_STRIPS]
    return {service: steps[service] for service in steps if service in chosen}, len(steps) - len(chosen)


def _height(row: Row, lane: float) -> float:
    return len(row.lanes) * (lane + 2) + 4


def _draw_title(drawing: _Drawing, histories: Sequence[TaskHistory]) -> None:
    picture = drawing.picture
    names = sorted({history.task.node for history in histories if history.task.node}, key=natural)
    width = sum(width_of(name, 11) + 34 for name in names)
    if width > _LEGEND:
        names, width = [], 0  # bars have words too: no legend is better than half of one
    x = start = _WIDTH - width
    for name in names:
        paint = drawing.nodes.get(name)
        tone = drawing.theme.muted
        picture.boxes([(x, 17, 12, 12)], fill=paint.fill if paint else tone, edge=tone, radius=3)
        picture.write(x + 18, 27, name, size=11)
        x += width_of(name, 11) + 34
    picture.write(16, 28, fit(title_of(drawing.recording), start - 32, 15, bold=True), size=15, bold=True)


def _draw_axis(drawing: _Drawing, top: float, axis: float) -> None:
    picture, theme, recording = drawing.picture, drawing.theme, drawing.recording
    picture.boxes([(_LEFT, top + _HEAD, _RIGHT - _LEFT, axis - top - _HEAD)], fill=theme.panel, radius=0)
    for start, end in blind(recording):
        left, right = drawing.x(start), drawing.x(end)
        height = axis - top - _HEAD
        picture.boxes(
            [(left, top + _HEAD, right - left, height)], fill=theme.paper, edge=theme.bad, dashed=True
        )
        picture.write(
            (left + right) / 2,
            top + _HEAD - 5,
            fit("nobody could tell", right - left + 60, 10),
            size=10,
            colour=theme.bad,
            align="center",
        )
    length = max(recording.end - recording.start, 0.1)
    step = next(
        (step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if length / step <= 12),
        3600,
    )
    for number in range(int(length / step) + 1):
        x = drawing.x(recording.start + number * step)
        picture.line([(x, axis), (x, axis + 4)], colour=theme.muted)
        picture.write(x, axis + 16, f"{number * step:g}", size=10, colour=theme.muted, align="center")
    picture.write(_LEFT - 14, axis + 16, "seconds", size=10, colour=theme.muted, align="right")


def _draw_causes(drawing: _Drawing, shown: Sequence[Cause], top: float, axis: float, key: float) -> None:
    """A numbered line for each cause, badges side by side where causes are close, and the key below."""
    picture, theme = drawing.picture, drawing.theme
    free = _LEFT - _BADGE
    for number, cause in enumerate(shown, 1):
        colour = theme.bad if cause.loss else theme.muted
        x = drawing.x(cause.moment)
        latest = _RIGHT - (len(shown) - number) * (_BADGE + 2)  # those that follow need room too
        badge = min(max(x, free + _BADGE + 2), latest)
        free = badge
        picture.line(
            [(badge, top - 12), (badge, top - 6), (x, top), (x, axis)], colour=colour, width=0.8, dashed=True
        )
        for centre, y in ((badge, top - 20), (_LEFT - 14, key + 20 * (number - 1) - 4)):
            picture.boxes(
                [(centre - _BADGE / 2, y - _BADGE / 2, _BADGE, _BADGE)],
                fill=theme.paper,
                edge=colour,
                radius=8,
            )
            picture.write(centre, y + 3.5, str(number), size=9, bold=True, colour=colour, align="center")
        y = key + 20 * (number - 1)
        picture.write(
            _LEFT + 34,
            y,
            f"{max(cause.moment - drawing.recording.start, 0):.1f} s",
            size=10,
            colour=theme.muted,
            align="right",
        )
        picture.write(_LEFT + 44, y, fit(describe_cause(cause), _WIDTH - _LEFT - 60, 10), size=10)


def _draw_strip(
    drawing: _Drawing, service: str, steps: Sequence[Count], mine: Sequence[Outage], top: float
) -> None:
    """The running count as a curve, the desired one dashed, outages bracketed above."""
    picture, theme = drawing.picture, drawing.theme
    fill = drawing.services[service].fill
    most = max(max(step.running, step.desired) for step in steps) or 1
    base = top + _HEAD + _STRIP

    def y(count: int) -> float:
        return base - (_STRIP - 3) * count / most

    ends = [*(step.moment for step in steps[1:]), drawing.recording.end]
    spans = [(drawing.x(step.moment), drawing.x(end), step) for step, end in zip(steps, ends, strict=True)]
    area = [
        (left, y(step.running), max(right - left, 0.1), base - y(step.running))
        for left, right, step in spans
        if step.running
    ]
    picture.boxes(area, fill=fill, edge=fill, width=0.5, radius=0)  # edges close the gaps between the boxes
    for colour, dashed, points in (
        (theme.ink, False, [(x, y(step.running)) for left, right, step in spans for x in (left, right)]),
        (theme.muted, True, [(x, y(step.desired)) for left, right, step in spans for x in (left, right)]),
    ):
        picture.line(points, colour=colour, width=1.2, dashed=dashed)
    last = steps[-1]
    picture.write(
        _LEFT - 14,
        top + _HEAD + 10,
        fit(service, _LEFT - 30, 11, bold=True),
        size=11,
        bold=True,
        align="right",
    )
    picture.write(
        _LEFT - 14,
        top + _HEAD + 24,
        f"{last.running} of {last.desired} serve",
        size=9.5,
        colour=theme.muted,
        align="right",
    )
    free = _LEFT
    for outage in mine:
        left, right = drawing.x(outage.start), drawing.x(outage.end or drawing.recording.end)
        words = describe_outage(outage)
        width = width_of(words, 10, bold=outage.loss)
        colour = (theme.good if outage.end else theme.bad) if outage.loss else theme.ink
        picture.line(
            [(left, top + 19), (left, top + 16), (right, top + 16), (right, top + 19)], colour=colour
        )
        start = min(max((left + right - width) / 2, _LEFT), _RIGHT - width)
        if start >= free:
            picture.boxes([(start - 3, top + 2, width + 6, 13)], fill=theme.paper, radius=2)
            picture.write(start, top + 12, words, size=10, bold=outage.loss, colour=colour)
            free = start + width + 8


def _draw_row(drawing: _Drawing, row: Row, top: float, lane: float, versions: Mapping[str, int]) -> None:
    picture, theme = drawing.picture, drawing.theme
    size = 9.5 if lane > 14 else 8.0
    middle = top + _height(row, lane) / 2 + size * 0.36 - 2
    large, small, room = size + 0.5, 8.0, _LEFT - 30
    # In global mode the label ends with the node's name: cut, it would not say which task it is.
    label_size = large if width_of(row.label, large) <= room else small
    picture.write(_LEFT - 14, middle, fit(row.label, room, label_size), size=label_size, align="right")
    for place, tasks in enumerate(row.lanes):
        y, free = top + place * (lane + 2), drawing.recording.start
        for history in tasks:
            paint = drawing.nodes.get(history.task.node, Paint(theme.muted, theme.paper))
            for phase in history.phases:
                if phase.end > free:
                    left, right = drawing.x(max(phase.start, free)), drawing.x(phase.end)
                    said = describe_phase(phase.kind, history.task, versions[history.task.service] > 1)
                    draw_phase(
                        picture, phase.kind, (left, y, max(right - left, 0.5), lane), paint, said, size
                    )
            if not history.ending and history.task.node:
                words = fit(history.task.node, _WIDTH - _RIGHT - 16, size)
                picture.write(_RIGHT + 8, y + lane / 2 + size * 0.36, words, size=size, colour=theme.muted)
            if history.ending == "failed":
                draw_failure(picture, drawing.x(history.end), y + lane / 2)
            if solid := bars(history):
                free = solid[-1].end


def _draw_legend(drawing: _Drawing, histories: Sequence[TaskHistory], y: float) -> None:
    """The forms of the phases that occur, without a node's colour: a form means the same on every node."""
    picture, theme = drawing.picture, drawing.theme
    occur = {phase.kind for history in histories for phase in history.phases} | {
        history.ending for history in histories
    }
    x = _LEFT
    for kind in (kind for kind in _KINDS if kind in occur):
        if kind == "failed":
            draw_failure(picture, x + 12, y - 4)
        else:
            draw_phase(picture, kind, (x, y - 10, 24, 12), Paint(theme.muted, theme.paper))
        words = _LEGENDS.get(kind, kind)
        picture.write(x + 30, y, words, size=10, colour=theme.muted)
        x += 30 + width_of(words, 10) + 16
