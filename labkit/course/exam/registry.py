"""All scenarios by name; each is an exercise too, such as `exam.pending-label`."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from labkit.cluster.cluster import Cluster
from labkit.course import ALIASES, exam_state, pick
from labkit.course.exam import data, maintenance, members, networks, scheduling, tasks
from labkit.course.exam.scenario import Scenario
from labkit.course.exam_state import PREFIX, Exam
from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm.checks import Verdict

SCENARIOS: dict[str, Scenario] = {
    name: scenario
    for module in (scheduling, tasks, networks, members, data, maintenance)
    for name, scenario in module.SCENARIOS.items()
}


def find(name: str) -> tuple[str, Scenario]:
    """A scenario by its name, with or without `exam.`, and the name of its exercise."""
    full = PREFIX + name.removeprefix(PREFIX)
    short = ALIASES.get(full, full).removeprefix(PREFIX)
    return PREFIX + short, pick("scenario", short, SCENARIOS)


def hidden(current: Exam | None) -> Collection[str]:
    """The scenarios whose names stay hidden while this exam runs: all except those it has graded.

    Hiding only its own would show which ones they are.
    """
    return {PREFIX + name for name in SCENARIOS} - current.marks.keys() if current else ()


def exercise(lab: Cluster, name: str) -> Exercise:
    """A scenario as an exercise. While it does not run, or an exam does, its points only say so."""
    name, scenario = find(name)
    now = exam_state.now(lab)
    if now.running is None or now.running.name != name:
        short = name.removeprefix(PREFIX)
        return _closed(scenario, f'this scenario does not run now: lab.practice("{short}") begins it')
    if exam_state.exam(lab):
        return _closed(scenario, "an exam is running: lab.check() grades its scenario, once")
    return scenario.exercise(now.running.facts)


def _closed(scenario: Scenario, reason: str) -> Exercise:
    def points(_: Inspector) -> Iterator[Verdict]:
        yield Verdict(False, reason)

    hint = f"{reason[0].upper()}{reason[1:]}"
    return replace(scenario.exercise({}), points=points, hints=(hint,), solution="")
