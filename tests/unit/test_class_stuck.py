"""Where a learner stands, and the rule that says who is stuck."""

import json
from typing import Any, cast

import pytest

from labkit.course.exam import registry
from labkit.course.progress import Kind, Record
from labkit.workshop.classroom import rows, standing, stuck, syllabus
from labkit.workshop.classroom.standing import Standing, fold
from labkit.workshop.classroom.store import Person
from labkit.workshop.classroom.stuck import Situation, judge

EXERCISES = {part.name: tuple(part.tasks) for part in syllabus.parts()}
FIRST, SECOND, THIRD, *_ = EXERCISES["run-services"]
SCENARIO, OTHER, *_ = (f"exam.{name}" for name in registry.SCENARIOS)


def entry(minute: float, kind: str, name: str, ok: bool = True, **detail: Any) -> Record:
    return Record(minute * 60, "lab", cast(Kind, kind), name, ok, detail)


def stands(*records: Record) -> Standing:
    return fold(records, EXERCISES)


def begun(*records: Record) -> Standing:
    return stands(entry(10, "chapter", "run-services"), *records)


def test_nothing_yet() -> None:
    assert stands() == Standing()


def test_a_chapter_begins_at_its_first_exercise() -> None:
    found = begun()
    assert (found.chapter, found.exercise, found.since) == ("run-services", FIRST, 600)


def test_the_next_exercise_begins_when_one_is_solved() -> None:
    found = begun(entry(12, "exercise", FIRST, False), entry(15, "exercise", FIRST))
    assert (found.exercise, found.since, found.refused) == (SECOND, 900, 0)
    assert found.marks[FIRST] == standing.Mark(solved=900, checks=2, first=720, last=900)


def test_whoever_jumps_is_where_they_jumped_to() -> None:
    found = begun(
        entry(12, "hint", THIRD, step=1), entry(13, "exercise", THIRD, False, points=["✗ no", "✓ yes"])
    )
    assert (found.exercise, found.since, found.hints, found.refused) == (THIRD, 720, 1, 1)
    assert found.verdict and found.verdict.points == ("no",)
    back = begun(entry(12, "exercise", THIRD))
    assert back.exercise == EXERCISES["run-services"][3]


def test_a_chapter_ends_when_all_is_solved() -> None:
    found = begun(*(entry(20, "exercise", name) for name in EXERCISES["run-services"]))
    assert (found.exercise, found.chapter) == ("", "run-services")


def test_an_exercise_of_another_chapter_leads_there() -> None:
    assert begun(entry(12, "exercise", "create.1", False)).chapter == "create-a-swarm"


def test_a_quiz_counts_by_its_last_answers() -> None:
    found = begun(
        entry(1, "quiz", "services.1", False),
        entry(2, "quiz", "services.1"),
        entry(3, "quiz", "services.2", False),
    )
    assert standing.counts(found.answers, "services") == (1, 2)
    assert standing.counts(found.answers, "create") == (0, 0)


def test_an_exam() -> None:
    start = entry(20, "exam", "start", False, minutes=60, seed=1, scenarios=[SCENARIO, OTHER])
    first = entry(21, "scenario", SCENARIO, False, seed=1, facts={}, exam=True, there=[])
    found = begun(start, first)
    exam = found.exam(25 * 60)
    assert exam and exam.place(found.exercise) == "scenario 1 of 2"
    after = begun(start, first, entry(30, "exam", SCENARIO), entry(30, "exercise", SCENARIO))
    assert [exam.score for exam in after.exams] == [1]
    assert not after.exercise
    assert after.exam(90 * 60) is None


@pytest.mark.parametrize(
    "hostile",
    [
        entry(20, "exam", "start", False),
        entry(20, "exam", "start", False, minutes="many", seed=[], scenarios=[[]]),
        entry(20, "exam", "start", False, minutes=5, seed=1, scenarios="abc"),
        entry(20, "scenario", SCENARIO, False, there=5),
        entry(20, "exercise", FIRST, False, points={"a": 1}),
        entry(20, "exercise", FIRST, False, points=[None, 5, ["✗"]]),
        entry(20, "exercise", "no.such-thing", False),
        entry(20, "chapter", "no-such-chapter"),
    ],
)
def test_what_a_learner_makes_up_spoils_nothing(hostile: Record) -> None:
    found = {"anna": begun(hostile), "bo": begun()}
    assert json.dumps(rows.row(Person("anna", False, 1, 1), found, True, 25 * 60))
    assert rows.row(Person("bo", False, 1, 1), found, True, 25 * 60)["chapter"] == "run-services"


