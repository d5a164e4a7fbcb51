"""Where a learner stands: at which exercise, since when, with what result. Pure: records in, data out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.course import ALIASES, exam_state
from labkit.course.exam_state import PREFIX, Exam
from labkit.course.progress import Record

_EXERCISES = ("exercise", "hint", "solution", "scenario")


@dataclass(frozen=True)
class Mark:
    """What a learner did at one exercise. Moments in seconds of the epoch."""

    solved: float | None = None
    checks: int = 0
    hints: int = 0
    solution: bool = False
    first: float | None = None
    last: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the last check of an exercise said: the failing points, or all of them when it's solved."""

    exercise: str
    ok: bool
    moment: float
    points: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """Where a learner stands.

    `chapter` and `exercise` are where they are, since the moment `since`; an empty `exercise` means that
    nothing is left in the chapter. `refused` checks, `hints`, and `solution` count from then on. `last` is
    the moment of the last record, 0 when there is none.
    """

    chapter: str = ""
    exercise: str = ""
    since: float = 0.0
    refused: int = 0
    hints: int = 0
    solution: bool = False
    verdict: Verdict | None = None
    last: float = 0.0
    marks: Mapping[str, Mark] = field(default_factory=dict)
    answers: Mapping[str, bool] = field(default_factory=dict)
    outcomes: Mapping[str, bool] = field(default_factory=dict)
    exams: tuple[Exam, ...] = ()

    def exam(self, moment: float) -> Exam | None:
        """The exam that runs at a moment."""
        return self.exams[-1] if self.exams and not self.exams[-1].over(moment) else None


class _Walk:
    """A standing while it is put together. It changes in place: a learner may have thousands of records."""

    def __init__(self, exercises: Mapping[str, Sequence[str]]) -> None:
        self.exercises = exercises
        self.chapters = {name: chapter for chapter, names in exercises.items() for name in names}
        self.chapter = self.exercise = ""
        self.since = self.last = 0.0
        self.refused = self.hints = 0
        self.solution = False
        self.verdict: Verdict | None = None
        self.marks: dict[str, Mark] = {}
        self.answers: dict[str, bool] = {}
        self.outcomes: dict[str, bool] = {}

    def step(self, entry: Record) -> None:
        self.last = max(self.last, entry.moment)
        if entry.kind == "chapter" and entry.name in self.exercises:
            self.chapter = entry.name
            self.move(_next(self.exercises[entry.name], self.marks, ""), entry.moment)
        elif entry.kind == "quiz":
            self.answers[entry.name] = entry.ok
        elif entry.kind == "outcome":
            self.outcomes[entry.name] = entry.ok
        elif entry.kind in _EXERCISES and entry.name in self.chapters:
            self.work(entry)

    def work(self, entry: Record) -> None:
        """Something about an exercise or a scenario."""
        self.chapter = self.chapters[entry.name]
        if entry.name != self.exercise or entry.kind == "scenario":
            self.move(entry.name, entry.moment)
        self.marks[entry.name] = _marked(self.marks.get(entry.name, Mark()), entry)
        self.hints += entry.kind == "hint"
        self.solution |= entry.kind == "solution"
        if entry.kind == "exercise":
            self.verdict = _verdict(entry)
            self.refused += not entry.ok
            if entry.ok:
                self.move(_next(self.exercises[self.chapter], self.marks, entry.name), entry.moment)

    def move(self, exercise: str, moment: float) -> None:
        self.exercise, self.since = exercise, moment
        self.refused, self.hints, self.solution = 0, 0, False


def fold(records: Iterable[Record], exercises: Mapping[str, Sequence[str]]) -> Standing:
    """Where these records lead to. `exercises` names those of each chapter, in the order of the notebook."""
    ordered = [replace(entry, name=ALIASES.get(entry.name, entry.name)) for entry in records]
    walk = _Walk(exercises)
    for entry in ordered:
        walk.step(entry)
    return Standing(
        chapter=walk.chapter,
        exercise=walk.exercise,
        since=walk.since,
        refused=walk.refused,
        hints=walk.hints,
        solution=walk.solution,
        verdict=walk.verdict,
        last=walk.last,
        marks=walk.marks,
        answers=walk.answers,
        outcomes=walk.outcomes,
        exams=_exams([entry for entry in ordered if entry.name in {*walk.chapters, *exercises, "start"}]),
    )


def _next(names: Sequence[str], marks: Mapping[str, Mark], after: str) -> str:
    """The first exercise after one that isn't solved yet, or an earlier one; empty when none is left.

    The exam's scenarios are drawn, so none of them is next.
    """
    left = [name for name in names if marks.get(name, Mark()).solved is None and not name.startswith(PREFIX)]
    place = names.index(after) if after in names else -1
    later = [name for name in left if names.index(name) > place]
    return next(iter([*later, *left]), "")


def _marked(mark: Mark, entry: Record) -> Mark:
    solved = entry.kind == "exercise" and entry.ok and mark.solved is None
    return Mark(
        solved=entry.moment if solved else mark.solved,
        checks=mark.checks + (entry.kind == "exercise"),
        hints=mark.hints + (entry.kind == "hint"),
        solution=mark.solution or (entry.kind == "solution" and mark.solved is None),
        first=entry.moment if mark.first is None else mark.first,
        last=entry.moment,
    )


def _verdict(entry: Record) -> Verdict:
    points = entry.detail.get("points")
    said = [str(point) for point in points] if isinstance(points, list) else []
    wanted = "✓" if entry.ok else "✗"
    words = tuple(point[1:].strip() for point in said if point.startswith(wanted))
    return Verdict(entry.name, entry.ok, entry.moment, words)


def _exams(records: Sequence[Record]) -> tuple[Exam, ...]:
    """The exams of all labs, the oldest first; none of a lab whose records aren't those of exams."""
    found: list[Exam] = []
    for lab in sorted({entry.lab for entry in records}):
        try:
            exams = exam_state.fold(entry for entry in records if entry.lab == lab).exams
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # a learner can send anything, but spoils only their own row
        found += [exam for exam in exams if isinstance(exam.minutes, int | float) and exam.names]
    return tuple(sorted(found, key=lambda exam: exam.started))


def counts(results: Mapping[str, bool], key: str) -> tuple[int, int]:
    """How many of a chapter's quiz answers, or outcomes of predictions, are right, and how many there are."""
    of = [ok for name, ok in results.items() if name.partition(".")[0] == key]
    return sum(of), len(of)


def as_data(mark: Mark) -> dict[str, Any]:
    """A mark as plain data, for the page."""
    return {
        "solved": mark.solved,
        "checks": mark.checks,
        "hints": mark.hints,
        "solution": mark.solution,
        "first": mark.first,
        "last": mark.last,
    }
