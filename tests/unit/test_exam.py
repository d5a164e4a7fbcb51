"""The exam's pure parts: what a seed decides, what a learner reads, what the records amount to."""

import json
import re
from pathlib import Path

import pytest

from labkit import widgets
from labkit.cluster.cluster import Cluster
from labkit.course import chapters, exam_state, exercises, grading, progress, report
from labkit.course.exam import registry, rounds
from labkit.course.exam.data import without
from labkit.course.exam.registry import SCENARIOS
from labkit.course.exam.scenario import fill, filled
from labkit.course.exam_state import PREFIX, Exam, Running, State, fold
from labkit.course.progress import Kind, Record
from labkit.swarm.parse import seconds
from labkit.util.errors import LabError, NotSolved
from labkit.widgets import board
from tests.stage import Stage

NAMES = ("exam.a", "exam.b")
SEEDS = range(1, 30)
each_scenario = pytest.mark.parametrize("name", SCENARIOS)


@each_scenario
def test_a_seed_decides_all_and_another_decides_otherwise(name: str) -> None:
    scenario = SCENARIOS[name]
    cases = [scenario.facts(name, seed) for seed in SEEDS]
    assert cases == [scenario.facts(name, seed) for seed in SEEDS]
    assert len({str(case) for case in cases}) >= 2


@each_scenario
def test_every_place_in_its_texts_is_filled(name: str) -> None:
    scenario = SCENARIOS[name]
    facts = scenario.facts(name, 1)
    texts = [scenario.title, scenario.story, scenario.solution_text(facts)]
    texts += [hint for hint in scenario.hints if isinstance(hint, str)]
    for text in texts:
        assert not re.search(r"<[a-z]+>", fill(text, facts)), text


@each_scenario
def test_it_tells_the_symptom_and_leads_on(name: str) -> None:
    scenario = SCENARIOS[name]
    assert len(scenario.title.split()) >= 4 and not scenario.title.endswith(".")
    assert len(scenario.why.split()) >= 6 and not scenario.why.endswith(".")
    assert len(scenario.hints) >= 3 and callable(scenario.hints[-1])
    assert scenario.story.endswith((".", ".)"))
    facts = scenario.facts(name, 1)
    for _, script in filled(scenario.solution, facts):
        for command in script.splitlines():
            assert command not in fill(scenario.story, facts)


def test_a_remembered_command_does_not_solve_another_case() -> None:
    for name, scenario in SCENARIOS.items():
        solutions = {scenario.solution_text(scenario.facts(name, seed)) for seed in SEEDS}
        assert len(solutions) >= 2, name


def test_names_are_found_with_and_without_their_chapter() -> None:
    assert registry.find("drained") == registry.find("exam.drained") == ("exam.drained", SCENARIOS["drained"])
    with pytest.raises(LabError, match="no scenario 'draind'") as error:
        registry.find("draind")
    assert "did you mean drained" in error.value.next_step


def test_what_names_no_fact_stays() -> None:
    assert (
        fill("docker swarm unlock <file # <node>", {"node": "worker1"})
        == "docker swarm unlock <file # worker1"
    )


def record(kind: Kind, name: str, ok: bool = False, moment: float = 0, **detail: object) -> Record:
    return Record(moment, "lab", kind, name, ok, detail)


def begun(name: str, exam: bool = False, moment: float = 0) -> Record:
    return record("scenario", name, moment=moment, seed=7, facts={"node": "worker1"}, there=["x"], exam=exam)


START = record("exam", "start", moment=100, minutes=2, seed=3, scenarios=list(NAMES))


def test_the_scenario_that_was_begun_last_runs_until_a_chapter_begins() -> None:
    assert fold([]) == State()
    running = Running("exam.a", 7, {"node": "worker1"}, ("x",))
    assert fold([begun("exam.b"), begun("exam.a")]).running == running
    assert fold([begun("exam.a"), record("chapter", "prove-it")]).running is None


