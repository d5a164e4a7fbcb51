"""Which scenario runs, and which exam: read from the progress records, so that it outlives the kernel."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course import ALIASES, progress
from labkit.course.progress import Record
from labkit.util.text import counted

PREFIX = "exam."


@dataclass(frozen=True)
class Running:
    """The scenario that was begun last; `name` is its exercise's.

    `there` lists what was in the lab when it began or, once solved, when it was graded. `examined` means
    that an exam began it.
    """

    name: str
    seed: int
    facts: Mapping[str, Any]
    there: tuple[str, ...] = ()
    examined: bool = False
    solved: bool = False


@dataclass(frozen=True)
class Exam:
    """An exam from its start. `marks`: for each graded scenario whether it counts as solved, and when."""

    started: float
    minutes: float
    seed: int
    names: tuple[str, ...]
    marks: Mapping[str, tuple[bool, float]] = field(default_factory=dict)
    given_up: bool = False

    @property
    def score(self) -> int:
        """How many scenarios were solved in time."""
        return sum(solved for solved, _ in self.marks.values())

    @property
    def next(self) -> str | None:
        """The first scenario that has no mark yet."""
        return next((name for name in self.names if name not in self.marks), None)

    def left(self, moment: float) -> float:
        """Seconds until its time is over, never below 0."""
        return max(0.0, self.started + self.minutes * 60 - moment)

    def over(self, moment: float) -> bool:
        """Whether nothing can be gained any more."""
        return self.given_up or self.next is None or not self.left(moment)

    def time_left(self) -> str:
        """`43 minutes left`."""
        return f"{counted(round(self.left(time.time()) / 60), 'minute')} left"

    def place(self, name: str) -> str:
        """`scenario 2 of 5`: what a scenario is called while its name would give away the cause."""
        number = self.names.index(name) + 1 if name in self.names else "?"
        return f"scenario {number} of {len(self.names)}"

    def describe(self) -> str:
        """The score in a sentence."""
        last = max((moment for _, moment in self.marks.values()), default=self.started)
        minutes = counted(round((last - self.started) / 60), "minute")
        used = f", the last one graded after {minutes}" if self.marks else ""
        return f"{self.score} of {len(self.names)} scenarios solved{used}"


@dataclass(frozen=True)
class State:
    """What runs in a lab, and all its exams, the oldest first; the last one may still run."""

    running: Running | None = None
    exams: tuple[Exam, ...] = ()

    def exam(self, moment: float) -> Exam | None:
        """The exam that runs."""
        return self.exams[-1] if self.exams and not self.exams[-1].over(moment) else None


def now(lab: Cluster) -> State:
    """What runs in this lab."""
    return fold(progress.of(lab).records("chapter", "scenario", "exam", "exercise"))


def exams() -> list[Exam]:
    """The exams of all labs, the oldest first."""
    records = progress.records("chapter", "scenario", "exam", "exercise")
    labs = {entry.lab for entry in records}
    found = [exam for lab in labs for exam in fold(entry for entry in records if entry.lab == lab).exams]
    return sorted(found, key=lambda exam: exam.started)


def exam(lab: Cluster) -> Exam | None:
    """The exam that runs in this lab."""
    return now(lab).exam(time.time())


def fold(records: Iterable[Record]) -> State:
    """The state that one lab's records lead to. Beginning a chapter, or practicing, gives up an exam."""
    running: Running | None = None
    exams: list[Exam] = []
    for entry in records:
        detail = entry.detail
        if entry.kind == "exercise":
            if running and entry.ok and entry.name == running.name:
                running = replace(running, solved=True, there=tuple(detail.get("there", running.there)))
        elif entry.kind == "scenario":
            there = tuple(detail["there"])
            running = Running(entry.name, detail["seed"], detail["facts"], there, detail["exam"])
        elif entry.kind == "exam" and entry.name == "start":
            running = None
            names = tuple(ALIASES.get(name, name) for name in detail["scenarios"])
            exams.append(Exam(entry.moment, detail["minutes"], detail["seed"], names))
        elif entry.kind == "exam" and exams:
            exams[-1] = replace(exams[-1], marks={**exams[-1].marks, entry.name: (entry.ok, entry.moment)})
        elif entry.kind == "chapter":
            running = None
        leaves = entry.kind == "chapter" or (entry.kind == "scenario" and not detail["exam"])
        if leaves and exams and not exams[-1].over(entry.moment):
            exams[-1] = replace(exams[-1], given_up=True)
    return State(running, tuple(exams))
