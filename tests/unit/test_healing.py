"""Causes, dips and healings in films of real swarms."""

from dataclasses import replace

import pytest

from labkit.film import Event, Film, parse_event
from labkit.healing import causes, dips, healing
from tests.films import film
from tests.unit.test_history import shot, task


def test_a_killed_node_is_healed_and_the_time_is_measured_from_its_going_off() -> None:
    recording = film("node-killed")
    (dip,) = healing(recording)
    off = next(event.moment for event in recording.events if event.kind == "machine")
    back = [task.changed for task in recording.frames[-1].snapshot.tasks if task.state == "running"]
    assert (dip.service, dip.lowest, dip.desired) == ("web", 3, 5)
    assert dip.cause == "machine worker2 went off"
    assert dip.start == off
    assert dip.seconds == pytest.approx(
        max(back) - off, abs=0.3
    )  # as the managers date the last task's start


def test_a_killed_task_is_healed() -> None:
    (dip,) = healing(film("task-killed"))
    assert (dip.lowest, dip.desired) == (2, 3)
    assert dip.cause.endswith("failed: non-zero exit (137)")
    assert dip.seconds
    assert dip.seconds > 5  # the restart delay


@pytest.mark.parametrize("name", ["drain", "update-stop-first", "update-start-first", "scaled"])
def test_what_people_asked_for_is_no_healing(name: str) -> None:
    assert healing(film(name)) == []


def test_a_drain_is_a_dip_with_its_cause() -> None:
    (dip,) = dips(film("drain"))
    assert (dip.lowest, dip.desired, dip.loss) == (4, 6, False)
    assert dip.cause == "node worker1: availability active → drain"


def test_each_step_of_an_update_is_a_dip() -> None:
    assert [dip.lowest for dip in dips(film("update-stop-first"))] == [3, 3, 4]
    assert dips(film("update-start-first")) == []


def test_growing_is_no_dip() -> None:
    assert dips(film("scaled")) == []


def test_a_dip_at_the_end_of_a_film_is_open() -> None:
    (dip,) = dips(film("update-broken"))
    assert (dip.end, dip.seconds) == (None, None)


def test_causes_are_told_once_and_failures_among_them() -> None:
    told = [(cause.words, cause.loss) for cause in causes(film("update-broken"))]
    assert told == [
        ("service web: image web:1 → web:broken", False),
        ("web.2 failed: non-zero exit (1): dockerexec: unhealthy container", True),
        ("service web: update updating → paused", False),
    ]


def test_what_several_managers_report_is_one_cause() -> None:
    event = Event(1.0, "node", "update", "worker1", "", "node worker1: availability active → drain")
    frames = replace(shot(2), events=(event, replace(event, moment=1.2), replace(event, moment=9.0)))
    assert [cause.moment for cause in causes(Film([frames]))] == [1.0, 9.0]


def test_a_task_that_ends_by_itself_is_a_loss() -> None:
    ended = task("complete", changed=11.5)
    (dip,) = healing(Film([shot(10, task("running")), shot(12, ended), shot(13, ended)]))
    assert (dip.cause, dip.end) == ("web.1 ended by itself", None)


def test_a_task_that_was_told_to_stop_has_not_failed() -> None:
    stops, killed = task("running", desired="shutdown"), task("failed", desired="shutdown", changed=12.5)
    recording = Film([shot(10, task("running")), shot(12, stops), shot(13, killed), shot(14, killed)])
    assert causes(recording) == []
    assert healing(recording) == []


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
    assert causes(Film([replace(shot(2), events=(event,))]))[0].words == "service web: image web:1 → web:2"