def test_it_is_solved_by_a_check_of_its_own_and_not_before_it_began() -> None:
    solved = record("exercise", "exam.a", ok=True)
    assert fold([solved, begun("exam.a")]).running == Running("exam.a", 7, {"node": "worker1"}, ("x",))
    assert (found := fold([begun("exam.a"), solved]).running) and found.solved
    other = record("exercise", "exam.b", ok=True)
    assert (found := fold([begun("exam.a"), other]).running) and not found.solved


def test_what_was_in_the_lab_when_it_was_solved_may_be_removed() -> None:
    solved = record("exercise", "exam.a", ok=True, there=["x", "y"])
    assert (found := fold([begun("exam.a"), solved]).running) and found.there == ("x", "y")


def test_an_exam_counts_what_was_solved_and_ends_with_its_last_mark() -> None:
    marks = [record("exam", "exam.a", ok=True, moment=130), record("exam", "exam.b", moment=160)]
    (exam,) = fold([START, begun("exam.a", exam=True), marks[0]]).exams
    assert (exam.score, exam.next, exam.over(140)) == (1, "exam.b", False)
    (exam,) = fold([START, begun("exam.a", exam=True), marks[0], begun("exam.b", exam=True), marks[1]]).exams
    assert (exam.score, exam.next, exam.over(161)) == (1, None, True)
    assert exam.describe() == "1 of 2 scenarios solved, the last one graded after 1 minute"


def test_an_exam_is_over_with_its_time() -> None:
    exam = Exam(100, 2, 3, NAMES)
    assert (exam.left(100), exam.left(219), exam.left(500)) == (120, 1, 0)
    assert not exam.over(219) and exam.over(220)


@pytest.mark.parametrize("leaves", [record("chapter", "prove-it", moment=110), begun("exam.a", moment=110)])
def test_another_beginning_gives_an_exam_up(leaves: Record) -> None:
    (exam,) = fold([START, begun("exam.a", exam=True), leaves]).exams
    assert exam.given_up and exam.over(111)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    return Cluster("mine")


def test_what_runs_is_read_from_the_progress_file(lab: Cluster) -> None:
    closed = registry.exercise(lab, "exam.drained")
    journal = progress.of(lab)
    journal.record("scenario", "exam.drained", False, seed=1, facts={"keep": "worker2"}, there=[], exam=False)
    again = Cluster("mine")  # as after a restart of the kernel
    assert (found := exam_state.now(again).running) and found.facts == {"keep": "worker2"}
    assert registry.exercise(again, "exam.drained").hints[-1] != closed.hints[0]
    assert registry.exercise(again, "exam.drained").solution and not closed.solution
    journal.record("exam", "start", False, minutes=5, seed=1, scenarios=["exam.drained"])
    journal.record("scenario", "exam.drained", False, seed=1, facts={}, there=[], exam=True)
    assert exam_state.exam(again) is not None
    assert not registry.exercise(again, "exam.drained").solution
    assert exam_state.now(Cluster("another")) == State()


def test_scenarios_are_the_exercises_of_the_last_chapter() -> None:
    assert list(exercises.tasks("exam")) == [PREFIX + name for name in SCENARIOS]


SEED = 6


