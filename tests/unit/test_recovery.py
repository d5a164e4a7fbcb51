"""Causes, outages and recoveries in recordings of real swarms."""

from dataclasses import replace

import pytest

from labkit.observe.recording import Event, Recording, parse_event
from labkit.observe.recovery import causes, outages, recoveries
from tests.recordings import recording
from tests.unit.test_task_history import shot, task


def test_a_killed_node_is_healed_and_the_time_is_measured_from_when_it_stopped() -> None:
    recorded = recording("node-killed")
    (outage,) = recoveries(recorded)
    off = next(event.moment for event in recorded.events if event.kind == "node_container")
    back = [task.changed for task in recorded.frames[-1].snapshot.tasks if task.state == "running"]
    assert (outage.service, outage.lowest, outage.desired) == ("web", 3, 5)
    assert outage.cause == "node worker2 stopped"
    assert outage.start == off
    assert outage.seconds == pytest.approx(
        max(back) - off, abs=0.3
    )  # as the managers date the last task's start


def test_a_killed_task_is_healed() -> None:
    (outage,) = recoveries(recording("task-killed"))
    assert (outage.lowest, outage.desired) == (2, 3)
    assert outage.cause.endswith("failed: non-zero exit (137)")
    assert outage.seconds
    assert outage.seconds > 5  # the restart delay


@pytest.mark.parametrize("name", ["drain", "update-stop-first", "update-start-first", "scaled"])
def test_what_people_asked_for_is_no_recovery(name: str) -> None:
    assert recoveries(recording(name)) == []


def test_a_drain_is_an_outage_with_its_cause() -> None:
    (outage,) = outages(recording("drain"))
    assert (outage.lowest, outage.desired, outage.loss) == (4, 6, False)
    assert outage.cause == "node worker1: availability active → drain"


def test_each_step_of_an_update_is_an_outage() -> None:
    assert [outage.lowest for outage in outages(recording("update-stop-first"))] == [3, 3, 4]
    assert outages(recording("update-start-first")) == []


def test_growing_is_no_outage() -> None:
    assert outages(recording("scaled")) == []


def test_an_outage_at_the_end_of_a_recording_is_open() -> None:
    (outage,) = outages(recording("update-broken"))
    assert (outage.end, outage.seconds) == (None, None)


def test_causes_are_told_once_and_failures_among_them() -> None:
    told = [(cause.text, cause.loss) for cause in causes(recording("update-broken"))]
    assert told == [
        ("service web: image web:1 → web:broken", False),
        ("web.2 failed: non-zero exit (1): dockerexec: unhealthy container", True),
        ("service web: the update is paused", False),
    ]


def test_what_several_managers_report_is_one_cause() -> None:
    event = Event(1.0, "node", "update", "worker1", changes={"availability": ("active", "drain")})
    frames = replace(shot(2), events=(event, replace(event, moment=1.2), replace(event, moment=9.0)))
    assert [cause.moment for cause in causes(Recording([frames]))] == [1.0, 9.0]


def test_a_task_that_ends_by_itself_is_a_loss() -> None:
    ended = task("complete", changed=11.5)
    (outage,) = recoveries(Recording([shot(10, task("running")), shot(12, ended), shot(13, ended)]))
    assert (outage.cause, outage.end) == ("web.1 ended by itself", None)


def test_a_task_that_was_told_to_stop_has_not_failed() -> None:
    stops, killed = task("running", desired="shutdown"), task("failed", desired="shutdown", changed=12.5)
    recording = Recording([shot(10, task("running")), shot(12, stops), shot(13, killed), shot(14, killed)])
    assert causes(recording) == []
    assert recoveries(recording) == []


def test_an_updates_images_are_told_without_their_digests() -> None:
    attributes = {"name": "web", "image.old": "web:1@sha256:a8", "image.new": "web:2@sha256:93"}
    entry = {
        "Type": "service",
        "Action": "update",
        "timeNano": 10**9,
        "scope": "swarm",
        "Actor": {"Attributes": attributes},
    }
    event = parse_event("manager1", entry)
    assert event
    assert (
        causes(Recording([replace(shot(2), events=(event,))]))[0].text == "service web: image web:1 → web:2"
    )
