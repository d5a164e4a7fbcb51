"""All scenarios by name, and the one that runs as an exercise: `exam.pending-label`."""

from collections.abc import Iterator
from dataclasses import replace

from labkit.checks import Verdict
from labkit.course import pick
from labkit.course.exam import care, data, members, networks, scheduling, state, tasks
from labkit.course.exam.scenario import Scenario
from labkit.course.exam.state import PREFIX
from labkit.course.grading import Exercise
from labkit.course.look import Look

SCENARIOS: dict[str, Scenario] = {
    name: scenario
    for module in (scheduling, tasks, networks, members, data, care)
    for name, scenario in module.SCENARIOS.items()
}


def find(name: str) -> tuple[str, Scenario]:
    """A scenario by its name, with or without `exam.`; and the name of its exercise."""
    short = name.removeprefix(PREFIX)
    return PREFIX + short, pick("scenario", short, SCENARIOS)


def exercise(name: str) -> Exercise:
    """A scenario as an exercise. While it does not run, or an exam does, its points only say so."""
    name, scenario = find(name)
    now = state.now()
    if now.running is None or now.running.name != name:
        short = name.removeprefix(PREFIX)
        return _closed(scenario, f'this scenario does not run now: lab.practice("{short}") begins it')
    if state.exam():
        return _closed(scenario, "an exam runs: lab.check() grades its scenario, once")
    return scenario.exercise(now.running.facts)


def exercises() -> dict[str, Exercise]:
    """All scenarios, by the names of their exercises."""
    return {PREFIX + name: exercise(name) for name in SCENARIOS}


def _closed(scenario: Scenario, words: str) -> Exercise:
    def points(_: Look) -> Iterator[Verdict]:
        yield Verdict(False, words)

    return replace(
        scenario.exercise({}), points=points, hints=(f"{words[0].upper()}{words[1:]}",), solution=""
    )
