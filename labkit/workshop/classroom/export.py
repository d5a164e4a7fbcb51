"""The class as a file: a table for a spreadsheet, or everything as JSON."""

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from labkit.workshop.classroom import standing
from labkit.workshop.classroom.room import Room
from labkit.workshop.classroom.standing import Mark, Standing

FORMAT = 1
COLUMNS = (
    *("learner", "full_name", "chapter", "kind", "name", "result", "right", "of", "checks", "hints"),
    *("solution_shown", "first", "last"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(room: Room) -> str:
    """A row for each exercise that a learner worked on, each quiz, and each exam. Moments in UTC."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for person in room.learners():
        for row in _rows(room.standing(person.name), room):
            whole = {"learner": person.name, "full_name": person.label, **row}
            writer.writerow([_safe(whole.get(column, "")) for column in COLUMNS])
    return file.getvalue()


def as_json(room: Room) -> str:
    """Every learner with all records, as they were sent."""
    learners = [
        {
            "name": person.name,
            "full_name": person.label,
            "since": person.since,
            "seen": person.seen,
            "records": [asdict(entry) for entry in room.store.records(person.name)],
        }
        for person in room.learners()
    ]
    return json.dumps({"format": FORMAT, "written": time.time(), "learners": learners}, indent=1)


def _rows(found: Standing, room: Room) -> Iterator[dict[str, Any]]:
    for part in room.parts:
        head = {"chapter": part.name}
        for name in part.tasks:
            if name in found.marks:
                yield {**head, "kind": "exercise", "name": name, **_mark(found.marks[name])}
        for kind, results in (("quiz", found.answers), ("predictions", found.outcomes)):
            right, answered = standing.counts(results, part.key)
            if answered:
                of = part.questions if kind == "quiz" else answered
                yield {**head, "kind": kind, "name": part.key, "right": right, "of": of}
    for exam in found.exams:
        yield {
            "kind": "exam",
            "result": "over" if exam.over(time.time()) else "under way",
            "right": exam.score,
            "of": len(exam.names),
            "first": _moment(exam.started),
        }


def _mark(mark: Mark) -> dict[str, Any]:
    return {
        "result": "solved" if mark.solved is not None else "open",
        "checks": mark.checks,
        "hints": mark.hints,
        "solution_shown": "yes" if mark.solution else "no",
        "first": _moment(mark.first),
        "last": _moment(mark.solved if mark.solved is not None else mark.last),
    }


def _moment(moment: float | None) -> str:
    return "" if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _safe(value: Any) -> Any:
    """What a spreadsheet shows as text: a name that begins as a formula does must not become one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
