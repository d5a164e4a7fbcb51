"""The timeline, drawn from recordings of real swarms."""

from dataclasses import replace
from pathlib import Path

import pytest

from labkit.observe.recording import Event, Frame, Recording
from labkit.plots import DARK, describe, describe_timeline, timeline
from labkit.swarm.model import Engine, Snapshot
from tests.pictures import faults, looks_as_before, texts
from tests.recorded import enlarged
from tests.recordings import RECORDINGS, recording
from tests.unit.test_task_history import shot, task

ALL = sorted(path.stem for path in RECORDINGS.glob("*.json"))


def two_services() -> Recording:
    """The drain, with half of the slots given to a service of another name."""
    frames = []
    for frame in recording("drain"):
        (web,) = frame.snapshot.services
        tasks = tuple(
            replace(task, service="web" if task.slot % 2 else "shop") for task in frame.snapshot.tasks
        )
        services = (replace(web, id="shop", name="shop", replicas=3, created=1.0), replace(web, replicas=3))
        frames.append(replace(frame, snapshot=replace(frame.snapshot, services=services, tasks=tasks)))
    return Recording(frames)


def crash_loop(slots: int = 1) -> Recording:
    """Tasks that fail again and again."""
    failed = [
        task(
            "failed",
            id=f"t{slot}-{n}",
            slot=slot,
            created=10 + n + slot / 100,
            changed=10.5 + n + slot / 100,
            message="task: non-zero exit (1)",
        )
        for n in range(10)
        for slot in range(1, slots + 1)
    ]
    loop = [shot(10.9 + n, *failed[: slots * (n + 1)], replicas=slots) for n in range(10)]
    return Recording([shot(10, replicas=slots), *loop, shot(40, replicas=slots)])


def flapping() -> Recording:
    """Dips so close to each other that there is no room for the words of each."""
    up, down = task("running"), task("failed", message="task: non-zero exit (1)")
    return Recording([shot(10 + n / 2, down if n % 2 else replace(up, id=f"t{n}")) for n in range(40)])


@pytest.mark.parametrize("name", ALL)
def test_it_looks_as_before(name: str, tmp_path: Path) -> None:
    looks_as_before(timeline(recording(name)), f"timeline-{name}", tmp_path)


def test_it_looks_as_before_in_the_dark(tmp_path: Path) -> None:
    looks_as_before(timeline(recording("node-killed"), theme=DARK), "timeline-node-killed-dark", tmp_path)


@pytest.mark.parametrize("name", ALL)
def test_nothing_lies_on_anything(name: str) -> None:
    assert faults(timeline(recording(name))) == []


@pytest.mark.parametrize(
    "recording",
    [two_services(), crash_loop(), crash_loop(20), flapping()],
    ids=["two services", "crash loop", "crash loops", "flapping"],
)
def test_neither_does_it_in_crowded_recordings(recording: Recording) -> None:
    assert faults(timeline(recording)) == []


def test_healing_is_measured_and_written() -> None:
    picture = timeline(recording("node-killed"))
    assert "3 of 5, healed after 21.9 s" in texts(picture)
    assert "web healed after 21.9 s" in texts(picture)
    assert describe(picture).startswith(
        "web healed after 21.9 s; 3 of 5 tasks served in between (node worker2 stopped)."
    )
    assert "web.1: worker2 → manager1." in describe(picture)


def test_the_causes_have_numbers_and_a_key() -> None:
    written = texts(timeline(recording("drain")))
    assert written.count("1") >= 2  # at its line, and in the key
    assert "node worker1: availability active → drain" in written
    assert "4 of 6 for 9.7 s" in written


def test_an_update_shows_the_image_of_each_bar() -> None:
    written = texts(timeline(recording("update-start-first")))
    assert sum(words.startswith("web:1 · ") for words in written) == 5
    assert sum(words.startswith("web:2 · ") for words in written) == 5


