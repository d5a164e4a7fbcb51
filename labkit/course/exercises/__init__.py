"""The exercises of all chapters; each looks at the swarm itself, never at what the learner typed."""

from labkit.course import pick
from labkit.course.exam import registry
from labkit.course.exam.state import PREFIX
from labkit.course.exercises import (
    availability,
    create,
    data,
    failures,
    join,
    overlays,
    services,
    stacks,
    why,
)
from labkit.course.grading import Exercise

EXERCISES: dict[str, Exercise] = {
    f"{chapter.__name__.rpartition('.')[2]}.{number}": exercise
    for chapter in (why, create, join, availability, services, overlays, data, stacks, failures)
    for number, exercise in enumerate(chapter.EXERCISES, start=1)
}


def find(name: str) -> Exercise:
    """The exercise of a name such as `create.1`, or the scenario of one such as `exam.pending-label`.

    Raises LabError with the closest known name.
    """
    return registry.exercise(name) if name.startswith(PREFIX) else pick("exercise", name, EXERCISES)


def of_chapter(prefix: str) -> dict[str, Exercise]:
    """A chapter's exercises by name; `prefix` is what their names begin with, such as `create`."""
    if f"{prefix}." == PREFIX:
        return registry.exercises()
    return {name: found for name, found in EXERCISES.items() if name.partition(".")[0] == prefix}
