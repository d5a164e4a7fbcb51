"""The rows of a timeline: a slot of a service each, with the tasks that have filled it, one after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.history import Life, Phase
from labkit.plots.lettering import natural


@dataclass(frozen=True)
class Row:
    """A slot (in global mode a node), with the tasks that filled it in lanes: in one, bars never overlap."""

    label: str
    lanes: tuple[tuple[Life, ...], ...]

    @property
    def eventful(self) -> bool:
        """Whether more happened than one task that ran throughout."""
        found = [life for lane in self.lanes for life in lane]
        return len(found) > 1 or bool(found[0].ending) or len(found[0].phases) > 1


def choose_rows(lives: Iterable[Life], most: int, slack: float) -> tuple[list[Row], int]:
    """At most so many rows, or where there are more only those in which something happened; and how many not.

    A task that starts up to `slack` seconds before the end of the one before shares its lane.
    """
    slots: dict[tuple[str, str], list[Life]] = {}
    for life in lives:
        place = str(life.task.slot) if life.task.slot else life.task.node
        slots.setdefault((life.task.service, place), []).append(life)
    rows = [_row(service, place, slots[service, place], slack) for service, place in slots]
    rows.sort(key=lambda row: natural(row.label))
    chosen = rows
    if len(rows) > most:
        chosen = ([row for row in rows if row.eventful] or rows)[:most]
    return chosen, len(rows) - len(chosen)


def bars(life: Life) -> list[Phase]:
    """The phases that take a lane's full height: those before are lines, and may lie behind another bar."""
    return [phase for phase in life.phases if phase.kind not in ("waiting", "preparing")]


def _row(service: str, place: str, lives: Sequence[Life], slack: float) -> Row:
    lanes: list[list[Life]] = []
    for life in lives:
        solid = bars(life)
        start = solid[0].start if solid else life.end
        free = [lane for lane in lanes if all(_end(other) <= start + slack for other in lane)]
        if free:
            free[0].append(life)
        else:
            lanes.append([life])
    label = f"{service}.{place}" if place.isdecimal() else f"{service} on {place}" if place else service
    return Row(label, tuple(tuple(lane) for lane in lanes))


def _end(life: Life) -> float:
    solid = bars(life)
    return solid[-1].end if solid else life.start
