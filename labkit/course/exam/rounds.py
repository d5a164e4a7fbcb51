"""Practice and exam: a scenario begins on a fresh swarm, its story gives the symptom, the swarm grades it."""

import random
import textwrap
import time
from dataclasses import replace

from labkit.cluster.cluster import Cluster
from labkit.course import chapters, consent, exam_state, grading, progress
from labkit.course.exam import registry
from labkit.course.exam.scenario import Facts, fill
from labkit.course.exam_state import PREFIX, Exam, Running
from labkit.course.grading import Grade
from labkit.course.user_resources import user_resources
from labkit.util.errors import LabError, NotSolved
from labkit.util.text import counted

_CHAPTER = "prove-it"
_SEEDS = 9999
_WIDTH = 100


def practice(lab: Cluster, name: str, seed: int | None = None, yes: bool = False) -> str:
    """Begin a scenario on a fresh swarm; return its story.

    Raises what `consent.require` raises, unless `yes`.
    """
    full, _ = registry.find(name)
    short = full.removeprefix(PREFIX)
    seed = random.randint(1, _SEEDS) if seed is None else seed
    if not yes:
        consent.require(
            lab,
            short,
            lambda: practice(lab, name, seed, yes=True),
            python=f'lab.practice("{short}", seed={seed}, yes=True)',
            command=lab.context.hint("practice", short, "--seed", str(seed), "--yes"),
        )
    text = _begin(lab, full, seed)
    check = f'lab.check("{full}") looks at the swarm, lab.hint("{full}") helps'
    return f"{text}\n\nRepair it with docker commands.\n{check}."


def listing(lab: Cluster) -> str:
    """All scenarios by name and title, those solved ticked off. Raises LabError while an exam runs."""
    if current := exam_state.exam(lab):
        raise LabError(
            f"an exam is running: {current.time_left()}", next_step="lab.next_scenario() goes on with it"
        )
    solved = progress.solved()
    width = max(map(len, registry.SCENARIOS))
    lines = [
        f"{'✓' if PREFIX + name in solved else '·'} {name:<{width}}  {scenario.title}"
        for name, scenario in registry.SCENARIOS.items()
    ]
    return "\n".join([*lines, "", 'lab.practice("NAME") begins one.'])


def exam(
    lab: Cluster, minutes: float = 60, count: int = 5, seed: int | None = None, yes: bool = False
) -> str:
    """Start an exam of scenarios drawn by the seed, and begin the first; return the rules and its story.

    Raises LabError for an exam that is not possible, and what `consent.require` raises, unless `yes`.
    """
    if not (minutes > 0 and 1 <= count <= len(registry.SCENARIOS)):
        raise LabError(
            f"an exam of {count} scenarios in {minutes:g} minutes is not possible",
            next_step=f"count from 1 to {len(registry.SCENARIOS)}, and some minutes",
        )
    if not yes:
        consent.require(
            lab,
            "exam",
            lambda: exam(lab, minutes, count, seed, yes=True),
            python="lab.exam(…, yes=True)",
            command=lab.context.hint("exam", "--yes"),
        )
    seed = random.randint(1, _SEEDS) if seed is None else seed
    drawn = random.Random(f"exam:{seed}").sample(list(registry.SCENARIOS), count)
    names = [PREFIX + name for name in drawn]
    progress.of(lab).record("exam", "start", False, minutes=minutes, seed=seed, scenarios=names)
    rules = (
        f"An exam: {counted(count, 'scenario')}, {minutes:g} minutes, seed {seed}. There are no hints. "
        "lab.check() grades a scenario, once; lab.next_scenario() goes on to the next one, with or without "
        "a grade."
    )
    return f"{rules}\n\n{go_on(lab)}"


def go_on(lab: Cluster) -> str:
    """Go on to the exam's next scenario, and return its story, or the score at the end.

    A scenario that was not graded counts as not solved. Raises LabError when no exam runs.
    """
    now, current = exam_state.now(lab), exam_state.exam(lab)
    if current is None:
        raise LabError("no exam is running", evidence=_score(now), next_step="lab.exam() starts one")
    if now.running and now.running.name == current.next:
        progress.of(lab).record("exam", now.running.name, False)
        current = exam_state.exam(lab)
    if current is None or current.next is None:
        return " ".join(_score(exam_state.now(lab)))
    return f"{_begin(lab, current.next, current.seed, current)}\n\n{current.time_left()}"


