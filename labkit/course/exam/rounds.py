"""Practice and exam: a scenario is begun on a fresh swarm, told by its symptom, and graded by the swarm."""

import random
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit import hint
from labkit.course import chapters, grading, progress
from labkit.course.belongings import belongings
from labkit.course.exam import registry, state
from labkit.course.exam.scenario import Facts, fill
from labkit.course.exam.state import PREFIX, Exam
from labkit.course.grading import Grade
from labkit.errors import LabError, NotSolved

if TYPE_CHECKING:
    from labkit.lab import Lab

_CHAPTER = "prove-it"
_SEEDS = 9999
_WIDTH = 100


def practice(lab: "Lab", name: str, seed: int | None = None, yes: bool = False) -> str:
    """Begin a scenario on a fresh swarm; return its story.

    Raises WouldRemove as `chapters.begin` does, LabError while an exam runs; neither with `yes`.
    """
    full, _ = registry.find(name)
    short = full.removeprefix(PREFIX)
    sitting = state.exam()
    if sitting and not yes:
        raise LabError(
            f"an exam runs: {_time_left(sitting)}",
            next_step=f'lab.next() goes on with it; lab.practice("{short}", yes=True) gives it up',
        )
    seed = random.randint(1, _SEEDS) if seed is None else seed
    if not yes:
        command = hint.command("practice", short, "--seed", str(seed), "--yes", lab=lab.name)
        anyway = f'lab.practice("{short}", seed={seed}, yes=True)', command
        _ask_first(lab, short, anyway, lambda: practice(lab, name, seed, yes=True))
    told = _begin(lab, full, seed)
    check = f'lab.check("{full}") looks at the swarm, lab.hint("{full}") helps'
    return f"{told}\n\nRepair it with docker commands.\n{check}."


def listing() -> str:
    """All scenarios by name and title, those that were solved ticked off."""
    solved = progress.solved()
    width = max(map(len, registry.SCENARIOS))
    lines = [
        f"{'✓' if PREFIX + name in solved else '·'} {name:<{width}}  {scenario.title}"
        for name, scenario in registry.SCENARIOS.items()
    ]
    return "\n".join([*lines, "", 'lab.practice("NAME") begins one.'])


def exam(lab: "Lab", minutes: float = 60, count: int = 5, seed: int | None = None, yes: bool = False) -> str:
    """Start an exam of scenarios that the seed draws, and begin the first; return what there is to tell.

    Raises LabError when an exam runs, WouldRemove as `chapters.begin` does; neither with `yes`.
    """
    if not (minutes > 0 and 1 <= count <= len(registry.SCENARIOS)):
        raise LabError(
            f"an exam of {count} scenarios in {minutes:g} minutes is not possible",
            next_step=f"count from 1 to {len(registry.SCENARIOS)}, and some minutes",
        )
    if (sitting := state.exam()) and not yes:
        raise LabError(
            f"an exam runs: {_time_left(sitting)}",
            next_step="lab.next() goes on with it; lab.exam(…, yes=True) gives it up and starts another",
        )
    if not yes:
        anyway = "lab.exam(…, yes=True)", hint.command("exam", "--yes", lab=lab.name)
        _ask_first(lab, "exam", anyway, lambda: exam(lab, minutes, count, seed, True))
    seed = random.randint(1, _SEEDS) if seed is None else seed
    drawn = random.Random(f"exam:{seed}").sample(list(registry.SCENARIOS), count)
    names = [PREFIX + name for name in drawn]
    progress.record("exam", "start", False, minutes=minutes, seed=seed, scenarios=names)
    plural = "s" if count != 1 else ""
    rules = (
        f"An exam: {count} scenario{plural}, {minutes:g} minutes, seed {seed}. There are no hints. "
        "lab.check() grades a scenario, once; lab.next() goes on to the next one, with or without a grade."
    )
    return f"{rules}\n\n{go_on(lab)}"


