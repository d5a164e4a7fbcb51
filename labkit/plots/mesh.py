"""The routing mesh at work: where requests entered, and which tasks answered."""

from collections import Counter
from collections.abc import Mapping, Sequence

from labkit.observe.traffic.answers import Answer
from labkit.plots.lettering import fit, width_of
from labkit.plots.picture import Picture
from labkit.plots.theme import LIGHT, Paint, Theme, node_paints
from labkit.util.text import counted, listed, natural

_WIDTH, _NARROWEST, _MARGIN, _LEFT = 780.0, 420.0, 16.0, 120.0  # points; at most and at least as wide
_LOST = 92.0  # the column of requests without an answer
_ROW, _ROWS, _WIDEST = 30.0, 20, 110.0
_COLUMNS = 12  # tasks; more are grouped by node
_HEAT, _FAINTEST, _FULLEST = "#0072b2", 20, 190  # of 255: text is readable on all shades in both themes


def mesh(answers: Sequence[Answer], *, theme: Theme = LIGHT) -> Picture:
    """A heat map: a row for each node at which requests entered, a column for each task that answered.

    With more than 12 tasks, a column is a node. The last column counts requests without an answer, and the
    reasons are below.
    """
    entered = sorted({answer.entered for answer in answers}, key=natural)[:_ROWS]
    columns = _columns(answers)
    cells = Counter((answer.entered, _column(answer, columns)) for answer in answers if answer.answered)
    lost = Counter(answer.entered for answer in answers if not answer.answered)
    notes = _reasons(answers)
    if hidden := len({answer.entered for answer in answers}) - len(entered):
        notes.append(f"and {counted(hidden, 'more node')} at which requests entered")

    top = 92.0
    height = top + _ROW * len(entered) + (20 * len(notes) + 14 if notes else 0) + 12
    room = (_WIDTH - _MARGIN - _LEFT - (_LOST if lost else 0)) / max(len(columns), 1)
    step = min(room, _WIDEST)
    width = _width(answers, notes, _LEFT + len(columns) * step + (_LOST if lost else 0) + _MARGIN)
    picture = Picture(width, height if answers else 60, describe_mesh(answers), theme=theme)
    title = fit(_title(answers), width - 2 * _MARGIN, 15, bold=True)
    picture.write(_MARGIN, 28, title, size=15, bold=True)
    if not answers:
        return picture
    _draw_heads(picture, columns, node_paints([*entered, *(node for node, _ in columns if node)]), step)
    picture.write(_MARGIN, top - 9, "entered at", size=10, colour=theme.muted)
    most = max(cells.values(), default=1)
    for row, node in enumerate(entered):
        y = top + row * _ROW
        picture.write(_MARGIN, y + 18, fit(node, _LEFT - _MARGIN - 10, 11), size=11)
        counts = [cells[node, column] for column in columns]
        boxes = [(_LEFT + place * step, y, step - 4, _ROW - 4) for place in range(len(columns))]
        picture.boxes(
            boxes, fill=[_heat(count, most) for count in counts], edge=theme.line, width=0.8, radius=3
        )
        for (left, _, wide, _), count in zip(boxes, counts, strict=True):
            colour = theme.ink if count else theme.muted
            picture.write(left + wide / 2, y + 17, str(count), size=11, colour=colour, align="center")
    if lost:
        _draw_lost(picture, [lost[node] for node in entered], _LEFT + len(columns) * step + 8, top)
    for place, words in enumerate(notes):
        y = top + _ROW * len(entered) + 18 + 20 * place
        picture.write(_MARGIN, y, fit(words, width - 2 * _MARGIN, 10.5), size=10.5, colour=theme.ink)
    return picture


def _width(answers: Sequence[Answer], notes: Sequence[str], table: float) -> float:
    """As wide as the table and the text need, so that no large part of the picture is blank."""
    title = width_of(_title(answers), 15, bold=True)
    words = max([title, *(width_of(note, 10.5) for note in notes)])
    return min(max(table, words * 1.03 + 2 * _MARGIN, _NARROWEST), _WIDTH)


def describe_mesh(answers: Sequence[Answer]) -> str:
    """Which tasks answered which requests, with the conclusion first."""
    lines, columns = [f"{_title(answers)}."], _columns(answers)
    for entered in sorted({answer.entered for answer in answers}, key=natural):
        mine = [answer for answer in answers if answer.entered == entered and answer.answered]
        counts = Counter(_column(answer, columns) for answer in mine)
        said = [f"{_named(task) if task else node} ({counts[node, task]})" for node, task in columns]
        if mine:
            lines.append(f"Entered at {entered}, answered by {listed(said)}.")
    return "\n".join([*lines, *(f"{words}." for words in _reasons(answers))])


