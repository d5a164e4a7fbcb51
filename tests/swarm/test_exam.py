"""Every scenario on a real swarm: broken it is refused, so are wrong answers, and its solution solves it."""

from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import pytest

from labkit import Lab, widgets
from labkit.course import exam_state, grading, progress, retrying
from labkit.course.exam import rounds
from labkit.course.exam.registry import SCENARIOS, find
from labkit.course.exam.scenario import fill, filled
from labkit.course.exam_state import PREFIX
from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm.model import Json
from labkit.util.deadline import Deadline
from labkit.util.errors import LabError, NotSolved, WouldRemove
from tests.helpers import eventually, labkit
from tests.notebooks import wrong

pytestmark = pytest.mark.engine

SEED = 6
# For what a scenario's solution, or a wrong answer, brings about. A task may wait a minute for the end of the
# one before it (`defaultOldTaskTimeout` in moby/swarmkit: manager/orchestrator/restart/restart.go).
SECONDS = 120
ANSWERS = wrong.load("exam")


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    yield


def test_there_are_scenarios_and_wrong_answers_to_each() -> None:
    assert len(SCENARIOS) >= 15
    assert {name.removeprefix(PREFIX) for name in ANSWERS} == SCENARIOS.keys()
    assert sum(map(len, ANSWERS.values())) >= 20


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_takes_its_solution_and_nothing_less(_shared_lab: Lab, name: str) -> None:
    lab = _shared_lab
    scenario, full = SCENARIOS[name], PREFIX + name
    exercise, facts = begun(lab, name)
    assert not grading.grade(lab, full, exercise, settle=0)
    told = last_hint(lab, exercise)
    for answer in wrong.filled(ANSWERS[full], facts):
        node = answer.get("on", "manager1")
        retrying.run(lab.node(node), answer["run"])
        refused(lab, full, exercise, answer["says"])
        if "undo" in answer:
            retrying.run(lab.node(node), answer["undo"])
    for answer in (answer for answer in ANSWERS[full] if "spoils" in answer):
        node = fill(answer.get("on", "manager1"), facts)
        retrying.run(lab.node(node), fill(answer["run"], facts))
        refused(lab, full, exercise, fill(answer["says"], facts))
        exercise, facts = begun(lab, name)
    for node, script in filled(scenario.solution, facts):
        retrying.run(lab.node(node), script)
    found = grading.grade(lab, full, exercise, settle=SECONDS)
    assert found, found
    assert last_hint(lab, exercise) != told
    assert lab.check(full)
    running = exam_state.now(lab).running
    assert running is not None and running.solved


def begun(lab: Lab, name: str) -> tuple[Exercise, Json]:
    """Begin a scenario; the exercise that it is now, and its facts."""
    lab.practice(name, seed=SEED, yes=True)
    running = exam_state.now(lab).running
    assert running is not None
    return find(name)[1].exercise(running.facts), running.facts


def last_hint(lab: Lab, exercise: Exercise) -> str:
    """It looks at the swarm, and has something to say whatever was done."""
    hint = exercise.hints[-1]
    assert callable(hint)
    return hint(Inspector(lab))


def refused(lab: Lab, name: str, exercise: Exercise, says: str) -> None:
    """A wrong answer is not taken at any moment, and told so in the right words before long."""
    for _ in Deadline(SECONDS).attempts(every=0.3):
        found = grading.grade(lab, name, exercise, settle=0)
        assert not found.solved, f"a wrong answer is accepted: {found}"
        assert last_hint(lab, exercise)
        missing = "\n".join(str(point) for point in found.points if not point)
        if says in missing:
            return
    raise AssertionError(f"{says!r} is not in: {missing}")


