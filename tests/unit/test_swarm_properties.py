"""Whatever an engine answers and whatever a swarm looks like: parsing, events, checks and words hold."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.observe.recording import Event, parse_container_event, parse_event
from labkit.plots import describe_managers, describe_placement, describe_topology
from labkit.swarm import checks
from labkit.swarm.checks import Check, Verdict
from labkit.swarm.explain import explain
from labkit.swarm.model import Engine, Network, Node, Port, Service, Snapshot, Task
from labkit.swarm.parse import parse_snapshot
from labkit.topology.topology import NODE_LABEL
from labkit.util.errors import LabError
from tests.recorded import RECORDINGS, answers

LISTS = ("nodes", "services", "tasks", "networks")
ANSWERS = [found for name in RECORDINGS if "error" not in (found := answers(name))]
EVENTS = [entry for entries in answers("events/engines").values() for entry in entries]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "Replicated", "2026-11-23T05:40:53Z", "9" * 20])
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, originals: list[Any]) -> Any:
    """A recorded answer in which up to three entries are missing, or something else stands in their place."""
    whole = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        place = whole
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            deeper = isinstance(place[key], dict | list) and place[key]
            if deeper and draw(st.integers(0, 4)):
                place = place[key]
                continue
            if draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(JSON)
            break
    return whole


@settings(max_examples=150)
@given(damaged([{name: found[name] for name in LISTS} for found in ANSWERS]))
def test_answers_that_are_damaged_are_parsed_or_refused_clearly(found: dict[str, Any]) -> None:
    try:
        snapshot = parse_snapshot([], *(found.get(name, []) for name in LISTS))
    except LabError as error:
        assert error.evidence
        assert error.next_step
    else:
        assert snapshot.quorum is True


@settings(max_examples=100)
@given(st.tuples(JSON, JSON, JSON, JSON))
def test_answers_that_are_no_such_thing_are_parsed_or_refused_clearly(lists: Any) -> None:
    try:
        parse_snapshot([], *lists)
    except LabError as error:
        assert error.evidence


def holds(event: Event | None) -> None:
    """Every event can be told, compared and kept."""
    if event is not None:
        assert event.describe()
        assert event.moment > 0
        assert event in {event}
        assert isinstance(event.is_loss, bool)


@settings(max_examples=200)
@given(damaged(EVENTS))
def test_an_event_that_is_damaged_never_raises(entry: dict[str, Any]) -> None:
    holds(parse_event("worker1", entry))
    holds(parse_container_event(entry))


NUMBERS = st.sampled_from(["0", "9" * 5000, "²"])
ATTRIBUTES = st.fixed_dictionaries(
    {"name": st.just("web") | JSON},
    optional={
        "exitCode": NUMBERS | JSON,
        "state.old": st.just("ready") | JSON,
        "state.new": st.just("down") | JSON,
        "com.docker.swarm.task.name": st.just("web.1.x9k") | JSON,
        NODE_LABEL: st.just("worker1") | JSON,
    },
)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Type": st.sampled_from(["container", "node", "service", "network"]) | JSON,
            "Action": st.sampled_from(["create", "die", "update", "health_status: healthy"]) | JSON,
            "scope": st.sampled_from(["swarm", "local"]) | JSON,
            "timeNano": st.integers(0, 2**64) | JSON,
            "Actor": st.fixed_dictionaries({"Attributes": ATTRIBUTES}) | JSON,
        },
    )
    | st.dictionaries(st.text(max_size=8), JSON)
)
def test_no_json_object_is_an_event_that_raises(entry: dict[str, Any]) -> None:
    holds(parse_event("worker1", entry))
    holds(parse_container_event(entry))


NAMES = st.sampled_from(["manager1", "worker1", "worker10", "web", "", "w.1"])
WORDS = st.sampled_from(["running", "ready", "active", "down", "paused", "failed", "leader", ""]) | st.text(
    max_size=5
)
AMOUNTS = st.integers(0, 2**40)
PORTS = st.builds(Port, st.integers(0, 65535), st.integers(0, 65535), st.just("tcp"), WORDS)
TABLES = st.dictionaries(NAMES, WORDS, max_size=2)
TEXTS = st.lists(
    st.text(max_size=12) | st.sampled_from(["node.role == worker", "node.labels.a!=b"]), max_size=2
)
SNAPSHOTS = st.builds(
    lambda engines, *lists: Snapshot({engine.name: engine for engine in engines}, *lists),
    st.lists(st.builds(Engine, NAMES, WORDS, WORDS, st.booleans()), max_size=3),
    st.lists(
        st.builds(Node, WORDS, NAMES, WORDS, WORDS, WORDS, WORDS, WORDS, TABLES, st.floats(0, 64), AMOUNTS),
        max_size=4,
    ).map(tuple),
    st.lists(
        st.builds(
            Service,
            WORDS,
            NAMES,
            WORDS,
            st.none() | st.integers(0, 5),
            networks=st.lists(NAMES, max_size=2).map(tuple),
            ports=st.lists(PORTS, max_size=2).map(tuple),
            vips=TABLES,
            update=st.sampled_from(["", "updating", "paused", "completed", "rollback_paused", "new"]),
            update_message=WORDS,
            constraints=TEXTS.map(tuple),
            cpus=st.floats(0, 64),
            memory=AMOUNTS,
        ),
        max_size=3,
        unique_by=lambda service: service.name,
    ).map(tuple),
    st.lists(
        st.builds(
            Task,
            st.uuids().map(str),
            NAMES,
            st.integers(0, 3),
            NAMES,
            WORDS | st.sampled_from(["pending", "orphaned", "complete"]),
            WORDS | st.sampled_from(["shutdown", "complete"]),
            st.text(max_size=20)
            | st.sampled_from(
                [
                    "no suitable node (scheduling constraints not satisfied on 1 node)",
                    "task: non-zero exit (1)",
                ]
            ),
            networks=st.lists(NAMES, max_size=2).map(tuple),
        ),
        max_size=6,
    ).map(tuple),
    st.lists(st.builds(Network, WORDS, NAMES, WORDS, ingress=st.booleans()), max_size=2).map(tuple),
    st.sampled_from([None, True, False]),
)
CHECKS: dict[str, Check] = {
    "availability": checks.availability("worker1", "drain"),
    "label": checks.label("worker1", "a", "b"),
    "label_nowhere_else": checks.label_nowhere_else("worker1", "a", "b"),
    "listed_once": checks.listed_once(),
    "manager_status": checks.manager_status("manager1", "leader"),
    "managers": checks.managers(1),
    "node_absent": checks.node_absent("worker1"),
    "node_down": checks.node_down("worker1"),
    "node_ready": checks.node_ready("worker1"),
    "nodes_ready": checks.nodes_ready(3),
    "on_networks": checks.on_networks("web", "back"),
    "pinned": checks.pinned("web", "worker1"),
    "publishes": checks.publishes("web", 80, 80, "ingress"),
    "quorum_lost": checks.quorum_lost(),
    "role": checks.role("worker1", "worker"),
    "running": checks.running("web", 3, on="worker1", image="web:1"),
    "service_absent": checks.service_absent("web"),
    "swarm_active": checks.swarm_active(),
    "swarm_inactive": checks.swarm_inactive("worker1"),
    "swarm_locked": checks.swarm_locked("nowhere"),
    "tasks_on": checks.tasks_on("worker1", "web", 1),
    "update": checks.update("web", "completed"),
}


def test_every_check_is_among_them() -> None:
    others = {"CONSTRAINT", "Check", "Verdict", "constrained", "no_view"}
    assert CHECKS.keys() == set(checks.__all__) - others


@settings(max_examples=150)
@given(SNAPSHOTS)
def test_every_check_has_a_verdict_on_every_snapshot(snapshot: Snapshot) -> None:
    for check in CHECKS.values():
        verdict = check(snapshot)
        assert isinstance(verdict, Verdict)
        assert isinstance(verdict.ok, bool)
        assert verdict.text


@settings(max_examples=150)
@given(SNAPSHOTS)
def test_every_snapshot_can_be_told(snapshot: Snapshot) -> None:
    for name in ("web", "worker1", "nothing"):
        try:
            assert explain(snapshot, name)
        except LabError as error:
            assert error.next_step
    for describe in (describe_placement, describe_topology, describe_managers):
        assert describe(snapshot)


@pytest.mark.parametrize("service", ["web", "nothing"])
@settings(max_examples=50)
@given(snapshot=SNAPSHOTS)
def test_tasks_per_node_counts_what_runs(service: str, snapshot: Snapshot) -> None:
    counts = snapshot.tasks_per_node(service)
    assert counts.total() == len(snapshot.running(service))
    assert counts["no such node"] == 0
