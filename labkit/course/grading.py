"""Exercises and their grades: what is right, what is missing, and why it matters, judged by the swarm."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course import exam_state, progress
from labkit.course.inspector import Inspector
from labkit.course.user_resources import user_resources
from labkit.engine.selection import ERRORS
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Snapshot
from labkit.util.errors import LabError, NotSolved

SETTLE_SECONDS = 5.0  # the swarm may need a moment to see what was just done
_MOTION_SECONDS = (
    60.0  # and longer while something is in progress; a demoted manager retries for 18 s and more
)
_ON_THE_WAY = {"new", "assigned", "accepted", "preparing", "starting"}  # `ready` is the pause after a failure

Hint = str | Callable[[Inspector], str]
"""The next step; one that inspects the swarm says what its state suggests."""


@dataclass(frozen=True)
class Exercise:
    """Something to achieve.

    `task` states it in one line, `why` the reason. `points` yields a verdict for each requirement, in the
    order a learner meets them; it may end early, after a failing one. All of it needs a swarm, unless
    `without_swarm`. `solution` is shown after the last hint, when no cell of a notebook holds it. A `drill`
    repeats what was just shown; the others start from a situation.
    """

    task: str
    points: Callable[[Inspector], Iterator[Verdict]]
    why: str
    hints: tuple[Hint, ...]
    without_swarm: bool = False
    solution: str = ""
    drill: bool = False

    @property
    def label(self) -> str:
        """What learners see this kind of exercise called."""
        return "Drill" if self.drill else "Exercise"

    def grade(self, inspector: Inspector) -> tuple[Verdict, ...]:
        """The verdicts of one inspection. What cannot be asked because a node is off is a failing verdict."""
        if not self.without_swarm and (lost := checks.no_view(inspector.snapshot)) is not None:
            return (lost,)
        try:
            found = tuple(self.points(inspector))
        except (LabError, *ERRORS) as error:
            found = (Verdict(False, f"the lab does not answer: {str(error).partition(chr(10))[0]}"),)
        return found or (Verdict(False, "there is nothing to grade yet"),)


@dataclass(frozen=True)
class Grade:
    """The state of an exercise; a notebook shows it point by point. `after` says how to go on."""

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


def grade(lab: Cluster, name: str, exercise: Exercise, settle: float = SETTLE_SECONDS) -> Grade:
    """Grade an exercise; while it is not solved, try again for `settle` seconds. Nothing is recorded.

    Unless `settle` is 0, a swarm in motion gets more time.
    """
    soon = lab.context.deadline(settle)
    late = lab.context.deadline(max(settle, _MOTION_SECONDS) if settle else 0)
    for _ in late.attempts(every=0.25):
        inspector = Inspector(lab)
        found = Grade(name, exercise.grade(inspector), exercise.why)
        if found or (soon.passed and not _in_motion(inspector.snapshot)):
            break
    return found


def _in_motion(snapshot: Snapshot) -> bool:
    """Whether managers hold an election, tasks start, or nodes change their status or role."""
    return (
        snapshot.quorum is False
        or bool(snapshot.demoted_managers)
        or any(task.wanted and task.state in _ON_THE_WAY for task in snapshot.tasks)
        or any(
            node.status not in ("ready", "down") or (node.role == "manager") != bool(node.manager_status)
            for node in snapshot.nodes
        )
    )


def check(lab: Cluster, name: str, exercise: Exercise) -> Grade:
    """Grade an exercise and record it. Raises NotSolved with every point, and why it matters."""
    found = grade(lab, name, exercise)
    keep(lab, found)
    if not found:
        raise NotSolved(
            f"{name} is not solved yet",
            evidence=[*(str(point) for point in found.points), f"Why it matters: {exercise.why}"],
            next_step=f'lab.hint("{name}") for a hint, or {lab.context.hint("hint", name)}',
        )
    return found


def keep(lab: Cluster, found: Grade) -> None:
    """Record a grade; for a solved scenario also what is in the lab then: nobody needs it any more."""
    detail: dict[str, Any] = {"points": [str(point) for point in found.points]}
    if found and found.name.startswith(exam_state.PREFIX):
        detail["there"] = user_resources(lab)
    progress.of(lab).note("exercise", found.name, ok=found.solved, **detail)


def next_hint(lab: Cluster, name: str, exercise: Exercise) -> str:
    """The next hint for an exercise; after the last one the solution, or where it is. Recorded.

    Raises LabError while an exam runs.
    """
    if name.startswith(exam_state.PREFIX) and exam_state.exam(lab):
        raise LabError("there are no hints while an exam runs", next_step="docker service ps --no-trunc")
    journal = progress.of(lab)
    given = journal.hints_given(name)
    if given >= len(exercise.hints) and exercise.solution:
        journal.note("solution", name)
        return f"That was the last hint. A solution:\n\n{exercise.solution}"
    if given >= len(exercise.hints):
        return "That was the last hint. A solution is in the folded cell below: click to unfold it."
    step = exercise.hints[given]
    if callable(step):
        with contextlib.suppress(LabError, *ERRORS):
            step = step(Inspector(lab))
    if callable(step):
        step = "the lab does not answer now; first check what runs: docker node ls"
    journal.note("hint", name, step=given + 1)
    return f"Hint {given + 1} of {len(exercise.hints)}: {step}"
