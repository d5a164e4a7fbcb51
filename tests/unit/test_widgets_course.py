"""The widgets of the course that need no engine: quiz and progress."""

from pathlib import Path
from types import SimpleNamespace

import ipywidgets
import pytest

from labkit.cluster.cluster import Cluster
from labkit.course import chapters, progress, quiz
from labkit.course.exam import rounds
from labkit.widgets import Exercise, Progress, Quiz
from labkit.widgets.notebook import notebook_lab
from tests.stage import Stage


@pytest.fixture(autouse=True)
def _nothing_done_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))


def parts(asked: ipywidgets.VBox) -> tuple[ipywidgets.RadioButtons, ipywidgets.Button, ipywidgets.HTML]:
    _, choice, button, answer = asked.children
    return choice, button, answer


@pytest.mark.parametrize("key", [chapter.key for chapter in chapters.CHAPTERS.values()])
def test_each_question_of_each_quiz_knows_its_answer(key: str) -> None:
    for asked, question in zip(Quiz(key, Cluster("mine")).children[1:], quiz.load(key), strict=True):
        choice, button, answer = parts(asked)
        for index in range(len(question.choices)):
            choice.index = index
            button.click()
            assert ("✓ Right." in answer.value) == (index == question.answer)
    assert len(progress.of(Cluster("mine")).records("quiz")) == sum(
        len(question.choices) for question in quiz.load(key)
    )


def test_the_choices_show_code_without_its_marks() -> None:
    choice, _, _ = parts(Quiz("failures").children[3])
    assert "Run docker swarm init --force-new-cluster on worker2" in [label for label, _ in choice.options]


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


def test_an_exercise_shows_its_points_and_gives_hints_of_its_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Stage("mine", monkeypatch)
    shown = Exercise(lab, "exam.drained")
    assert shown.title.startswith("Exercise exam.drained: ") and "Not solved yet" in shown.points.value
    shown.hint.click()
    assert "lab.practice(&quot;drained&quot;) begins it" in shown.hints.value
    rounds.practice(lab, "drained", yes=True)
    shown.hint.click()
    assert "Hint 1 of 3" in shown.hints.value
    assert [entry.lab for entry in progress.records("hint")] == ["mine", "mine"]
    shown.close()


def test_progress_is_up_to_date() -> None:
    lab = Cluster("mine")
    shown = Progress(lab)
    assert "✓" not in shown.value
    progress.of(lab).record("exercise", "create.1")
    assert "✓" in shown.value
    assert "✓" in repr(shown)
    shown.close()
    progress.of(lab).record("exercise", "create.2")
    assert shown.value.count("✓") == 1


def test_in_a_notebook_they_find_its_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the notebooks that learners made with version 0.1 name no lab."""
    lab = Cluster("mine")
    shell = SimpleNamespace(user_ns={"lab": lab})
    monkeypatch.setattr("labkit.widgets.notebook.get_ipython", lambda: shell)
    shown = Progress()
    choice, button, _ = parts(Quiz("create").children[1])
    choice.index = quiz.load("create")[0].answer
    button.click()
    assert [entry.lab for entry in progress.records()] == ["mine"]
    assert "Quiz: 1 of 5 right" in shown.value
    shell.user_ns["lab"] = "something else"
    assert notebook_lab().name == Cluster().name
