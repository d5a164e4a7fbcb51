"""What a learner has done is kept: across processes, for good, and without secrets."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labkit.course import exercises, grading, progress, quiz, report
from labkit.errors import LabError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "progress"))
    return tmp_path / "progress"


def test_nothing_was_done_yet_and_no_file_is_made_to_say_so(folder: Path) -> None:
    assert (progress.records(), progress.solved(), progress.chapter()) == ([], {}, None)
    assert not folder.exists()


def test_records_come_back_in_order_with_their_details() -> None:
    progress.record("chapter", "create-a-swarm")
    progress.record("exercise", "create.1", ok=False, points=["✗ there is no file"])
    progress.record("exercise", "create.1", points=["✓ it is there"])
    first, second, third = progress.records()
    assert (first.kind, first.name, first.lab) == ("chapter", "create-a-swarm", "swarm-lab")
    assert (second.ok, second.detail) == (False, {"points": ["✗ there is no file"]})
    assert progress.solved() == {"create.1": third}
    assert progress.records("chapter") == [first]


def test_the_first_time_counts() -> None:
    first = progress.record("exercise", "create.1")
    progress.record("exercise", "create.1")
    progress.record("exercise", "create.1", ok=False)
    assert progress.solved()["create.1"] == first


def test_each_lab_has_a_chapter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.record("chapter", "create-a-swarm")
    monkeypatch.setenv("LABKIT_LAB", "other")
    assert progress.chapter() is None
    progress.record("chapter", "join-and-manage-nodes")
    assert progress.chapter() == "join-and-manage-nodes"


def test_secrets_are_not_kept(folder: Path) -> None:
    progress.record("exercise", "create.1", ok=False, points=["it holds SWMTKN-1-2kyfmiuo5-4446svezo"])
    assert b"2kyfm" not in (folder / "progress.sqlite").read_bytes()


def test_another_process_sees_it_and_adds_to_it() -> None:
    progress.record("exercise", "create.1")
    add = "from labkit.course import progress; progress.record('exercise', 'create.2')"
    subprocess.run([sys.executable, "-c", add], check=True, timeout=60)
    assert list(progress.solved()) == ["create.1", "create.2"]


def test_many_write_at_once_and_nothing_is_lost() -> None:
    def add(writer: int) -> None:
        for number in range(10):
            progress.record("hint", f"{writer}.{number}")

    threads = [threading.Thread(target=add, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.name for entry in progress.records("hint")}) == 60


def test_a_killed_writer_leaves_a_file_that_can_be_read() -> None:
    progress.record("exercise", "create.1")
    begin = (
        "import os, sqlite3; from labkit.course import progress; c = sqlite3.connect(progress.file());"
        "c.execute('BEGIN IMMEDIATE'); c.execute(\"INSERT INTO records (moment, lab, kind, name, ok, detail)"
        " VALUES (1, 'l', 'exercise', 'create.2', 1, '{}')\"); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", begin], timeout=60).returncode == -9
    progress.record("exercise", "create.3")
    assert list(progress.solved()) == ["create.1", "create.3"]


def test_a_damaged_file_is_told_and_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "progress.sqlite").write_text("no database")
    with pytest.raises(LabError, match="cannot be kept") as caught:
        progress.record("exercise", "create.1")
    assert "LABKIT_DATA_DIR" in str(caught.value)
    assert (folder / "progress.sqlite").read_text() == "no database"


def test_a_folder_that_cannot_be_made_does_not_stop_a_learner(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_text("a file")
    grading.note("exercise", "create.1")
    assert "cannot be kept" in capsys.readouterr().err


def test_who_listens_hears_of_each_record() -> None:
    heard: list[str] = []
    forget = progress.subscribe(lambda entry: heard.append(entry.name))
    progress.record("exercise", "create.1")
    forget()
    progress.record("exercise", "create.2")
    assert heard == ["create.1"]


def test_hints_are_counted_since_the_chapter_was_begun() -> None:
    progress.record("hint", "create.1")
    progress.record("chapter", "create-a-swarm")
    assert progress.hints_given("create.1") == 0
    progress.record("hint", "create.1")
    progress.record("hint", "create.2")
    assert progress.hints_given("create.1") == 1


def test_the_report_says_what_was_solved_and_how() -> None:
    progress.record("chapter", "create-a-swarm")
    progress.record("exercise", "create.1", ok=False)
    progress.record("exercise", "create.1")
    progress.record("solution", "create.2")
    progress.record("exercise", "create.2")
    first = quiz.load("create")[0]
    quiz.answer("create", 1, first.answer)
    quiz.answer("create", 2, (quiz.load("create")[1].answer + 1) % 3)
    found = report.summary()
    chapter = next(entry for entry in found["chapters"] if entry["name"] == "create-a-swarm")
    solved = {entry["name"]: entry for entry in chapter["exercises"]}
    assert solved.keys() == exercises.of_chapter("create").keys()
    assert (solved["create.1"]["tries"], solved["create.1"]["solution"]) == (2, False)
    assert solved["create.2"]["solution"] is True
    assert solved["create.3"]["solved"] is None
    assert chapter["quiz"] == {"right": 1, "answered": 2, "questions": 5}
    assert json.loads(json.dumps(found)) == found
    line = next(line for line in report.words(found).splitlines() if line.startswith("create-a-swarm"))
    assert "2 of 4" in line and "1 of 5" in line and "✓ ◐ · ·" in line


def test_the_page_stands_alone() -> None:
    page = report.page(report.summary())
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "src=" not in page and "href=" not in page
    assert all(name in page for name in exercises.EXERCISES)


def test_an_answer_changes_with_the_last_one() -> None:
    right = quiz.load("create")[0].answer
    assert quiz.answer("create", 1, right + 1) is False
    assert quiz.answer("create", 1, right) is True
    found = next(entry for entry in report.summary()["chapters"] if entry["name"] == "create-a-swarm")
    assert found["quiz"]["right"] == 1


def test_an_unknown_name_gets_the_closest_one() -> None:
    with pytest.raises(LabError, match="there is no exercise 'create1'") as caught:
        exercises.find("create1")
    assert "did you mean create.1" in str(caught.value)
    with pytest.raises(LabError, match="there is no quiz 'creat'"):
        quiz.load("creat")
