"""The rows of a timeline: a slot of a service each, with the tasks that have filled it, one after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.observe.task_history import Phase, TaskHistory
from labkit.util.text import natural


@dataclass(frozen=True)
class Row:
    """A slot (in global mode a node), with the tasks that filled it in lanes: in one, bars never overlap."""

    label: str
    lanes: tuple[tuple[TaskHistory, ...], ...]

    @property
    def eventful(self) -> bool:
        """Whether more happened than one task that ran throughout."""
        found = [history for lane in self.lanes for history in lane]
        return len(found) > 1 or bool(found[0].ending) or len(found[0].phases) > 1


def choose_rows(task_histories: Iterable[TaskHistory], most: int, slack: float) -> tuple[list[Row], int]:
    """At most so many rows, or where there are more only those in which something happened; and how many not.

    A task that starts up to `slack` seconds before the end of the one before shares its lane.
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
    """The phases that take a lane's full height: those before are lines, and may lie behind another bar."""
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
