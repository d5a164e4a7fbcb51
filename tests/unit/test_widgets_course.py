"""The widgets of the course that need no engine: quiz and progress."""

from pathlib import Path

import ipywidgets
import pytest

from labkit.course import chapters, progress, quiz
from labkit.widgets import Progress, Quiz


@pytest.fixture(autouse=True)
def _nothing_done_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))


def parts(asked: ipywidgets.VBox) -> tuple[ipywidgets.RadioButtons, ipywidgets.Button, ipywidgets.HTML]:
    _, choice, button, answer = asked.children
    return choice, button, answer


@pytest.mark.parametrize("key", [chapter.key for chapter in chapters.CHAPTERS.values()])
def test_each_question_of_each_quiz_knows_its_answer(key: str) -> None:
    for asked, question in zip(Quiz(key).children[1:], quiz.load(key), strict=True):
        choice, button, answer = parts(asked)
        for index in range(len(question.choices)):
            choice.index = index
            button.click()
            assert ("✓ Right." in answer.value) == (index == question.answer)
    assert len(progress.records("quiz")) == sum(len(question.choices) for question in quiz.load(key))


def test_who_has_not_chosen_is_told_and_nothing_is_recorded() -> None:
    choice, button, answer = parts(Quiz("create").children[1])
    assert choice.value is None
    button.click()
    assert "Choose one first." in answer.value
    assert progress.records() == []


def test_who_only_reads_sees_the_questions_and_not_the_answers() -> None:
    text = repr(Quiz("create"))
    for question in quiz.load("create"):
        assert question.ask in text and all(choice in text for choice in question.choices)
        assert question.why not in text


def test_progress_is_up_to_date() -> None:
    shown = Progress()
    assert "✓" not in shown.value
    progress.record("exercise", "create.1")
    assert "✓" in shown.value
    assert "✓" in repr(shown)
    shown.close()
    progress.record("exercise", "create.2")
    assert shown.value.count("✓") == 1
