"""The histories of tasks and the running counts in recordings of real swarms."""

from dataclasses import replace
from itertools import pairwise

import pytest

from labkit.observe.recording import Frame, Recording
from labkit.observe.task_history import Count, TaskHistory, blind, counts, task_histories
from labkit.swarm.model import Engine, Node, Service, Snapshot, Task
from tests.recordings import RECORDINGS, recording

ALL = sorted(path.stem for path in RECORDINGS.glob("*.json"))


def task(state: str, *, id: str = "t1", slot: int = 1, desired: str = "running", **more: object) -> Task:
    return replace(Task(id, "web", slot, "worker1", state, desired, ""), **more)  # type: ignore[arg-type]


def shot(moment: float, *tasks: Task, replicas: int | None = 1, container: str = "running") -> Frame:
    """The swarm at a moment: one node, the service `web` and these tasks of it."""
    node = Node("n1", "worker1", "worker", "active", "ready", "", "", {})
    return Frame(
        moment,
        Snapshot(
            {"worker1": Engine("worker1", container)},
            (node,),
            (Service("s1", "web", "web:1", replicas),),
            tasks,
            quorum=True,
        ),
    )


def kinds(history: TaskHistory) -> list[str]:
    return [phase.kind for phase in history.phases]


@pytest.mark.parametrize("name", ALL)
def test_a_history_has_no_gaps_and_stays_within_its_recording(name: str) -> None:
    recorded = recording(name)
    for history in task_histories(recorded):
        assert recorded.start <= history.start <= history.end <= recorded.end
        for phase, after in pairwise(history.phases):
            assert phase.end == after.start
            assert phase.kind != after.kind


@pytest.mark.parametrize("name", ALL)
def test_a_count_says_what_the_frame_shows(name: str) -> None:
    """At the end of a recording all tasks whose node is on and whose state is `running` are counted."""
    recorded = recording(name)
    last = recorded.frames[-1].snapshot
    on = {engine.name for engine in last.engines.values() if engine.container == "running"}
    running = sum(task.state == "running" and task.node in on for task in last.tasks)
    assert counts(recorded)["web"][-1].running == running


def test_a_service_that_is_removed_keeps_its_name_and_one_that_was_gone_is_left_out() -> None:
    """A manager no longer knows the name of a service whose last tasks still stop."""
    stray = task("running", id="t0", service="s0", desired="remove")
    stopping = task("running", service="s1", desired="remove")
    gone = shot(2, stray, stopping)
    after = replace(gone, snapshot=replace(gone.snapshot, services=()))
    (history,) = task_histories(
        Recording([shot(1, stray, task("running")), after, replace(after, moment=3.0)])
    )
    assert (history.task.name, kinds(history)) == ("web.1", ["running", "stopping"])


def test_a_drained_nodes_tasks_stop_before_their_replacements_start() -> None:
    old, new = (history for history in task_histories(recording("drain")) if history.task.name == "web.3")
    assert (old.task.node, kinds(old), old.ending) == ("worker1", ["running", "stopping"], "ended")
    assert kinds(new)[-2:] == ["starting", "running"]
    assert new.task.node != "worker1"
    assert old.end <= next(phase.start for phase in new.phases if phase.kind == "starting")


def test_the_tasks_of_a_node_that_stopped_are_lost_until_the_swarm_gives_them_up() -> None:
    recorded = recording("node-killed")
    lost = [history for history in task_histories(recorded) if "lost" in kinds(history)]
    assert {history.task.node for history in lost} == {"worker2"}
    assert {history.ending for history in lost} == {"ended"}
    off = next(event.moment for event in recorded.events if event.kind == "node_container")
    assert {phase.start for history in lost for phase in history.phases if phase.kind == "lost"} == {off}


def test_start_first_runs_more_than_desired_and_stop_first_fewer() -> None:
    first, last = (
        counts(recording("update-start-first"))["web"],
        counts(recording("update-stop-first"))["web"],
    )
    assert (min(step.running for step in first), max(step.running for step in first)) == (5, 7)
    assert (min(step.running for step in last), max(step.running for step in last)) == (3, 5)
    assert {step.desired for step in first + last} == {5}


def test_the_desired_count_follows_the_scale() -> None:
    steps = counts(recording("scaled"))["web"]
    assert (steps[0].running, steps[0].desired) == (2, 2)
    assert (steps[-1].running, steps[-1].desired) == (30, 30)


