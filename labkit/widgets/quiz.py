"""A chapter's quiz: choose, see at once whether it is right, and why."""

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import quiz
from labkit.course.quiz import Question
from labkit.widgets import page
from labkit.widgets.described import Described
from labkit.widgets.notebook import notebook_lab
from labkit.widgets.panel import on_click


class Quiz(Described, ipywidgets.VBox):
    """The questions of a chapter such as `create`. Answers are recorded for `lab`, by default `Lab()`."""

    def __init__(self, chapter: str, lab: Cluster | None = None) -> None:
        self.chapter, self.lab = chapter, lab or notebook_lab()
        self.questions = quiz.load(chapter)
        asked = [self._asked(number, question) for number, question in enumerate(self.questions, start=1)]
        super().__init__([ipywidgets.HTML(page.STYLE), *asked])  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        """The questions as text, for those who read the notebook without running it."""
        lines = []
        for number, question in enumerate(self.questions, start=1):
            lines += [f"{number}. {question.ask}", *(f"     {line}" for line in question.output.splitlines())]
            lines += [f"   ( ) {choice}" for choice in question.choices]
        return "\n".join(lines)

    def _asked(self, number: int, question: Question) -> ipywidgets.VBox:
        choice = ipywidgets.RadioButtons(
            # Labels are plain text, in which the marks of code would stay as they are.
            options=[(text.replace("`", ""), index) for index, text in enumerate(question.choices)],
            value=None,
            layout={"width": "auto"},
        )
        answer = ipywidgets.HTML()

        def grade() -> None:
            if choice.value is None:
                answer.value = page.note("Choose one first.")
                return
            right = quiz.answer(self.lab, self.chapter, number, choice.value)
            answer.value = page.prose(f"{'✓ Right.' if right else '✗ Not quite.'} {question.why}")

        button = on_click(ipywidgets.Button(description="Answer", icon="check"), grade)
        title = ipywidgets.HTML(page.title(f"{number}. {question.ask}") + page.example(question.output))
        return ipywidgets.VBox([title, choice, button, answer], layout={"padding": "4px 0 12px"})
