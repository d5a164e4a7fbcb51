"""Nothing of a learner's is removed, and no exam given up, before they agree."""

from pathlib import Path

import pytest

from labkit.cli import consent as questions
from labkit.course import chapters, consent, progress
from labkit.course.exam import rounds
from labkit.util.errors import LabError, WouldRemove
from tests.stage import THERE, Stage


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    return Stage("mine", monkeypatch)


def test_a_refusal_lists_what_is_there_and_begins_after_consent(lab: Stage) -> None:
    for begin, python, command in (
        (
            lambda: chapters.begin(lab, "keep-data"),
            'lab.begin("keep-data", yes=True)',
            "begin keep-data --yes",
        ),
        (
            lambda: rounds.practice(lab, "drained", 6),
            'lab.practice("drained", seed=6, yes=True)',
            "--seed 6 --yes",
        ),
        (lambda: rounds.exam(lab, count=1), "lab.exam(…, yes=True)", "labkit exam --yes --lab mine"),
    ):
        progress.of(lab).record("chapter", "prove-it")
        with pytest.raises(WouldRemove, match="lab 'mine' holds what you have made") as refusal:
            begin()
        assert refusal.value.evidence == THERE
        assert python in refusal.value.next_step and command in refusal.value.next_step
        before = progress.records()
        assert refusal.value.begin()
        assert len(progress.records()) > len(before)


def test_what_was_there_when_a_scenario_began_is_not_theirs(
    lab: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds.practice(lab, "drained", yes=True)
    rounds.practice(lab, "pending-label")
    monkeypatch.setattr(consent, "user_resources", lambda _: [*THERE, *(f"volume {n}" for n in range(20))])
    with pytest.raises(WouldRemove) as refusal:
        chapters.begin(lab, "keep-data")
    assert not set(THERE) & set(refusal.value.evidence)
    assert refusal.value.evidence[-1] == "and 8 more" and len(refusal.value.evidence) == 13


def test_an_exam_is_not_given_up_by_the_way(lab: Stage) -> None:
    rounds.exam(lab, count=2, yes=True)
    for begin in (
        lambda: chapters.begin(lab, "keep-data"),
        lambda: rounds.practice(lab, "drained"),
        lambda: rounds.exam(lab, count=1),
    ):
        with pytest.raises(LabError, match="an exam is running: 60 minutes left") as refusal:
            begin()
        assert "yes=True" in refusal.value.next_step and "--yes" in refusal.value.next_step
    assert "0 of 0 graded scenarios" in rounds.status(lab)


def test_the_command_line_asks_where_there_is_a_terminal(
    lab: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WouldRemove):
        questions.with_consent(lambda: rounds.practice(lab, "drained"))
    monkeypatch.setattr(questions, "_has_terminal", lambda: True)
    asked: list[str] = []

    def answer(text: str) -> bool:
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or text)
        return questions.with_consent(lambda: rounds.practice(lab, "drained", seed=6))

    assert not answer("") and not answer("n")
    assert "\n".join(f"  {line}" for line in THERE) in capsys.readouterr().out and progress.records() == []
    assert answer("y") and len(progress.records()) == 1
    assert asked[0] == "Remove all this and begin? [y/N] "
    assert "exam.drained (seed 6)" in capsys.readouterr().out
