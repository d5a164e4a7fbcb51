"""Events of real engines, in words; films in the order of time."""

import pytest

from labkit.film import Event, Film, Frame, parse_event, parse_machine_event
from labkit.model import Snapshot
from tests.recorded import answers

RECORDED = answers("events/engines")


def told(node: str) -> list[Event]:
    return [event for entry in RECORDED[node] if (event := parse_event(node, entry))]


def words(node: str) -> list[str]:
    return [event.words for event in told(node)]


@pytest.mark.parametrize(
    "said",
    [
        "service web: created",
        "service web: image web:1 → web:2",
        "service web: its rolling update begins",
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
    assert said in words("manager1")


def test_an_event_has_its_kind_subject_place_and_moment() -> None:
    started = next(event for event in told("worker2") if event.action == "start")
    assert (started.kind, started.subject, started.node) == ("task", "agent", "worker2")
    drained = next(event for event in told("manager1") if "drain" in event.words)
    assert (drained.kind, drained.action, drained.subject, drained.node) == ("node", "update", "worker2", "")
    moments = [event.moment for event in told("manager1")]
    assert moments == sorted(moments)
    assert 1.79e9 < moments[0] < 1.80e9


def test_what_says_nothing_is_left_out() -> None:
    assert not [said for said in words("manager1") if said.endswith((": ", "changed", "connect"))]
    assert "network ingress: created" not in words("worker2")  # each node makes its own end of it
    assert parse_event("manager1", {"Type": "image", "Action": "pull", "timeNano": 1}) is None


def test_a_machine_goes_off_and_on() -> None:
    events = [event for entry in RECORDED["machines"] if (event := parse_machine_event(entry))]
    assert [event.words for event in events] == [
        "machine worker1 is frozen",
        "machine worker1 goes on",
        "machine worker1 went off",
        "machine worker1 started",
    ]
    assert {(event.kind, event.subject, event.node) for event in events} == {
        ("machine", "worker1", "worker1")
    }


def test_containers_that_are_no_node_are_no_machine() -> None:
    entry = next(entry for entry in RECORDED["machines"] if entry["Action"] == "start")
    attributes = {name: value for name, value in entry["Actor"]["Attributes"].items() if "node" not in name}
    assert parse_machine_event({**entry, "Actor": {"Attributes": attributes}}) is None


def test_a_film_knows_its_length_and_its_events_in_order() -> None:
    late, early = (Event(moment, "task", "start", "web.1", "worker1", "") for moment in (3.0, 2.0))
    nothing = Snapshot(engines={})
    film = Film([Frame(1.0, nothing), Frame(2.5, nothing, (late,)), Frame(4.0, nothing, (early,))])
    assert (film.start, film.end, len(film)) == (1.0, 4.0, 3)
    assert film.events == [early, late]
    assert repr(film) == "<Film of 3.0 s: 3 frames, 2 events>"
    assert (Film().start, Film().end) == (0.0, 0.0)
