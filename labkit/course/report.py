"""A learner's progress as data, as text and as one HTML page."""

import html
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from labkit.course import chapters, exam_state, exercises, progress, quiz
from labkit.course.exam import registry
from labkit.course.progress import Kind, Record
from labkit.swarm.model import Json
from labkit.util.console import table
from labkit.util.text import counted

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Swarm Lab: progress</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
    border-bottom: 1px solid #8886; }
</style>
<h1>Swarm Lab: progress</h1>
"""

_EXAM = ("EXAM", "TIME", "SCORE", "SCENARIOS")
_HIDDEN = "hidden during an exam"


def summary() -> dict[str, Any]:
    """`chapters`: each with `name`, `begun` (times), `exercises`, `quiz`, and `predictions`; `exams`.

    An exercise has `name`, `task`, `solved` (seconds of the epoch, or null), `tries`, `hints` (given),
    `solution` (whether it was run). A quiz has `right` and `answered` by the last answers, and `questions`;
    predictions have `made` and `right`, by the last time that each came out.
    An exam has `started` (seconds of the epoch), `minutes`, `seed`, `scenarios` (each with `name`, and
    `solved`, null where it was not graded), `score` (how many were solved in time) and `over`. While an exam
    runs, the names of scenarios that it has not graded are null.
    """
    entries = progress.records()
    count = Counter((entry.kind, entry.name) for entry in entries)
    solved = progress.solved()
    exams, now = exam_state.exams(), time.time()
    hidden = {name for exam in exams if not exam.over(now) for name in registry.hidden(exam)}

    def shown(name: str) -> str | None:
        return None if name in hidden else name

    def exercise(name: str, task: str) -> dict[str, Any]:
        return {
            "name": shown(name),
            "task": task,
            "solved": solved[name].moment if name in solved else None,
            "tries": count["exercise", name],
            "hints": count["hint", name],
            "solution": count["solution", name] > 0,
        }

    return {
        "chapters": [
            {
                "name": name,
                "begun": count["chapter", name],
                "exercises": [exercise(task, asked) for task, asked in exercises.tasks(chapter.key).items()],
                "quiz": _quiz(entries, chapter.key),
                "predictions": _predictions(entries, chapter.key),
            }
            for name, chapter in chapters.CHAPTERS.items()
        ],
        "exams": [
            {
                "started": exam.started,
                "minutes": exam.minutes,
                "seed": exam.seed,
                "scenarios": [
                    {"name": shown(name), "solved": exam.marks[name][0] if name in exam.marks else None}
                    for name in exam.names
                ],
                "score": exam.score,
                "over": exam.over(now),
            }
            for exam in exams
        ],
    }


def _quiz(entries: Sequence[Record], key: str) -> dict[str, int]:
    given = _last(entries, "quiz", key)
    return {"right": sum(given), "answered": len(given), "questions": len(quiz.load(key))}


def _predictions(entries: Sequence[Record], key: str) -> dict[str, int]:
    made = _last(entries, "outcome", key)
    return {"made": len(made), "right": sum(made)}


def _last(entries: Sequence[Record], kind: Kind, key: str) -> list[bool]:
    """Whether each thing of this kind in a chapter was right the last time."""
    last = {entry.name: entry.ok for entry in entries if entry.kind == kind}
    return [ok for name, ok in last.items() if name.partition(".")[0] == key]


def render(found: Json) -> str:
    """A `summary` as tables for a terminal."""
    rows = [
        (
            chapter["name"],
            f"{sum(1 for entry in chapter['exercises'] if entry['solved'])} of {len(chapter['exercises'])}",
            f"{chapter['quiz']['right']} of {chapter['quiz']['questions']}",
            f"{chapter['predictions']['right']} of {chapter['predictions']['made']}",
            " ".join(_mark(entry) for entry in chapter["exercises"]),
        )
        for chapter in found["chapters"]
    ]
    text = table(rows, ("CHAPTER", "EXERCISES", "QUIZ", "PREDICTIONS", ""))
    text += "\n\n✓ solved   ◐ solved after its solution was run   · not yet"
    if found["exams"]:
        text += "\n\n" + table([_row(exam) for exam in found["exams"]], _EXAM)
    return text


def page(found: Json) -> str:
    """A `summary` as one HTML page that needs nothing else."""
    return _PAGE + tables(found) + f"<p>Written {time.strftime('%Y-%m-%d %H:%M')}.</p></html>\n"


def tables(found: Json) -> str:
    """A `summary` as HTML, for a page or a widget."""
    parts = []
    for chapter in found["chapters"]:
        answers, foreseen = chapter["quiz"], chapter["predictions"]
        rows = "".join(
            f"<tr><td>{_mark(entry)} {_when(entry)}</td><td>{html.escape(entry['name'] or _HIDDEN)}</td>"
            f"<td>{html.escape(entry['task'])}</td><td>{_effort(entry)}</td></tr>"
            for entry in chapter["exercises"]
        )
        parts.append(
            f"<h2>{html.escape(chapter['name'])}</h2>"
            f"<p>Quiz: {answers['right']} of {answers['questions']} right, "
            f"{answers['answered']} answered. "
            f"Predictions: {foreseen['right']} of {foreseen['made']} right.</p>"
            "<table><thead><tr><th>State</th><th>Exercise</th><th>Task</th><th>Effort</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )
    if found["exams"]:
        head = "".join(f"<th>{title.capitalize()}</th>" for title in _EXAM)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _row(exam)) + "</tr>"
            for exam in found["exams"]
        )
        parts.append(f"<h2>Exams</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    return "".join(parts)


def _row(exam: Json) -> tuple[str, str, str, str]:
    """An exam in the columns of _EXAM."""
    marks = {True: "✓", False: "✗", None: "·"}
    names = ", ".join(
        f"{marks[entry['solved']]} {(entry['name'] or f'scenario {number}').removeprefix(exam_state.PREFIX)}"
        for number, entry in enumerate(exam["scenarios"], start=1)
    )
    score = f"{exam['score']} of {len(exam['scenarios'])}" + ("" if exam["over"] else ", under way")
    return _day(exam["started"]), f"{exam['minutes']:g} minutes", score, names


def _mark(entry: Json) -> str:
    if entry["solved"] is None:
        return "·"
    return "◐" if entry["solution"] else "✓"


def _when(entry: Json) -> str:
    return "not yet" if entry["solved"] is None else _day(entry["solved"])


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def _effort(entry: Json) -> str:
    parts = [
        (entry["tries"], f"checked {entry['tries']}×"),
        (entry["hints"], counted(entry["hints"], "hint")),
        (entry["solution"], "solution run"),
    ]
    return ", ".join(part for wanted, part in parts if wanted)