def test_a_change_is_dated_by_the_managers_clock_between_two_frames() -> None:
    young = task("running", changed=11.5, created=11.0)
    (history,) = task_histories(Recording([shot(10), shot(12, young), shot(13, young)]))
    assert [(phase.kind, phase.start, phase.end) for phase in history.phases] == [
        ("waiting", 11.0, 11.5),
        ("running", 11.5, 13),
    ]


def test_what_a_node_reports_late_keeps_its_date() -> None:
    early, late = task("starting", changed=10.1), task("running", changed=11.9)
    (history,) = task_histories(Recording([shot(10), shot(12, early), shot(12.2, late), shot(13, late)]))
    assert [(phase.kind, phase.start) for phase in history.phases] == [("starting", 10.1), ("running", 11.9)]


def test_a_task_stops_when_it_was_told_to_and_not_when_it_began_to_run() -> None:
    runs = task("running", changed=10.9)
    stops = replace(runs, desired_state="shutdown")
    (history,) = task_histories(Recording([shot(10), shot(11, runs), shot(11.5, stops), shot(12, stops)]))
    assert [(phase.kind, phase.start) for phase in history.phases] == [("running", 10.9), ("stopping", 11.5)]


def test_a_clock_that_is_wrong_does_not_turn_the_order() -> None:
    states = [task("starting", changed=5000), task("running", changed=3)]
    (history,) = task_histories(
        Recording([shot(10), shot(11, states[0]), shot(12, states[1]), shot(13, states[1])])
    )
    assert [(phase.kind, phase.start) for phase in history.phases] == [("starting", 11), ("running", 12)]


def test_a_task_that_was_over_before_the_recording_has_no_history_in_it() -> None:
    assert task_histories(Recording([shot(10, task("failed", desired="shutdown")), shot(11)])) == []


def test_a_task_that_vanishes_has_ended() -> None:
    (history,) = task_histories(Recording([shot(10, task("running")), shot(12), shot(13)]))
    assert (history.end, history.ending) == (12, "ended")


def test_a_frozen_node_that_comes_back_gives_its_task_back() -> None:
    runs = task("running")
    (history,) = task_histories(
        Recording([shot(1, runs), shot(2, runs, container="paused"), shot(3, runs), shot(4, runs)])
    )
    assert kinds(history) == ["running", "lost", "running"]


def test_while_there_is_no_quorum_tasks_are_not_taken_for_gone() -> None:
    lost = Frame(11, Snapshot({"worker1": Engine("worker1", "running")}, quorum=False))
    recording = Recording([shot(10, task("running")), lost, shot(14, task("running"))])
    (history,) = task_histories(recording)
    assert (kinds(history), history.end) == (["running"], 14)
    assert blind(recording) == [(11, 14)]


def test_blind_times_that_follow_each_other_are_one() -> None:
    lost = Snapshot({}, quorum=False)
    assert blind(Recording([shot(1), Frame(2, lost), Frame(3, lost), shot(5)])) == [(2, 5)]


def test_in_global_mode_the_tasks_that_are_wanted_are_desired() -> None:
    two = [task("running", slot=0), task("preparing", id="t2", slot=0)]
    assert counts(Recording([shot(1, *two, replicas=None), shot(2)]))["web"][0] == Count(1, 1, 2)


def test_of_a_removed_service_none_is_desired() -> None:
    gone = Frame(2, replace(shot(2).snapshot, services=()))
    assert counts(Recording([shot(1, task("running")), gone, replace(gone, moment=3)]))["web"][-1] == Count(
        2, 0, 0
    )


def test_an_empty_recording_holds_nothing() -> None:
    assert (task_histories(Recording()), counts(Recording()), blind(Recording())) == ([], {}, [])


def test_a_task_that_is_shutting_down_does_not_serve() -> None:
    runs, stops = task("running"), task("running", desired="shutdown")
    steps = counts(Recording([shot(10, runs), shot(12, stops), shot(15, stops)]))["web"]
    assert steps == [Count(10, 1, 1), Count(12, 0, 1)]


def test_what_was_already_stopping_before_the_recording_is_left_out() -> None:
    left = task("running", id="t0", slot=2, desired="shutdown")
    (history,) = task_histories(Recording([shot(10, left, task("running")), shot(12, task("running"))]))
    assert history.task.id == "t1"