def check(lab: Cluster, name: str = "") -> Grade:
    """Grade a scenario, the one that runs when none is named.

    An exam grades only its own scenario, and only once. Raises NotSolved, and LabError for what cannot be
    graded.
    """
    running = exam_state.now(lab).running
    if current := exam_state.exam(lab):
        return _grade_once(lab, current, running, name)
    if not name and running is None:
        raise LabError("no scenario is running", next_step='lab.practice("NAME") begins one')
    name, _ = registry.find(name or (running.name if running else ""))
    return grading.check(lab, name, registry.exercise(lab, name))


def _grade_once(lab: Cluster, current: Exam, running: Running | None, name: str) -> Grade:
    """Grade the exam's scenario. Until that is done, no message shows its name."""
    if running is None:
        raise LabError("the next scenario has not begun", next_step="lab.next_scenario() begins it")
    asked = name or running.name
    if asked in current.marks:
        raise LabError(f"{asked} was graded already", next_step="lab.next_scenario() goes on")
    if asked != running.name:
        raise LabError(
            f"that isn't the exam's current scenario, {current.place(running.name)}",
            next_step="lab.check() grades it, once",
        )
    found = grading.grade(lab, asked, registry.find(asked)[1].exercise(running.facts))
    in_time = not current.over(time.time())  # the deadline may have come while it was graded
    journal = progress.of(lab)
    journal.record("exam", asked, found.solved and in_time)
    grading.keep(lab, found)
    left = exam_state.exam(lab)
    over = [] if left else _score(exam_state.now(lab))
    goes_on = f"lab.next_scenario() goes on, {left.time_left()}" if left else ""
    if not found:
        again = f'lab.practice("{asked.removeprefix(PREFIX)}") for another try, with hints'
        raise NotSolved(
            f"{asked} isn't solved, and its one check is used up",
            evidence=[*map(str, found.points), *over],
            next_step=goes_on or again,
        )
    return replace(found, after=goes_on or " ".join(over))


def status(lab: Cluster) -> str:
    """A line about the exam that runs, or the scenario that is being practiced."""
    now, current = exam_state.now(lab), exam_state.exam(lab)
    if current:
        return f"{current.score} of {len(current.marks)} graded scenarios solved, {current.time_left()}"
    if now.running and not now.running.examined:
        return f"{now.running.name} {'is solved' if now.running.solved else 'is being practiced'}"
    return " ".join(_score(now)) or "no scenario is running"


def story(lab: Cluster) -> str:
    """The title and the story of the scenario that runs; empty when none does."""
    running = exam_state.now(lab).running
    current = exam_state.exam(lab)
    return _story(running.name, running.facts, running.seed, current) if running else ""


def _story(name: str, facts: Facts, seed: int, current: Exam | None) -> str:
    """In an exam without the scenario's name, which would give away the cause."""
    _, scenario = registry.find(name)
    shown = current.place(name).capitalize() if current else f"{name} (seed {seed})"
    return f"{shown}: {scenario.title}\n\n{textwrap.fill(fill(scenario.story, facts), _WIDTH)}"


def _begin(lab: Cluster, name: str, seed: int, current: Exam | None = None) -> str:
    """Begin a scenario on a fresh swarm, for an exam or for practice, which gives up an exam that runs."""
    _, scenario = registry.find(name)
    facts = scenario.facts(name.removeprefix(PREFIX), seed)
    chapters.prepare(lab, chapters.CHAPTERS[_CHAPTER])
    facts |= scenario.breaks(lab, facts) or {}
    there = user_resources(lab)
    progress.of(lab).record(
        "scenario", name, False, seed=seed, facts=facts, exam=current is not None, there=there
    )
    return _story(name, facts, seed, current)


def _score(now: exam_state.State) -> list[str]:
    return [f"The exam is over: {now.exams[-1].describe()}"] if now.exams else []
