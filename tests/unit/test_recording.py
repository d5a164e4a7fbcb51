"""Events of real engines, typed and in words; recordings in the order of time."""

from dataclasses import replace

import pytest

from labkit.observe.recording import Event, FirstReports, Frame, Recording, parse_container_event, parse_event
from labkit.swarm.model import Snapshot
from tests.recorded import answers

RECORDED = answers("events/engines")


def told(node: str) -> list[Event]:
    return [event for entry in RECORDED[node] if (event := parse_event(node, entry))]


def described(node: str) -> list[str]:
    return [event.describe() for event in told(node)]


@pytest.mark.parametrize(
    "said",
    [
        "service web: created",
        "service web: image web:1 → web:2",
        "service web: the update is in progress",
        "service web: replicas 2 → 3",
        "service web: removed",
        "node worker2: availability active → drain",
        "node worker1: state ready → down",
        "network back: created",
        "web.2 on manager1: started",
        "web.2 on manager1: health status: healthy",
        "web.2 on manager1: ended with exit code 0",
        "agent on manager1: started",
        "container alone on manager1: ended with exit code 1",
    ],
)
def test_events_in_words(said: str) -> None:
    assert said in described("manager1")


def test_an_event_has_its_kind_subject_place_and_moment() -> None:
    started = next(event for event in told("worker2") if event.action == "start")
    assert (started.kind, started.subject, started.node) == ("task", "agent", "worker2")
    drained = next(event for event in told("manager1") if "availability" in event.changes)
    assert (drained.kind, drained.action, drained.subject, drained.node) == ("node", "update", "worker2", "")
    assert drained.changes == {"availability": ("active", "drain")}
    moments = [event.moment for event in told("manager1")]
    assert moments == sorted(moments)
    assert 1.79e9 < moments[0] < 1.80e9


def test_what_says_nothing_is_left_out() -> None:
    assert not [said for said in described("manager1") if said.endswith((": ", "changed", "connect"))]
    assert "network ingress: created" not in described("worker2")  # each node makes its own end of it
    assert parse_event("manager1", {"Type": "image", "Action": "pull", "timeNano": 1}) is None


def test_a_nodes_container_stops_and_starts() -> None:
    events = [event for entry in RECORDED["machines"] if (event := parse_container_event(entry))]
    assert [event.describe() for event in events] == [
        "node worker1 was paused",
        "node worker1 was unpaused",
        "node worker1 stopped",
        "node worker1 started",
    ]
    assert {(event.kind, event.subject, event.node) for event in events} == {
        ("node_container", "worker1", "worker1")
    }


def test_containers_that_are_no_node_are_left_out() -> None:
    entry = next(entry for entry in RECORDED["machines"] if entry["Action"] == "start")
    attributes = {name: value for name, value in entry["Actor"]["Attributes"].items() if "node" not in name}
    assert parse_container_event({**entry, "Actor": {"Attributes": attributes}}) is None


def test_a_recording_knows_its_length_and_its_events_in_order() -> None:
    late, early = (Event(moment, "task", "start", "web.1", "worker1") for moment in (3.0, 2.0))
    nothing = Snapshot(engines={})
    recording = Recording([Frame(1.0, nothing), Frame(2.5, nothing, (late,)), Frame(4.0, nothing, (early,))])
    assert (recording.start, recording.end, len(recording)) == (1.0, 4.0, 3)
    assert recording.events == [early, late]
    assert repr(recording) == "<Recording of 3.0 s: 3 frames, 2 events>"
    assert (Recording().start, Recording().end) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("event", "loss"),
    [
        (Event(1.0, "node_container", "die", "worker1", "worker1"), True),
        (Event(1.0, "node_container", "pause", "worker1", "worker1"), True),
        (Event(1.0, "node_container", "start", "worker1", "worker1"), False),
        (Event(1.0, "node", "update", "worker1", changes={"state": ("ready", "down")}), True),
        (Event(1.0, "node", "update", "worker1", changes={"state": ("down", "ready")}), False),
        (Event(1.0, "node", "update", "worker1", changes={"availability": ("active", "drain")}), False),
        (Event(1.0, "task", "die", "web.1", "worker1", exit_code=137), False),
    ],
)
def test_a_node_that_leaves_without_being_asked_to_is_a_loss(event: Event, loss: bool) -> None:
    assert event.is_loss == loss


def test_a_report_is_repeated_only_for_a_short_time_and_only_where_nothing_differs() -> None:
    reports = FirstReports()
    drain = Event(10.0, "node", "update", "worker1", changes={"availability": ("active", "drain")})
    back = replace(drain, moment=11.0, changes={"availability": ("drain", "active")})
    later = [replace(drain, moment=moment) for moment in (10.5, 9.9, 20.0)]
    assert [reports.is_first(event) for event in (drain, back, *later)] == [True, True, False, False, True]


def test_what_happens_on_a_node_is_reported_by_that_node_alone() -> None:
    reports = FirstReports()
    start = Event(10.0, "task", "start", "agent", "worker1")
    assert all(reports.is_first(event) for event in (start, start, replace(start, node="worker2")))


@pytest.mark.parametrize(("said", "code"), [("137", 137), ("", None), ("-1", None), ("9" * 5000, None)])
def test_an_exit_code_is_a_number_or_unknown(said: str, code: int | None) -> None:
    entry = {
        "Type": "container",
        "Action": "die",
        "timeNano": 10**9,
        "Actor": {"Attributes": {"exitCode": said}},
    }
    event = parse_event("worker1", entry)
    assert event
    assert event.exit_code == code