def _title(answers: Sequence[Answer]) -> str:
    if not answers:
        return "No request was made"
    by_task = Counter(answer.answered for answer in answers if answer.answered)
    total = sum(by_task.values())
    if not total:
        return "No request got an answer"
    nodes = {answer.entered for answer in answers}
    silent = nodes - {answer.entered for answer in answers if answer.answered}
    spread = _spread(by_task)
    if silent:
        return f"{listed(sorted(silent, key=natural))} gave no answer; {spread}"
    if total < len(answers):
        return f"{len(answers) - total} of {counted(len(answers), 'request')} got no answer; {spread}"
    return f"Every node answered; {spread}"


def _spread(by_task: Counter[str]) -> str:
    total, (first, most) = sum(by_task.values()), by_task.most_common(1)[0]
    if first == "?" and len(by_task) == 1:
        return f"{counted(total, 'request')} answered, by tasks that do not identify themselves"
    if len(by_task) == 1:
        return f"{first} answered {counted(total, 'request')}"
    if most - min(by_task.values()) <= max(2, 0.25 * most):
        return f"{counted(total, 'request')} spread evenly over {len(by_task)} tasks"
    return f"{_named(first)} answered most, {most} of {counted(total, 'request')}"


def _reasons(answers: Sequence[Answer]) -> list[str]:
    """Why there was no answer: each reason once per node, with a count."""
    found = Counter(
        (answer.entered, answer.error or "no reason known") for answer in answers if not answer.answered
    )
    return [
        f"{node}: {counted(count, 'request')} without an answer ({reason})"
        for (node, reason), count in sorted(found.items(), key=lambda item: natural(item[0][0]))
    ]


def _columns(answers: Sequence[Answer]) -> list[tuple[str, str]]:
    """The node and the task of each column; the task is empty if a column is a whole node."""
    found = {(answer.node, answer.answered) for answer in answers if answer.answered}
    if len(found) > _COLUMNS:
        found = {(node, "") for node, _ in found}
    return sorted(found, key=lambda column: (natural(column[0]), natural(column[1])))


def _column(answer: Answer, columns: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return (answer.node, answer.answered if any(task for _, task in columns) else "")


def _draw_heads(
    picture: Picture, columns: Sequence[tuple[str, str]], paints: Mapping[str, Paint], step: float
) -> None:
    """The tasks' names, below the name and the color of their node."""
    theme = picture.theme
    nodes = list(dict.fromkeys(node for node, _ in columns))
    for node in nodes:
        places = [place for place, column in enumerate(columns) if column[0] == node]
        left, width = _LEFT + places[0] * step, len(places) * step - 4
        if node:
            picture.boxes(
                [(left, 66, width, 5)], fill=paints[node].fill, edge=theme.muted, width=0.6, radius=2
            )
        name = fit(node or "unknown node", width, 11, bold=True)
        picture.write(left + width / 2, 60, name, size=11, bold=True, align="center")
    for place, (_, task) in enumerate(columns):
        said = fit(_named(task) if task else "all tasks", step - 6, 10)
        picture.write(
            _LEFT + place * step + step / 2 - 2, 83, said, size=10, colour=theme.muted, align="center"
        )


def _draw_lost(picture: Picture, counts: Sequence[int], left: float, top: float) -> None:
    """The column of requests without an answer."""
    theme, width = picture.theme, _LOST - 12
    picture.write(left, top - 9, "no answer", size=10, colour=theme.bad, bold=True)
    boxes = [(left, top + row * _ROW, width, _ROW - 4) for row, count in enumerate(counts) if count]
    picture.boxes(boxes, edge=theme.bad, width=1.2, radius=3, dashed=True)
    for row, count in enumerate(counts):
        colour = theme.bad if count else theme.muted
        at = (left + width / 2, top + row * _ROW + 17)
        picture.write(*at, str(count), size=11, bold=bool(count), colour=colour, align="center")


def _heat(count: int, most: int) -> str:
    if not count:
        return f"{_HEAT}00"
    return f"{_HEAT}{_FAINTEST + round((_FULLEST - _FAINTEST) * count / most):02x}"


def _named(task: str) -> str:
    return "an unknown task" if task == "?" else task
