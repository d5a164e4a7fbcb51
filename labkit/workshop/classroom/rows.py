"""A learner's row on the class page, as plain data."""

from collections.abc import Mapping
from typing import Any

from labkit.course.exam import registry
from labkit.course.exam_state import Exam
from labkit.util.text import natural
from labkit.workshop.classroom import standing, stuck
from labkit.workshop.classroom.standing import Standing
from labkit.workshop.classroom.store import Person
from labkit.workshop.classroom.stuck import Judgment, Situation

_EXAMS = 5  # the last ones are shown


def row(person: Person, standings: Mapping[str, Standing], connected: bool, now: float) -> dict[str, Any]:
    """The row of a learner among all standings.

    `name` and `label` (the login, and what people call them), `connected`, `state` with its `word`, `rank`,
    and `signs`; `chapter`, `exercise` (null when none is left), `place` (what that is called while its
    name is hidden), `since`, `last`, `refused`, `hints`; `verdict` of the last one; `marks` by exercise;
    `quiz` and `predictions` by a chapter's key, as how many are right, and how many there are; `exams`. While
    an exam runs, the scenarios that it has not graded are left out.
    """
    mine = standings[person.name]
    exam = mine.exam(now)
    judged = judge(person, standings, connected, now)
    hidden = set(registry.hidden(exam))
    secret = mine.exercise in hidden
    keys = sorted({name.partition(".")[0] for name in (*mine.answers, *mine.outcomes)})
    return {
        "name": person.name,
        "label": person.label or person.name,
        "connected": connected,
        "state": judged.state,
        "word": stuck.WORDS[judged.state],
        "rank": judged.rank,
        "signs": list(judged.signs),
        "chapter": mine.chapter or None,
        "exercise": None if secret else mine.exercise or None,
        "place": exam.place(mine.exercise) if exam and secret else None,
        "since": mine.since or None,
        "last": mine.last or None,
        "refused": mine.refused,
        "hints": mine.hints,
        "verdict": _verdict(mine, hidden),
        "marks": {name: standing.as_data(mark) for name, mark in mine.marks.items() if name not in hidden},
        "quiz": {key: standing.counts(mine.answers, key) for key in keys},
        "predictions": {key: standing.counts(mine.outcomes, key) for key in keys},
        "exams": [_exam(found, now) for found in mine.exams[-_EXAMS:]],
    }


def judge(person: Person, standings: Mapping[str, Standing], connected: bool, now: float) -> Judgment:
    """What the rule says about a learner among all standings."""
    mine = standings[person.name]
    others = [other for found, other in standings.items() if found != person.name and other.chapter]
    marks = [other.marks.get(mine.exercise) for other in others]
    return stuck.judge(
        Situation(
            arrived=person.since > 0,
            connected=connected,
            started=bool(mine.chapter),
            exercise=mine.exercise,
            minutes=max(0.0, now - mine.since) / 60,
            idle=max(0.0, now - mine.last) / 60,
            refused=mine.refused,
            hints=mine.hints,
            solution=mine.solution,
            past=sum(mark is not None and mark.solved is not None for mark in marks),
            others=len(others),
        )
    )


def order(found: Mapping[str, Any]) -> tuple[int, float, list[tuple[int, str]]]:
    """A key that sorts rows: whoever is stuck first, among them whoever has been there the longest."""
    return found["rank"], found["since"] or 0.0, natural(found["label"])


def _verdict(mine: Standing, hidden: set[str]) -> dict[str, Any] | None:
    found = mine.verdict
    if found is None or found.exercise in hidden:
        return None
    return {
        "exercise": found.exercise,
        "ok": found.ok,
        "moment": found.moment,
        "points": list(found.points),
    }


def _exam(exam: Exam, now: float) -> dict[str, Any]:
    return {
        "started": exam.started,
        "minutes": exam.minutes,
        "score": exam.score,
        "graded": len(exam.marks),
        "scenarios": len(exam.names),
        "over": exam.over(now),
    }