def test_thousands_of_records_are_read_quickly_enough() -> None:
    names = [name for part in EXERCISES.values() for name in part]
    many = [entry(number / 100, "exercise", names[number % len(names)], False) for number in range(10_000)]
    assert sum(mark.checks for mark in stands(*many).marks.values()) == 10_000


def situation(**changes: Any) -> Situation:
    usual = {"connected": True, "started": True, "exercise": FIRST, "minutes": 5.0, "idle": 1.0}
    return Situation(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "working"),
        ({"minutes": 14.9}, "working"),
        ({"minutes": 15}, "unsure"),
        ({"minutes": 30}, "stuck"),
        ({"refused": 2}, "working"),
        ({"refused": 3}, "unsure"),
        ({"hints": 2}, "unsure"),
        ({"solution": True}, "unsure"),
        ({"refused": 3, "hints": 2}, "stuck"),
        ({"minutes": 16, "solution": True}, "stuck"),
        ({"past": 2, "others": 2}, "working"),
        ({"past": 3, "others": 7}, "working"),
        ({"past": 4, "others": 8}, "unsure"),
        ({"past": 4, "others": 8, "minutes": 20}, "stuck"),
        ({"idle": 45, "minutes": 50, "refused": 9}, "quiet"),
        ({"exercise": "", "minutes": 40}, "done"),
        ({"started": False}, "new"),
        ({"connected": False, "refused": 9, "hints": 9}, "away"),
        ({"connected": False, "arrived": False}, "absent"),
    ],
)
def test_the_rule(changes: dict[str, Any], state: str) -> None:
    found = judge(situation(**changes))
    assert found.state == state
    if state in ("unsure", "stuck"):
        assert found.signs


def test_the_page_explains_the_same_numbers() -> None:
    said = " ".join(stuck.RULE)
    for number in (stuck.LONG_MINUTES, stuck.LONGER_MINUTES, stuck.REFUSED_CHECKS, stuck.HINTS, stuck.OTHERS):
        assert str(number) in said
    assert str(stuck.QUIET_MINUTES) in stuck.ORDER
    assert len(stuck.RULE) == 6


def test_whoever_is_stuck_comes_first_and_the_longest_of_them() -> None:
    found = {
        "working": begun(),
        "shortly": begun(*[entry(11, "exercise", FIRST, False)] * 3, *[entry(12, "hint", FIRST)] * 2),
        "away": begun(),
        "long": stands(
            entry(2, "chapter", "run-services"),
            *[entry(3, "exercise", FIRST, False)] * 3,
            *[entry(12, "hint", FIRST)] * 2,
        ),
    }
    made = [rows.row(Person(name, False, 1, 1), found, name != "away", 13 * 60) for name in found]
    assert [row["name"] for row in sorted(made, key=rows.order)] == ["long", "shortly", "working", "away"]


def test_while_an_exam_runs_no_row_gives_a_scenario_away() -> None:
    start = entry(20, "exam", "start", False, minutes=60, seed=1, scenarios=[SCENARIO, OTHER])
    running = entry(21, "scenario", SCENARIO, False, seed=1, facts={}, exam=True, there=[])
    found = {"anna": begun(entry(11, "exercise", OTHER, False, points=["✗ no"]), start, running)}
    row = rows.row(Person("anna", False, 1, 1), found, True, 22 * 60)
    assert row["place"] == "scenario 1 of 2"
    assert SCENARIO not in str(row) and OTHER not in str(row)


def test_the_syllabus_is_the_course() -> None:
    parts = syllabus.parts()
    assert [part.title for part in parts][:2] == ["00 why orchestrate", "01 create a swarm"]
    assert [part.exam for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part.questions == 5 for part in parts)
    assert sum(len(part.hints) for part in parts) >= 40
    assert all(hints for part in parts for hints in part.hints.values())