def go_on(lab: "Lab") -> str:
    """Go on to the exam's next scenario, and return its story, or the score at the end.

    A scenario that was not graded counts as not solved.

    Raises LabError when no exam runs.
    """
    now = state.now()
    sitting = state.exam()
    if sitting is None:
        raise LabError("no exam runs", evidence=_last(now), next_step="lab.exam() starts one")
    if now.running and now.running.name == sitting.next:
        progress.record("exam", now.running.name, False)
        sitting = state.exam()
    if sitting is None or sitting.next is None:
        return " ".join(_last(state.now()))
    where = f"Scenario {len(sitting.marks) + 1} of {len(sitting.names)}, {_time_left(sitting)}"
    return f"{where}\n{_begin(lab, sitting.next, sitting.seed)}"


def check(lab: "Lab", name: str = "") -> Grade:
    """Grade a scenario, the one that runs where none is named; in an exam only that one, and once.

    Raises NotSolved, and LabError for what cannot be graded.
    """
    now = state.now()
    if not name and now.running is None:
        raise LabError("no scenario runs now", next_step='lab.practice("NAME") begins one')
    name, scenario = registry.find(name or (now.running.name if now.running else ""))
    sitting = state.exam()
    if sitting is None:
        return grading.check(lab, name, registry.exercise(name))
    if now.running is None or name != now.running.name or name in sitting.marks:
        why = "was graded already" if name in sitting.marks else "is not the one that the exam is at"
        raise LabError(f"{name} {why}", next_step="lab.next() goes on")
    found = grading.grade(lab, name, scenario.exercise(now.running.facts))
    in_time = not sitting.over(time.time())  # the deadline may have come while it was graded
    grading.keep(lab, found)
    progress.record("exam", name, found.solved and in_time)
    sitting = state.exam()
    over = [] if sitting else _last(state.now())
    goes_on = f"lab.next() goes on, {_time_left(sitting)}" if sitting else ""
    if not found:
        again = f'lab.practice("{name.removeprefix(PREFIX)}") for another try, with hints'
        raise NotSolved(
            f"{name} is not solved, and graded",
            evidence=[*map(str, found.points), *over],
            next_step=goes_on or again,
        )
    return replace(found, after=goes_on or " ".join(over))


def status() -> str:
    """How the exam stands, or the scenario that is practised, in a few words."""
    now, sitting = state.now(), state.exam()
    if sitting:
        return f"{sitting.score} of {len(sitting.marks)} graded scenarios solved, {_time_left(sitting)}"
    if now.running and not now.running.examined:
        return f"{now.running.name} {'is solved' if now.running.solved else 'is being practised'}"
    return " ".join(_last(now)) or "no scenario runs"


def story() -> str:
    """The title and the story of the scenario that runs; empty when none does."""
    running = state.now().running
    return _told(running.name, running.facts, running.seed) if running else ""


def _told(name: str, facts: Facts, seed: int) -> str:
    _, scenario = registry.find(name)
    text = textwrap.fill(fill(scenario.story, facts), _WIDTH)
    return f"{name} (seed {seed}): {scenario.title}\n\n{text}"


def _begin(lab: "Lab", name: str, seed: int) -> str:
    _, scenario = registry.find(name)
    facts = scenario.facts(name.removeprefix(PREFIX), seed)
    chapters.CHAPTERS[_CHAPTER].prepare(lab)
    facts |= scenario.breaks(lab, facts) or {}
    in_exam = state.exam() is not None
    progress.record("scenario", name, False, seed=seed, facts=facts, exam=in_exam, there=belongings(lab))
    return _told(name, facts, seed)


def _ask_first(lab: "Lab", name: str, anyway: tuple[str, str], begin: Callable[[], object]) -> None:
    """Require consent, unless all that is there was there when a scenario began, or was solved."""
    running = state.now().running
    chapters.require_consent(lab, name, anyway, begin, known=running.there if running else ())


def _time_left(sitting: Exam) -> str:
    return f"{sitting.left(time.time()) / 60:.0f} minutes left"


def _last(now: state.State) -> list[str]:
    return [f"The exam is over: {now.exams[-1].words()}"] if now.exams else []
