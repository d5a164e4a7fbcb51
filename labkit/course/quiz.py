"""The quizzes: five questions at the end of each chapter, in one TOML file each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from labkit.cluster.cluster import Cluster
from labkit.course import pick, progress

_FOLDER = Path(__file__).parent / "quizzes"


@dataclass(frozen=True)
class Question:
    """A question with its choices; `answer` is the index of the right choice, `why` explains it.

    `output` is what a command printed, where the question asks to read it.
    """

    ask: str
    choices: tuple[str, ...]
    answer: int
    why: str
    output: str = ""


def load(chapter: str) -> tuple[Question, ...]:
    """The questions of a chapter's key, such as `create`. Raises LabError with the closest known key."""
    path = pick("quiz", chapter, {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))})
    return tuple(
        Question(
            entry["ask"],
            tuple(entry["choices"]),
            entry["answer"] - 1,
            entry["why"],
            entry.get("output", "").strip("\n"),
        )
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    )


def answer(lab: Cluster, chapter: str, number: int, choice: int) -> bool:
    """Record the choice (an index) for a question (counted from 1); return whether it is right."""
    right = load(chapter)[number - 1].answer == choice
    progress.of(lab).note("quiz", f"{chapter}.{number}", ok=right, choice=choice + 1)
    return right
