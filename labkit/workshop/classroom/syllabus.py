"""The course as the class page needs it: chapters in order, their exercises, and hints that can be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.course import chapters, exercises, quiz
from labkit.course.exam_state import PREFIX


@dataclass(frozen=True)
class Part:
    """A chapter. `tasks` by exercise, in the order of the notebook; `hints` that are plain text."""

    name: str
    number: str
    key: str
    tasks: Mapping[str, str]
    hints: Mapping[str, tuple[str, ...]]
    questions: int

    @property
    def title(self) -> str:
        """`04 run services`."""
        return f"{self.number} {self.name.replace('-', ' ')}"

    @property
    def exam(self) -> bool:
        """Whether its exercises are the scenarios, of which an exam draws some."""
        return f"{self.key}." == PREFIX

    def as_data(self) -> dict[str, Any]:
        """Plain data, for the page."""
        return {
            "name": self.name,
            "title": self.title,
            "key": self.key,
            "exam": self.exam,
            "questions": self.questions,
            "exercises": [
                {"name": name, "task": task, "hints": list(self.hints.get(name, ()))}
                for name, task in self.tasks.items()
            ],
        }


def parts() -> tuple[Part, ...]:
    """The chapters of the course."""
    return tuple(
        Part(
            name,
            f"{number:02}",
            chapter.key,
            exercises.tasks(chapter.key),
            {
                task: tuple(hint for hint in exercises.EXERCISES[task].hints if isinstance(hint, str))
                for task in exercises.tasks(chapter.key)
                if task in exercises.EXERCISES
            },
            len(quiz.load(chapter.key)),
        )
        for number, (name, chapter) in enumerate(chapters.CHAPTERS.items())
    )
