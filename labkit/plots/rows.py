"""The rows of a timeline: one per slot of a service, with its successive tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.observe.task_history import Phase, TaskHistory
from labkit.util.text import natural


@dataclass(frozen=True)
class Row:
    """A slot (in global mode, a node) with its tasks in lanes, in which bars never overlap."""

    label: str
    lanes: tuple[tuple[TaskHistory, ...], ...]

    @property
    def eventful(self) -> bool:
        """Whether anything happened, apart from one task that ran the whole time."""
        found = [history for lane in self.lanes for history in lane]
        return len(found) > 1 or bool(found[0].ending) or len(found[0].phases) > 1


def choose_rows(task_histories: Iterable[TaskHistory], most: int, slack: float) -> tuple[list[Row], int]:
    """At most `most` rows, preferring those in which something happened; and how many rows are left out.

    A task that starts at most `slack` seconds before the previous one ends shares its lane.
    """
    slots: dict[tuple[str, str], list[TaskHistory]] = {}
    for history in task_histories:
        place = str(history.task.slot) if history.task.slot else history.task.node
        slots.setdefault((history.task.service, place), []).append(history)
    rows = [_row(service, place, slots[service, place], slack) for service, place in slots]
    rows.sort(key=lambda row: natural(row.label))
    chosen = rows
    if len(rows) > most:
        chosen = ([row for row in rows if row.eventful] or rows)[:most]
    return chosen, len(rows) - len(chosen)


def bars(history: TaskHistory) -> list[Phase]:
    """The phases that are drawn as bars. The earlier ones are lines, which may be behind another bar."""
    return [phase for phase in history.phases if phase.kind not in ("waiting", "preparing")]


def _row(service: str, place: str, task_histories: Sequence[TaskHistory], slack: float) -> Row:
    lanes: list[list[TaskHistory]] = []
    for history in task_histories:
        solid = bars(history)
        start = solid[0].start if solid else history.end
        free = [lane for lane in lanes if all(_end(other) <= start + slack for other in lane)]
        if free:
            free[0].append(history)
        else:
            lanes.append([history])
    label = f"{service}.{place}" if place.isdecimal() else f"{service} on {place}" if place else service
    return Row(label, tuple(tuple(lane) for lane in lanes))


def _end(history: TaskHistory) -> float:
    solid = bars(history)
    return solid[-1].end if solid else history.start
