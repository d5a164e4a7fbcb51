"""Exercises and their grades: what is right, what is missing and why it matters, by looking at the swarm."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit import checks, engine, hint
from labkit.checks import Verdict
from labkit.course import progress
from labkit.course.belongings import belongings
from labkit.course.exam import state
from labkit.course.look import Look
from labkit.deadline import Deadline
from labkit.errors import LabError, NotSolved
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab

SETTLE_SECONDS = 5.0  # what has just been done may take the swarm a moment to see
_MOTION_SECONDS = 60.0  # and longer, where something is under way; a demoted manager tries for 18 s and more
_ON_THE_WAY = {"new", "assigned", "accepted", "preparing", "starting"}  # `ready` is the pause after a failure

Hint = str | Callable[[Look], str]
"""A step that leads on; one that looks at the swarm says what its state suggests."""


@dataclass(frozen=True)
class Exercise:
    """Something to bring about.

    `task` says it in one line, `why` what it is good for. `points` yields a verdict for each thing that has
    to be so, in the order in which one does them; it may end early, after a failing one. A swarm is needed
    for any of it unless `without_swarm`. `solution` is shown after the last hint, where no cell of a
    notebook holds it.
    """

    task: str
    points: Callable[[Look], Iterator[Verdict]]
    why: str
    hints: tuple[Hint, ...]
    without_swarm: bool = False
    solution: str = ""

    def look(self, look: Look) -> tuple[Verdict, ...]:
        """The verdicts of one look. What cannot be asked, because a node is off, is a failing verdict."""
        if not self.without_swarm and (lost := checks.no_view(look.snapshot)) is not None:
            return (lost,)
        try:
            found = tuple(self.points(look))
        except (LabError, *engine.ERRORS) as error:
            found = (Verdict(False, f"the lab does not answer: {str(error).splitlines()[0]}"),)
        return found or (Verdict(False, "there is nothing to grade yet"),)


@dataclass(frozen=True)
class Grade:
    """How an exercise stands; a notebook shows it point by point. `after` says how to go on."""

    name: str
    points: tuple[Verdict, ...]
    why: str
    after: str = ""

    @property
    def solved(self) -> bool:
        """Whether every point holds."""
        return all(self.points)

    def __bool__(self) -> bool:
        return self.solved

    def __repr__(self) -> str:
        head = f"{'✓' if self.solved else '✗'} {self.name} {'solved' if self.solved else 'is not solved yet'}"
        why = f"  Why it matters: {self.why}"
        return "\n".join([head, *(f"  {point}" for point in self.points), why, *filter(None, [self.after])])


def grade(lab: "Lab", name: str, exercise: Exercise, settle: float = SETTLE_SECONDS) -> Grade:
    """Grade an exercise; while it is not solved, look again for `settle` seconds. Nothing is recorded.

    With `settle`, a swarm in motion is given more time.
    """
    soon, late = Deadline(settle), Deadline(max(settle, _MOTION_SECONDS) if settle else 0)
    for _ in late.attempts(every=0.25):
        look = Look(lab)
        found = Grade(name, exercise.look(look), exercise.why)
        if found or (soon.passed and not _in_motion(look.snapshot)):
            break
    return found


def _in_motion(snapshot: Snapshot) -> bool:
    """Whether managers elect, tasks start, or nodes are on the way to ready or down, or to another role."""
    return (
        snapshot.quorum is False
        or any(task.wanted and task.state in _ON_THE_WAY for task in snapshot.tasks)
        or any(
            node.status not in ("ready", "down") or (node.role == "manager") != bool(node.manager_status)
            for node in snapshot.nodes
        )
    )


def check(lab: "Lab", name: str, exercise: Exercise) -> Grade:
    """Grade an exercise and record it. Raises NotSolved with every point, and why it matters."""
    found = grade(lab, name, exercise)
    keep(lab, found)
    if not found:
        raise NotSolved(
            f"{name} is not solved yet",
            evidence=[*(str(point) for point in found.points), f"Why it matters: {exercise.why}"],
            next_step=f'lab.hint("{name}") for a hint, or {hint.command("hint", name, lab=lab.name)}',
        )
    return found


def keep(lab: "Lab", found: Grade) -> None:
    """Record a grade; with a scenario that is solved what is in the lab then, which nobody needs any more."""
    detail: dict[str, Any] = {"points": [str(point) for point in found.points]}
    if found and found.name.startswith(state.PREFIX):
        detail["there"] = belongings(lab)
    note("exercise", found.name, ok=found.solved, **detail)


def next_hint(lab: "Lab", name: str, exercise: Exercise) -> str:
    """The next hint to an exercise; after the last one the solution, or where it is. Recorded.

    Raises LabError while an exam runs.
    """
    if name.startswith(state.PREFIX) and state.exam():
        raise LabError("there are no hints while an exam runs", next_step="docker service ps --no-trunc")
    given = progress.hints_given(name)
    if given >= len(exercise.hints) and exercise.solution:
        note("solution", name)
        return f"That was the last hint. A solution:\n\n{exercise.solution}"
    if given >= len(exercise.hints):
        return "That was the last hint. A solution is in the folded cell below: click to unfold it."
    step = exercise.hints[given]
    if callable(step):
        with contextlib.suppress(LabError, *engine.ERRORS):
            step = step(Look(lab))
    if callable(step):
        step = "the lab does not answer now; first look at what runs: docker node ls"
    note("hint", name, step=given + 1)
    return f"Hint {given + 1} of {len(exercise.hints)}: {step}"


def note(kind: progress.Kind, name: str, ok: bool = True, **detail: Any) -> None:
    """Record it; where that is impossible say so, and let the learner go on."""
    try:
        progress.record(kind, name, ok, **detail)
    except LabError as error:
        print(error.story(), file=sys.stderr)


Exercises = Mapping[str, Exercise]