def test_practice_asks_before_it_takes_away_what_a_learner_made(
    swarm: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = swarm.node("manager1")
    manager.run("docker service create --detach --name mine nginx", quiet=True)
    with pytest.raises(WouldRemove) as refusal:
        swarm.practice("drained", seed=SEED)
    assert "service mine" in refusal.value.evidence
    story = refusal.value.begin()
    assert isinstance(story, str) and f"exam.drained (seed {SEED})" in story
    assert "mine" not in [service.name for service in swarm.snapshot().services]

    swarm.practice("pending-memory", seed=SEED)  # nothing was done: nothing to ask
    told = capsys.readouterr().out
    running = exam_state.now(swarm).running
    assert running is not None
    facts = running.facts
    assert facts["service"] in told and "<" not in told
    manager.run(f"docker service update --detach --label-add a=b {facts['service']}", quiet=True)
    manager.run("docker network create --driver overlay mine", quiet=True)
    with pytest.raises(WouldRemove) as refusal:
        swarm.practice("drained", seed=SEED)
    assert refusal.value.evidence == ("network mine",)

    _solve(swarm)
    assert swarm.check()
    manager.run("docker service create --detach --name later nginx", quiet=True)
    with pytest.raises(WouldRemove) as refusal:
        swarm.practice("drained", seed=SEED)
    assert refusal.value.evidence == ("service later",)  # all else was there when it was solved


def test_an_exam_grades_once_gives_no_hints_and_tells_the_score(
    swarm: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {name: SCENARIOS[name] for name in ("pending-label", "pending-memory", "drained")}
    monkeypatch.setattr("labkit.course.exam.registry.SCENARIOS", quick)
    swarm.exam(minutes=30, count=3, seed=SEED)
    sitting = exam_state.exam(swarm)
    assert sitting is not None and sorted(sitting.names) == sorted(PREFIX + name for name in quick)
    assert "3 scenarios, 30 minutes" in capsys.readouterr().out
    with pytest.raises(LabError, match="no hints"):
        swarm.hint(sitting.names[0])
    with pytest.raises(LabError, match="an exam is running"):
        swarm.practice("drained")
    with pytest.raises(LabError, match="isn't the exam's current scenario"):
        swarm.check(sitting.names[1])
    with pytest.raises(NotSolved, match="its one check is used up"):
        swarm.check()
    with pytest.raises(LabError, match="graded already"):
        swarm.check()
    swarm.next_scenario()
    _solve(swarm)
    assert swarm.check()
    swarm.next_scenario()
    swarm.next_scenario()  # the last one without a grade
    assert "1 of 3 scenarios solved" in capsys.readouterr().out
    assert exam_state.exam(swarm) is None
    with pytest.raises(LabError, match="no exam is running"):
        swarm.next_scenario()
    assert [entry.ok for entry in progress.records("exam")] == [False, False, True, False]


def test_an_exam_by_buttons(swarm: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {name: SCENARIOS[name] for name in ("pending-label", "pending-memory")}
    monkeypatch.setattr("labkit.course.exam.registry.SCENARIOS", quick)
    swarm.node("manager1").run("docker volume create mine", quiet=True)
    widget = widgets.Exam(swarm, minutes=30, count=2)
    assert widget.grade.disabled and widget.next.disabled

    def click(button: ipywidgets.Button) -> None:
        assert not button.disabled
        button.click()
        eventually(lambda: not widget.runner.busy and not widget.begin.disabled, "the end of the click", 60)

    click(widget.begin)
    assert widget.anyway.layout.display is None and exam_state.exam(swarm) is None  # it asks first
    click(widget.anyway)
    assert widget.anyway.layout.display == "none" and exam_state.exam(swarm)
    running = exam_state.now(swarm).running
    assert running is not None
    eventually(lambda: "Scenario 1 of 2: " in widget.story.value, "the story")
    assert running.name not in widget.story.value
    follower = widgets.Exercise(swarm, running.name)
    assert "lab.check() grades" in follower.points.value  # and says no point of it
    follower.close()
    _solve(swarm)
    click(widget.grade)
    click(widget.next)
    click(widget.next)
    assert exam_state.exam(swarm) is None and "1 of 2 scenarios solved" in rounds.status(swarm)
    assert widget.grade.disabled and not widget.begin.disabled
    widget.close()


def test_practice_and_exam_on_the_command_line(swarm: Lab) -> None:
    here = ("--lab", swarm.name)
    listed = labkit("practice", *here)
    assert listed.returncode == 0 and all(name in listed.stdout for name in SCENARIOS)
    begun = labkit("practice", "pending-label", "--seed", str(SEED), *here)
    assert begun.returncode == 0 and "exam.pending-label (seed 6)" in begun.stdout
    failed = labkit("check", "exam.pending-label", *here)
    assert failed.returncode == 1 and "✗" in failed.stderr
    assert "Hint 1 of" in labkit("hint", "exam.pending-label", *here).stdout
    none = labkit("exam", "--count", "0", *here)
    assert none.returncode == 1 and "count from 1 to" in none.stderr
    started = labkit("exam", "--count", "1", "--minutes", "5", "--seed", str(SEED), *here)
    assert started.returncode == 0 and "1 scenario, 5 minutes" in started.stdout, started.stderr
    assert "0 of 0 graded scenarios solved" in labkit("exam", "status", *here).stdout
    assert "0 of 1 scenarios solved" in labkit("exam", "next", *here).stdout
    assert labkit("exam", "next", *here).returncode == 1


def _solve(lab: Lab) -> None:
    running = exam_state.now(lab).running
    assert running is not None
    for node, script in filled(find(running.name)[1].solution, running.facts):
        retrying.run(lab.node(node), script)
