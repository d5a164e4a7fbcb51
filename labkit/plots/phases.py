"""Draws the phases of a task's history by shape, not just by color: lines and thin, full, or empty bars."""

from collections.abc import Sequence

from labkit.plots.lettering import width_of
from labkit.plots.picture import Box, Picture
from labkit.plots.theme import Paint
from labkit.swarm.model import Task

_HEIGHTS = {"preparing": 0.25, "starting": 0.5}  # of a lane; a bar grows until the task is running


def describe_phase(kind: str, task: Task, with_image: bool) -> list[str]:
    """The possible labels of a bar, the longest first."""
    match kind:
        case "running":
            return [*([f"{task.image} · {task.node}", task.image] if with_image else []), task.node]
        case "stopping":
            return ["stopping"]
        case "lost":
            return [f"lost with {task.node}", "lost"]
        case _:
            return []


def draw_phase(
    picture: Picture, kind: str, box: Box, paint: Paint, words: Sequence[str] = (), size: float = 10
) -> None:
    """Draw a phase in its box, in its node's color, with the longest label that fits."""
    theme = picture.theme
    left, top, width, height = box
    middle = top + height / 2
    inner = (left + 0.6, top + 0.6, max(width - 1.2, 0.5), height - 1.2)
    colour = theme.ink
    match kind:
        case "waiting":
            picture.line([(left, middle), (left + width, middle)], colour=theme.muted, width=1.2, dashed=True)
        case "stopping":
            picture.boxes([inner], fill=theme.paper, edge=theme.muted, width=1.2, radius=2)
        case "lost":
            picture.boxes([inner], edge=theme.bad, width=1.2, radius=2, dashed=True)
            colour = theme.bad
        case _:
            thick = height * _HEIGHTS.get(kind, 1)
            picture.boxes(
                [(left, middle - thick / 2, width, thick)],
                fill=paint.fill,
                edge=theme.muted,
                width=0.6,
                radius=2,
            )
            colour = paint.text
    for said in words:
        if width_of(said, size) <= width - 7:
            picture.write(left + 4, middle + size * 0.36, said, size=size, colour=colour)
            break


def draw_failure(picture: Picture, x: float, y: float) -> None:
    """A cross where a task failed."""
    for slope in (-4, 4):
        picture.line([(x - 4, y + slope), (x + 4, y - slope)], colour=picture.theme.bad, width=2.2)
