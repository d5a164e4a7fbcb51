"""The exercises of all chapters; each inspects the swarm itself, never what the learner typed."""

from labkit.cluster.cluster import Cluster
from labkit.course import grading, pick
from labkit.course.exam import registry, rounds
from labkit.course.exam_state import PREFIX
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
from labkit.course.grading import Exercise, Grade

EXERCISES: dict[str, Exercise] = {
    f"{chapter.__name__.rpartition('.')[2]}.{number}": exercise
    for chapter in (why, create, join, availability, services, overlays, data, stacks, failures)
    for number, exercise in chapter.EXERCISES.items()
}


def find(lab: Cluster, name: str) -> Exercise:
    """An exercise by its name such as `create.1`, or the lab's scenario by one such as `exam.pending-label`.

    Raises LabError with the closest known name.
    """
    return registry.exercise(lab, name) if name.startswith(PREFIX) else pick("exercise", name, EXERCISES)


def check(lab: Cluster, name: str = "") -> Grade:
    """Grade an exercise or a scenario by its name; without one, the scenario that runs.

    Raises NotSolved, and LabError for what cannot be graded.
    """
    if not name or name.startswith(PREFIX):
        return rounds.check(lab, name)
    return grading.check(lab, name, find(lab, name))


def tasks(prefix: str) -> dict[str, str]:
    """The tasks of a chapter's exercises, by name; `prefix` is what those begin with, such as `create`."""
    if f"{prefix}." == PREFIX:
        return {PREFIX + name: scenario.title for name, scenario in registry.SCENARIOS.items()}
    return {name: found.task for name, found in EXERCISES.items() if name.partition(".")[0] == prefix}