def test_an_update_that_starts_first_says_that_no_task_was_missing() -> None:
    assert "never fewer served than desired" in describe_timeline(recording("update-start-first"))
    assert "web: 5 to 7 tasks served" in describe_timeline(recording("update-start-first"))


def test_each_service_has_its_rows_and_its_count() -> None:
    written = texts(timeline(two_services()))
    assert {"shop", "web", "shop.2", "web.1", "3 of 3 serve"} <= set(written)


def test_failures_of_a_kind_are_one_cause() -> None:
    assert "web.1 failed: non-zero exit (1) (10 times)" in texts(timeline(crash_loop()))
    assert describe_timeline(crash_loop()).startswith("web runs 0 of 1 task at the end, 10 failures.")


def test_more_causes_than_there_is_room_for_are_counted() -> None:
    assert "and 8 more events" in texts(timeline(crash_loop(20)))
    assert "And 8 more events." in describe_timeline(crash_loop(20))


def test_of_many_slots_those_are_shown_in_which_something_happened() -> None:
    many = enlarged(10, 300)
    moving = next(task for task in many.tasks if task.name == "web.70")
    failed = replace(moving, state="failed", changed=1.5)
    others = tuple(task for task in many.tasks if task is not moving)
    recording = Recording(
        [Frame(1, many), *(Frame(n, replace(many, tasks=(*others, failed))) for n in (2, 3))]
    )
    picture = timeline(recording)
    assert "web.70" in texts(picture)
    assert "shown: 1 of 300 slots, first those in which something happened" in texts(picture)
    assert faults(picture) == []


def test_of_many_slots_in_which_nothing_happened_the_first_are_shown() -> None:
    many = enlarged(10, 300, [f"s{number}" for number in range(10)])
    picture = timeline(Recording([Frame(1, many), Frame(3, many)]))
    assert "shown: 30 of 300 slots, first those in which something happened" in texts(picture)
    assert "and 4 more services: their counts are not drawn" in texts(picture)
    assert faults(picture) == []


def test_a_task_in_global_mode_is_named_by_its_node() -> None:
    runs = task("running", slot=0)
    assert "web on worker1" in texts(timeline(Recording([shot(1, runs, replicas=None), shot(5, runs)])))
    longer = replace(runs, node="manager-eu1")
    picture = timeline(Recording([shot(1, longer, replicas=None), shot(5, longer, replicas=None)]))
    assert "web on manager-eu1" in texts(picture)
    assert faults(picture) == []


def test_a_recording_of_one_frame_is_drawn() -> None:
    assert faults(timeline(Recording([shot(1, task("running"))]))) == []


def test_an_event_before_the_first_frame_stays_in_the_picture() -> None:
    event = Event(0.0, "node", "update", "worker1", changes={"availability": ("active", "drain")})
    recording = Recording([replace(shot(2, task("running")), events=(event,)), shot(5, task("running"))])
    assert faults(timeline(recording)) == []
    assert "At 0.0 s: node worker1" in describe_timeline(recording)


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (Recording(), "The recording is empty: nothing happened yet."),
        (Recording([Frame(1, Snapshot({}))]), "There is no swarm: no tasks to show."),
        (Recording([shot(1)]), "No task ran during the recording."),
        (
            Recording([Frame(1, Snapshot({"manager1": Engine("manager1", "running")}, quorum=False))]),
            "The managers have no quorum: nobody can tell which tasks ran.",
        ),
    ],
)
def test_without_tasks_it_says_why(recording: Recording, words: str) -> None:
    picture = timeline(recording)
    assert texts(picture) == [words.rstrip(".")]
    assert faults(picture) == []
    assert describe(picture) == words


def test_a_time_without_a_quorum_is_told() -> None:
    runs = task("running")
    lost = Frame(3, Snapshot({}, quorum=False))
    recording = Recording([shot(1, runs), lost, shot(6, runs)])
    assert "From 2.0 s to 5.0 s nobody could tell what ran." in describe_timeline(recording)
    assert "nobody could tell" in texts(timeline(recording))
