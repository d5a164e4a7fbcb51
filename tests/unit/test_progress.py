"""What a learner has done is kept: across processes, for good, and without secrets."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import course
from labkit.cli import main
from labkit.cluster.cluster import Cluster
from labkit.course import chapters, exam_state, exercises, grading, progress, quiz, report
from labkit.course.exam import registry, rounds
from labkit.course.grading import Grade
from labkit.course.progress import Journal, Record
from labkit.util.errors import LabError
from labkit.widgets import board
from tests.stage import Stage

RECORDED = Path(__file__).parents[1] / "data" / "progress-0.1.sqlite"  # written by version 0.1


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "progress"))
    return tmp_path / "progress"


@pytest.fixture
def journal() -> Journal:
    return progress.of(Cluster("mine"))


def test_nothing_was_done_yet_and_no_file_is_made_to_say_so(folder: Path, journal: Journal) -> None:
    assert (progress.records(), progress.solved(), journal.chapter()) == ([], {}, None)
    assert not folder.exists()


def test_records_come_back_in_order_with_their_details(journal: Journal) -> None:
    journal.record("chapter", "create-a-swarm")
    journal.record("exercise", "create.1", ok=False, points=["✗ there is no file"])
    journal.record("exercise", "create.1", points=["✓ it is there"])
    first, second, third = progress.records()
    assert (first.kind, first.name, first.lab) == ("chapter", "create-a-swarm", "mine")
    assert (second.ok, second.detail) == (False, {"points": ["✗ there is no file"]})
    assert progress.solved() == {"create.1": third}
    assert progress.records("chapter") == [first]


def test_the_first_time_counts(journal: Journal) -> None:
    first = journal.record("exercise", "create.1")
    journal.record("exercise", "create.1")
    journal.record("exercise", "create.1", ok=False)
    assert progress.solved()["create.1"] == first


def test_each_lab_has_a_chapter_of_its_own(journal: Journal) -> None:
    journal.record("chapter", "create-a-swarm")
    other = progress.of(Cluster("other"))
    assert other.chapter() is None
    other.record("chapter", "join-and-manage-nodes")
    assert (journal.chapter(), other.chapter()) == ("create-a-swarm", "join-and-manage-nodes")


def test_all_that_a_learner_does_is_recorded_under_the_labs_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, other = Stage("mine", monkeypatch), Cluster()  # `other` is the default lab
    chapters.begin(lab, "create-a-swarm", yes=True)
    exercise = exercises.find(lab, "create.1")
    grading.next_hint(lab, "create.1", exercise)
    grading.keep(lab, Grade("create.1", (), exercise.why))
    quiz.answer(lab, "create", 1, 0)
    assert "create.1" in board._exercises(lab)
    assert progress.of(lab).hints_given("create.1") == 1
    rounds.practice(lab, "drained", yes=True)
    with pytest.raises(LabError):
        rounds.check(lab)
    rounds.exam(lab, count=1, yes=True)
    rounds.go_on(lab)

    found = progress.records()
    assert {entry.lab for entry in found} == {"mine"}
    assert {entry.kind for entry in found} == {"chapter", "hint", "exercise", "quiz", "scenario", "exam"}
    assert len(exam_state.now(lab).exams) == 1 and "0 of 1 scenarios" in rounds.status(lab)
    assert exam_state.now(other) == exam_state.State() and rounds.status(other) == "no scenario is running"
    assert board._exercises(other) == ""
    assert progress.of(other).hints_given("create.1") == 0


def test_secrets_are_not_kept(folder: Path, journal: Journal) -> None:
    journal.record("exercise", "create.1", ok=False, points=["it holds SWMTKN-1-2kyfmiuo5-4446svezo"])
    assert b"2kyfm" not in (folder / "progress.sqlite").read_bytes()


def test_another_process_sees_it_and_adds_to_it(journal: Journal) -> None:
    journal.record("exercise", "create.1")
    add = (
        "from labkit.cluster.cluster import Cluster; from labkit.course import progress;"
        "progress.of(Cluster('mine')).record('exercise', 'create.2')"
    )
    subprocess.run([sys.executable, "-c", add], check=True, timeout=60)
    assert list(progress.solved()) == ["create.1", "create.2"]


def test_many_write_at_once_and_nothing_is_lost(journal: Journal) -> None:
    def add(writer: int) -> None:
        for number in range(10):
            journal.record("hint", f"{writer}.{number}")

    threads = [threading.Thread(target=add, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.name for entry in progress.records("hint")}) == 60


def test_a_killed_writer_leaves_a_file_that_can_be_read(journal: Journal) -> None:
    journal.record("exercise", "create.1")
    begin = (
        "import os, sqlite3; from labkit.course import progress; c = sqlite3.connect(progress.file());"
        "c.execute('BEGIN IMMEDIATE'); c.execute(\"INSERT INTO records (moment, lab, kind, name, ok, detail)"
        " VALUES (1, 'l', 'exercise', 'create.2', 1, '{}')\"); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", begin], timeout=60).returncode == -9
    journal.record("exercise", "create.3")
    assert list(progress.solved()) == ["create.1", "create.3"]


def test_a_damaged_file_is_told_and_left_alone(folder: Path, journal: Journal) -> None:
    folder.mkdir()
    (folder / "progress.sqlite").write_text("no database")
    with pytest.raises(LabError, match="cannot be kept") as caught:
        journal.record("exercise", "create.1")
    assert "LABKIT_DATA_DIR" in str(caught.value)
    assert (folder / "progress.sqlite").read_text() == "no database"


def test_a_folder_that_cannot_be_made_does_not_stop_a_learner(
    folder: Path, capsys: pytest.CaptureFixture[str], journal: Journal
) -> None:
    folder.write_text("a file")
    journal.note("exercise", "create.1")
    assert "cannot be kept" in capsys.readouterr().err


def test_who_listens_hears_of_each_record(journal: Journal) -> None:
    heard: list[str] = []
    forget = journal.subscribe(lambda entry: heard.append(entry.name))
    journal.record("exercise", "create.1")
    forget()
    journal.record("exercise", "create.2")
    assert heard == ["create.1"]


def test_hints_are_counted_since_the_chapter_was_begun(journal: Journal) -> None:
    journal.record("hint", "create.1")
    journal.record("chapter", "create-a-swarm")
    assert journal.hints_given("create.1") == 0
    journal.record("hint", "create.1")
    journal.record("hint", "create.2")
    assert journal.hints_given("create.1") == 1


def test_the_report_says_what_was_solved_and_how(journal: Journal) -> None:
    journal.record("chapter", "create-a-swarm")
    journal.record("exercise", "create.1", ok=False)
    journal.record("exercise", "create.1")
    journal.record("solution", "create.2")
    journal.record("exercise", "create.2")
    first = quiz.load("create")[0]
    quiz.answer(Cluster("mine"), "create", 1, first.answer)
    quiz.answer(Cluster("mine"), "create", 2, (quiz.load("create")[1].answer + 1) % 3)
    found = report.summary()
    chapter = next(entry for entry in found["chapters"] if entry["name"] == "create-a-swarm")
    solved = {entry["name"]: entry for entry in chapter["exercises"]}
    assert solved.keys() == exercises.tasks("create").keys()
    assert (solved["create.1"]["tries"], solved["create.1"]["solution"]) == (2, False)
    assert solved["create.2"]["solution"] is True
    assert solved["create.6"]["solved"] is None
    assert chapter["quiz"] == {"right": 1, "answered": 2, "questions": 5}
    assert json.loads(json.dumps(found)) == found
    line = next(line for line in report.render(found).splitlines() if line.startswith("create-a-swarm"))
    assert "2 of 5" in line and "1 of 5" in line and "· ✓ ◐ · ·" in line


def test_the_page_stands_alone() -> None:
    page = report.page(report.summary())
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "src=" not in page and "href=" not in page
    assert all(name in page for name in exercises.EXERCISES)


def test_an_answer_changes_with_the_last_one() -> None:
    right = quiz.load("create")[0].answer
    assert quiz.answer(Cluster("mine"), "create", 1, right + 1) is False
    assert quiz.answer(Cluster("mine"), "create", 1, right) is True
    found = next(entry for entry in report.summary()["chapters"] if entry["name"] == "create-a-swarm")
    assert found["quiz"]["right"] == 1


def test_an_unknown_name_gets_the_closest_one() -> None:
    with pytest.raises(LabError, match="there is no exercise 'create1'") as caught:
        exercises.find(Cluster("mine"), "create1")
    assert "did you mean create.1" in str(caught.value)
    with pytest.raises(LabError, match="there is no quiz 'creat'"):
        quiz.load("creat")


# -- export and import ----------------------------------------------------------------------------------


def test_progress_moves_to_another_machine_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    journal.record("chapter", "create-a-swarm")
    journal.record("exercise", "create.1", points=["✓ it is there"])
    first = progress.records()
    assert progress.export(here) == 2
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "another machine"))
    journal.record("exercise", "create.2")
    assert progress.load(here) == 2
    assert progress.load(here) == 0  # the same record twice is one
    assert [entry.name for entry in progress.records()] == ["create-a-swarm", "create.1", "create.2"]
    assert progress.records()[:2] == first
    progress.export(there)
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "progress"))
    assert progress.load(there) == 1
    assert list(progress.solved()) == ["create.1", "create.2"]


def test_a_record_that_is_twice_in_a_file_is_one(tmp_path: Path) -> None:
    entry = asdict(Record(1.5, "mine", "hint", "create.1", True, {"step": 1}))
    file = tmp_path / "file.json"
    file.write_text(json.dumps({"format": 1, "records": [entry, entry]}))
    assert progress.load(file) == 1 and len(progress.records()) == 1


SCENARIO = {"seed": 1, "facts": {}, "there": [], "exam": False}
VALID = asdict(Record(1.5, "mine", "scenario", "exam.drained", False, SCENARIO))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not JSON", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'format'"),
        ('{"format": 1}', "KeyError: 'records'"),
        ('{"format": 2, "records": []}', "its format is 2; this version reads format 1"),
        ('{"format": 1, "records": 5}', "TypeError"),
        ('{"format": 1, "records": [5]}', "record 1: not an object with moment, lab"),
        (
            json.dumps({"format": 1, "records": [VALID, {**VALID, "moment": True}]}),
            "record 2: missing or invalid: moment",
        ),
        (json.dumps({"format": 1, "records": [{**VALID, "moment": float("nan")}]}), "ValueError"),
        (json.dumps({"format": 1, "records": [{**VALID, "moment": 10**30}]}), "invalid: moment"),
        (json.dumps({"format": 1, "records": [{**VALID, "name": "\ud800"}]}), "UnicodeEncodeError"),
        (json.dumps({"format": 1, "records": [{**VALID, "kind": "other", "ok": 1}]}), "invalid: kind, ok"),
        (json.dumps({"format": 1, "records": [{**VALID, "kind": []}]}), "invalid: kind"),
        (
            json.dumps({"format": 1, "records": [{**VALID, "detail": {"seed": "x"}}]}),
            "seed, facts, there, exam",
        ),
        (json.dumps({"format": 1, "records": [{**VALID, "extra": 1}]}), "not an object with moment, lab"),
    ],
)
def test_a_file_that_is_not_valid_changes_nothing(
    tmp_path: Path, journal: Journal, text: str, problem: str
) -> None:
    journal.record("exercise", "create.1")
    before = progress.records()
    file = tmp_path / "file.json"
    file.write_text(text)
    with pytest.raises(LabError, match="cannot be imported; your progress is as it was") as caught:
        progress.load(file)
    assert problem in str(caught.value) and "labkit progress --export FILE" in caught.value.next_step
    assert progress.records() == before


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be imported"):
        progress.load(tmp_path / "none.json")
    with pytest.raises(LabError, match="cannot be written"):
        progress.export(tmp_path / "none" / "file.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = {"moment": 1.5, "lab": "mine", "kind": "exam", "name": "start", "ok": True}
DETAIL = {"minutes": 5, "seed": 1, "scenarios": ["exam.drained"], "facts": {}, "there": [], "exam": True}


@st.composite
def exported(draw: st.DrawFn) -> dict[str, Any]:
    """A record as `export` writes it, in which anything may be wrong."""
    entry: dict[str, Any] = {key: draw(st.just(value) | JSON) for key, value in FIELDS.items()}
    entry["kind"] = draw(st.sampled_from(["exam", "scenario", "exercise", "hint"]) | JSON)
    entry["detail"] = draw(
        st.fixed_dictionaries({}, optional={k: st.just(v) | JSON for k, v in DETAIL.items()}) | JSON
    )
    return entry


@settings(max_examples=60)
@given(st.builds(lambda entries: {"format": 1, "records": entries}, st.lists(exported(), max_size=3)) | JSON)
def test_whatever_is_imported_can_be_read_or_is_refused(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_DATA_DIR", folder)
        file = Path(folder) / "file.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        try:
            added = progress.load(file)
        except LabError:
            assert progress.records() == []
            return
        assert len(progress.records()) == added
        assert report.page(report.summary()) and report.render(report.summary())
        assert progress.export(file) == added and progress.load(file) == 0


def test_the_command_line_exports_and_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.record("exercise", "create.1")
    file = str(tmp_path / "file.json")
    assert main.main(["progress", "--export", file]) == 0
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "another"))
    assert main.main(["progress", "--import", file]) == 0
    assert capsys.readouterr().out == f"Wrote 1 record to {file}.\nAdded 1 new record from {file}.\n"
    assert main.main(["progress", "--import", str(tmp_path)]) == 1
    assert "cannot be imported" in capsys.readouterr().err
    assert list(progress.solved()) == ["create.1"]


# -- files of earlier versions ----------------------------------------------------------------------------


def test_progress_of_version_0_1_is_read_and_goes_on(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(RECORDED, folder / "progress.sqlite")
    found = report.summary()
    created = next(entry for entry in found["chapters"] if entry["name"] == "create-a-swarm")
    solved = {entry["name"]: entry for entry in created["exercises"]}
    assert [name for name, entry in solved.items() if entry["solved"]] == ["create.1", "create.2"]
    assert (solved["create.1"]["tries"], solved["create.1"]["hints"]) == (3, 1)
    assert solved["create.2"]["solution"] and created["quiz"]["right"] == 1
    (exam,) = found["exams"]
    assert (exam["score"], exam["over"], exam["seed"], exam["minutes"]) == (1, True, 6, 30)
    assert exam["scenarios"] == [
        {"name": "exam.drained", "solved": True},
        {"name": "exam.port-taken", "solved": False},
    ]
    default, other = progress.of(Cluster("swarm-lab")), progress.of(Cluster("other"))
    assert (default.chapter(), other.chapter()) == ("exam", "keep-data")
    running = exam_state.now(Cluster("swarm-lab")).running
    assert running and (running.name, running.facts) == ("exam.port-taken", {"node": "worker2"})
    other.record("exercise", "data.2")
    assert "data.1" in progress.solved() and "data.2" in progress.solved()
    assert progress.export(folder / "file.json") == len(progress.records()) == 22
    assert progress.load(folder / "file.json") == 0


def test_a_former_name_still_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, journal: Journal
) -> None:
    journal.record("exercise", "make.1")
    journal.record("exam", "start", False, minutes=5, seed=1, scenarios=["exam.sleepy"])
    journal.record("exam", "exam.sleepy", True)
    progress.export(tmp_path / "file.json")
    aliases = {"make.1": "create.1", "exam.sleepy": "exam.drained"}
    for module in (course, progress, registry, exam_state):
        monkeypatch.setattr(module, "ALIASES", aliases)
    assert list(progress.solved()) == ["create.1"]
    assert exam_state.exams()[0].names == ("exam.drained",) and exam_state.exams()[0].score == 1
    assert registry.find("sleepy") == registry.find("exam.drained")
    assert progress.load(tmp_path / "file.json") == 0
    assert exercises.find(Cluster("mine"), "make.1") == exercises.EXERCISES["create.1"]