def test_an_exam_shows_no_name_of_a_scenario_before_it_is_graded(
    lab: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(lab.name, monkeypatch)
    text = rounds.exam(stage, minutes=30, count=3, seed=SEED, yes=True)
    widget = widgets.Exam(stage)
    hidden = set((exam_state.exam(stage) or Exam(0, 0, 0, ())).names)
    assert len(hidden) == 3
    reveals_nothing(stage, hidden, text, widget.story.value)
    assert "Scenario 1 of 3: " in text and "Scenario 1 of 3: " in widget.story.value

    with pytest.raises(NotSolved, match="its one check is used up"):
        rounds.check(stage)
    hidden -= graded(stage)
    assert len(hidden) == 2
    widget.next.click()  # in a thread
    widget.runner.join()
    assert "Scenario 2 of 3: " in widget.story.value
    reveals_nothing(stage, hidden, widget.story.value, widget.runner._output.value)

    stage.solved = True
    assert rounds.check(stage).solved
    hidden -= graded(stage)
    text = rounds.go_on(stage)
    assert "Scenario 3 of 3: " in text and "minutes left" in text
    reveals_nothing(stage, hidden, text)
    assert "1 of 3 scenarios solved" in rounds.go_on(stage)  # over: now the names tell what to practice
    shown = report.render(report.summary())
    assert all(name.removeprefix(PREFIX) in shown for name in graded(stage))
    assert all(PREFIX + name in report.page(report.summary()) for name in SCENARIOS)
    widget.close()


def graded(lab: Cluster) -> set[str]:
    return set(exam_state.now(lab).exams[-1].marks)


def reveals_nothing(lab: Cluster, hidden: set[str], *texts: str) -> None:
    """Nothing that can be asked for while the exam runs has one of the hidden names in it."""
    found = report.summary()
    shown = [*texts, rounds.story(lab), rounds.status(lab), board._exercises(lab)]
    shown += [report.render(found), json.dumps(found), report.page(found), repr(widgets.Progress(lab))]
    for name in ("", "exam.no-such", *hidden):
        current = exam_state.exam(lab)
        running = exam_state.now(lab).running
        assert current and running
        if name == running.name or (not name and running.name not in current.marks):
            continue  # that would grade it
        with pytest.raises(LabError) as refusal:
            rounds.check(lab, name)
        shown.append(refusal.value.report())
    for refused in (lambda: rounds.listing(lab), lambda: chapters.begin(lab, "create-a-swarm")):
        with pytest.raises(LabError, match="an exam is running") as refusal:
            refused()
        shown.append(refusal.value.report())
    for name in hidden:
        short = re.compile(rf"(?<![\w-]){re.escape(name.removeprefix(PREFIX))}(?![\w-])")
        for text in shown:
            assert not short.search(text), text


def test_practice_shows_the_name(lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(lab.name, monkeypatch)
    assert "exam.drained (seed 6): " in rounds.practice(stage, "drained", seed=SEED, yes=True)
    assert "exam.drained (seed 6): " in rounds.story(stage)
    assert rounds.status(stage) == "exam.drained is being practiced"
    assert "exam.drained" in report.page(report.summary())
    assert "drained" in rounds.listing(stage)


def test_practice_all_the_same_gives_an_exam_up(lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(lab.name, monkeypatch)
    rounds.exam(stage, count=2, seed=SEED, yes=True)
    with pytest.raises(LabError, match="an exam is running"):
        rounds.practice(stage, "drained", seed=SEED)
    rounds.practice(stage, "drained", seed=SEED, yes=True)
    now = exam_state.now(stage)
    assert exam_state.exam(stage) is None and now.exams[-1].given_up
    assert now.running and not now.running.examined
    assert "Hint 1 of" in grading.next_hint(stage, "exam.drained", exercises.find(stage, "exam.drained"))


def test_an_exam_whose_scenario_failed_to_begin_goes_on(
    lab: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(lab.name, monkeypatch)
    progress.of(stage).record("exam", "start", False, minutes=5, seed=SEED, scenarios=list(NAMES))
    with pytest.raises(LabError, match="has not begun") as refusal:
        rounds.check(stage)
    assert "next_scenario" in refusal.value.next_step


def task(state: str, created: int, changed: int, ran: bool = True) -> dict[str, object]:
    moments = [f"2026-01-01T00:00:{second:02}Z" for second in (created, changed)]
    status = {"State": state, "Timestamp": moments[1], **({"ContainerStatus": {"PID": 1}} if ran else {})}
    return {"CreatedAt": moments[0], "Status": status}


def test_a_moment_without_a_task_is_seen_afterwards() -> None:
    since = seconds("2026-01-01T00:00:05Z")
    one_by_one = [
        task("shutdown", 1, 20),
        task("running", 18, 22),
        task("shutdown", 1, 24),
        task("running", 23, 26),
    ]
    assert without(one_by_one, since) == 0
    at_once = [
        task("shutdown", 1, 20),
        task("shutdown", 1, 21),
        task("running", 19, 24),
        task("running", 19, 25),
    ]
    assert without(at_once, since) == 3
    assert without([task("running", 6, 9)], since) == 4  # those before are forgotten
    never_ran = [task("shutdown", 1, 20), task("rejected", 20, 30, ran=False), task("running", 30, 32)]
    assert without(never_ran, since) == 12
