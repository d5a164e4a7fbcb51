"""The concept drawing `task_states`: the states that a task goes through, and what acts in each."""

from collections import Counter
from dataclasses import replace

from labkit.plots.picture import Picture
from labkit.plots.sketch import (
    INNER,
    MARGIN,
    WIDTH,
    Card,
    draw_arrow,
    draw_panel,
    draw_row,
    draw_text,
    row_height,
    text_height,
)
from labkit.plots.theme import LIGHT, Theme
from labkit.swarm.model import Snapshot
from labkit.util.text import counted, listed

# In the order of the numbers in SwarmKit's api/types.proto: a task's number only ever grows.
_MANAGER = (
    Card("NEW", "The task has just been created from the service's specification.", "orchestrator"),
    Card("PENDING", "It has its network addresses, and waits until a node fits.", "allocator, scheduler"),
    Card("ASSIGNED", "A node has been chosen. The task is sent to that node.", "scheduler, dispatcher"),
)
_WORKER = (
    Card("ACCEPTED", "The node has received the task.", "agent"),
    Card("PREPARING", "It pulls the image and creates the container.", "agent"),
    Card("READY", "Ready to start. Often too brief to be seen.", "agent"),
    Card("STARTING", "The container starts. A health check, if any, must pass first.", "agent"),
    Card("RUNNING", "The container runs.", "agent"),
)
_ENDS = (
    (
        Card("COMPLETE", "The program ended by itself with exit code 0."),
        Card("SHUTDOWN", "A manager asked for the stop, for example in an update or a drain."),
        Card("FAILED", "It ended with another exit code, couldn't start, or failed its health check."),
    ),
    (
        Card("REJECTED", "The node couldn't prepare it: an image or a mount is missing."),
        Card("ORPHANED", "Its node was down for 24 hours, or was removed from the swarm."),
    ),
)
_RULE = (
    "A task only moves forward, possibly skipping states, and it never runs again once it has ended."
    " A replacement is a new task in the same slot: it starts at NEW and has a new ID."
)
_TITLE = "A task only moves forward"
_PANEL = 30.0  # the head of a panel


def task_states(snapshot: Snapshot | None = None, service: str = "", *, theme: Theme = LIGHT) -> Picture:
    """Draw the states of a task's life, and what acts in each.

    With a snapshot, count the tasks that are in each state now: those of `service`, or of all services.
    """
    found = _count(snapshot, service)
    manager, worker = _with_counts(_MANAGER, found), _with_counts(_WORKER, found)
    ends = [_with_counts(row, found) for row in _ENDS]
    room = INNER - 24
    first = 62.0 if snapshot else 44.0
    second = first + _PANEL + row_height(manager, room) + 12 + 18
    third = second + _PANEL + row_height(worker, room) + 12 + 18
    heights = [row_height(row, room) for row in ends]
    rule = third + _PANEL + sum(heights) + 10 + 12 + 10
    picture = Picture(WIDTH, rule + text_height(_RULE, INNER) + 14, _describe(snapshot, service), theme=theme)
    picture.write(MARGIN, 28, _TITLE, size=15, bold=True)
    if snapshot:
        picture.write(MARGIN, 48, _told(found, service), size=11, colour=theme.muted)
    draw_panel(picture, (MARGIN, first, INNER, second - first - 18), "On a manager")
    left = MARGIN + 12
    boxes = draw_row(picture, manager, first + _PANEL, left=left, width=room, colours=_tones(manager, theme))
    draw_panel(picture, (MARGIN, second, INNER, third - second - 18), "On the task's node")
    draw_row(picture, worker, second + _PANEL, left=left, width=room, colours=_tones(worker, theme))
    draw_panel(
        picture, (MARGIN, third, INNER, rule - third - 10), "The ends", note="REJECTED comes before RUNNING"
    )
    top = third + _PANEL
    for row, height in zip(ends, heights, strict=True):
        draw_row(picture, row, top, left=left, width=room, arrows=False, colours=_tones(row, theme))
        top += height + 10
    x = boxes[-1][0] + boxes[-1][2] / 2
    draw_arrow(picture, (x, second - 18), (x, second))
    draw_arrow(picture, (x, third - 18), (x, third))
    draw_text(picture, _RULE, MARGIN, rule, INNER)
    return picture


def _count(snapshot: Snapshot | None, service: str) -> Counter[str]:
    tasks = snapshot.tasks if snapshot else ()
    return Counter(task.state.upper() for task in tasks if service in ("", task.service))


def _with_counts(cards: tuple[Card, ...], found: Counter[str]) -> list[Card]:
    return [replace(card, badge=f"{found[card.title]} now" if found[card.title] else "") for card in cards]


def _tones(cards: list[Card], theme: Theme) -> list[str | None]:
    return [theme.good if card.badge else None for card in cards]


def _told(found: Counter[str], service: str) -> str:
    whose = f" of {service}" if service else ""
    if not found:
        return f"There are no tasks{whose} now."
    states = listed([f"{count} {state}" for state, count in found.items()])
    return f"{counted(found.total(), 'task')}{whose} now, with the history: {states}."


def _describe(snapshot: Snapshot | None, service: str) -> str:
    now = [_told(_count(snapshot, service), service)] if snapshot else []
    return "\n".join(
        [
            f"{_TITLE}, from NEW to RUNNING and to one of five ends.",
            *now,
            "On a manager:",
            *(card.words for card in _MANAGER),
            "On the task's node:",
            *(card.words for card in _WORKER),
            "The ends (REJECTED comes before RUNNING):",
            *(card.words for row in _ENDS for card in row),
            _RULE,
        ]
    )
