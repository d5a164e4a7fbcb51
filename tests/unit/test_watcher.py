"""The watcher without an engine: streams and snapshots are given, what it makes of them is seen."""

import itertools
import json
import queue
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.observe import watcher
from labkit.observe.recording import Event, Frame
from labkit.observe.watcher import Watcher
from labkit.swarm.model import Engine, Snapshot
from labkit.topology.topology import NODE_LABEL
from labkit.util.errors import LabNotRunning
from tests.helpers import eventually

_LABS = itertools.count()
_END = object()


class Stream:
    """Entries of an engine's event stream, as they are put in; `close` ends it from any thread."""

    def __init__(self) -> None:
        self._entries: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.closed = False

    def put(self, *entries: object) -> None:
        for entry in entries:
            self._entries.put(entry)

    def read(self) -> None:
        """Wait until all that was put in has been taken out."""
        eventually(self._entries.empty, "the reading of all entries")

    def end(self) -> None:
        self._entries.put(_END)

    def close(self) -> None:
        self.closed = True
        self.end()

    def __iter__(self) -> Iterator[Any]:
        while (entry := self._entries.get()) is not _END:
            if isinstance(entry, Exception):
                raise entry
            yield entry


class Node:
    """A node whose event streams are kept, the newest last."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.streams: list[Stream] = []

    def follow(self, path: str) -> Stream:
        self.paths.append(path)
        self.streams.append(Stream())
        return self.streams[-1]

    @property
    def stream(self) -> Stream:
        """The one that is open now."""
        eventually(lambda: self.streams and not self.streams[-1].closed, "a stream")
        return self.streams[-1]


class Cluster:
    """Two managers, as far as a watcher needs them. Snapshots return `looks`, the last one for good."""

    def __init__(self) -> None:
        self.name = f"stand-in{next(_LABS)}"
        self.members = {"manager1": Node(), "manager2": Node()}
        self.containers = Stream()
        self.looks: list[Snapshot | Exception] = [self.seen()]
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        events = SimpleNamespace(events=lambda **_: self.containers)
        self.context = SimpleNamespace(thread_client=lambda: SimpleNamespace(api=events))
        self.frames: list[Frame] = []

    def seen(self, swarm: str = "active") -> Snapshot:
        return Snapshot({name: Engine(name, "running", swarm, manager=True) for name in self.members})

    def node(self, name: str) -> Node:
        return self.members[name]

    def snapshot(self, timeout: float) -> Snapshot:
        assert timeout > 0
        self.count += 1
        assert self.gate.wait(30)
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look

    @property
    def threads(self) -> list[str]:
        return [thread.name for thread in threading.enumerate() if f"-{self.name}-" in thread.name]

    @property
    def events(self) -> list[Event]:
        return [event for frame in list(self.frames) for event in frame.events]

    def told(self, count: int) -> list[Event]:
        """The events in all frames, once there are so many."""
        eventually(lambda: len(self.events) >= count, f"{count} events")
        return self.events


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "COALESCE_SECONDS", 0.01)


@pytest.fixture
def lab() -> Cluster:
    return Cluster()


@pytest.fixture
def hub(lab: Cluster) -> Watcher:
    made: Any = lab
    return Watcher(made)


@pytest.fixture
def followed(lab: Cluster, hub: Watcher) -> Iterator[Cluster]:
    """A lab that is followed, and has shown its first frame."""
    with hub.subscribe(lab.frames.append):
        eventually(lambda: lab.frames, "a first frame")
        yield lab
    assert lab.threads == []


def entry(kind: str, action: str, age: float = 0.0, **attributes: str) -> dict[str, Any]:
    """An event as an engine tells it, `age` seconds old."""
    return {
        "Type": kind,
        "Action": action,
        "scope": "local" if kind == "container" else "swarm",
        "timeNano": time.time_ns() - int(age * 1e9),
        "Actor": {"Attributes": attributes},
    }


def line(*given: Any, **attributes: Any) -> bytes:
    return json.dumps(entry(*given, **attributes)).encode()


def logged(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.message for record in caplog.records)


def test_a_subscriber_sees_the_present_state_and_each_change(followed: Cluster) -> None:
    followed.looks.append(followed.seen("inactive"))
    followed.members["manager1"].stream.put(line("container", "start", name="alone"))
    (event,) = followed.told(1)
    assert (event.kind, event.action, event.subject, event.node) == (
        "container",
        "start",
        "alone",
        "manager1",
    )
    eventually(lambda: followed.frames[-1].snapshot == followed.seen("inactive"), "the change")


def test_a_later_subscriber_sees_the_present_state_though_nothing_changes(
    followed: Cluster, hub: Watcher
) -> None:
    late: list[Frame] = []
    with hub.subscribe(late.append):
        eventually(lambda: late, "a frame")
        assert len(followed.threads) == 4  # one looks, one for the containers, two for the nodes: not twice
    assert late[0].snapshot == followed.seen()
    assert len(followed.frames) == 1


def test_a_subscription_that_is_closed_is_not_called_and_the_last_one_ends_all_threads(
    lab: Cluster, hub: Watcher
) -> None:
    other: list[Frame] = []
    first, second = hub.subscribe(lab.frames.append), hub.subscribe(other.append)
    eventually(lambda: lab.frames and other, "frames")
    streams = [node.stream for node in lab.members.values()]
    first.close()
    seen = len(lab.frames)
    lab.members["manager1"].stream.put(line("container", "start", name="alone"))
    eventually(lambda: any(frame.events for frame in other), "news for the other one")
    assert len(lab.frames) == seen
    second.close()
    second.close()
    assert lab.threads == []
    assert all(stream.closed for stream in [*streams, lab.containers])


def test_it_can_be_followed_again(lab: Cluster, hub: Watcher) -> None:
    for _ in range(2):
        lab.frames.clear()
        lab.containers = Stream()
        with hub.subscribe(lab.frames.append):
            eventually(lambda: lab.frames, "a frame")
        assert lab.threads == []


def test_a_burst_of_events_costs_few_snapshots(followed: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "COALESCE_SECONDS", 1.0)
    stream = followed.members["manager1"].stream
    for number in range(3):
        stream.put(line("container", "start", name=f"c{number}"))
        stream.read()
    followed.told(3)
    assert sum(bool(frame.events) for frame in followed.frames) < 3


def test_events_come_in_the_order_of_time(followed: Cluster) -> None:
    followed.gate.clear()
    before, stream = followed.count, followed.members["manager1"].stream
    stream.put(line("container", "start", name="first"))
    eventually(lambda: followed.count > before, "a look")
    stream.put(*(line("container", "start", age, name=f"{age} s ago") for age in (1, 3, 2)))
    stream.read()
    followed.gate.set()
    followed.told(4)
    assert [event.subject for event in followed.frames[-1].events] == ["3 s ago", "2 s ago", "1 s ago"]


def test_what_both_managers_report_is_told_once(followed: Cluster) -> None:
    drain = {"name": "worker1", "availability.old": "active", "availability.new": "drain"}
    for age, name in ((0.3, "manager1"), (0.1, "manager2")):
        followed.members[name].stream.put(line("node", "update", age, **drain))
    for name in followed.members:
        followed.members[name].stream.put(line("container", "start", name=f"on-{name}"))
    assert sorted(event.subject for event in followed.told(3)) == ["on-manager1", "on-manager2", "worker1"]


def test_what_a_new_manager_has_only_just_learned_is_no_news(followed: Cluster) -> None:
    stream = followed.members["manager2"].stream
    stream.put(line("service", "create", 60, name="web"), line("service", "create", name="api"))
    assert [event.subject for event in followed.told(1)] == ["api"]


BAD = [
    b"no JSON",
    b"[]",
    b'"text"',
    b"\xff",
    b"{}",
    b'{"Type": "container", "Action": "start"}',
    b'{"Type": "container", "timeNano": "soon"}',
]


def test_entries_that_cannot_be_read_are_left_out_and_logged_once(
    followed: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    node = followed.members["manager1"]
    node.stream.put(*BAD, line("container", "start", name="alone"))
    assert [event.subject for event in followed.told(1)] == ["alone"]
    assert len(node.streams) == 1
    assert logged(caplog, "an event of manager1 could not be parsed") == 1


def test_an_entry_without_its_actor_is_left_out(followed: Cluster) -> None:
    stream = followed.members["manager1"].stream
    actors: list[object] = [None, [], {"Attributes": None}, {"Attributes": {"name": 7}}]
    for actor in actors:
        stream.put(json.dumps({**entry("node", "update"), "Actor": actor}).encode())
    stream.put(line("container", "start", name="alone"))
    assert [event.subject for event in followed.told(1)] == ["alone"]


def test_a_nodes_container_is_followed_past_a_bad_entry(followed: Cluster) -> None:
    followed.containers.put("bad", entry("container", "die", 0.0, **{NODE_LABEL: "manager2"}))
    (event,) = followed.told(1)
    assert event.describe() == "node manager2 stopped"


@pytest.mark.parametrize("error", [None, OSError("hung up"), RuntimeError("a bug")])
def test_a_stream_that_ends_is_opened_again_where_it_was(
    followed: Cluster, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    node = followed.members["manager1"]
    before = entry("container", "start", name="before")
    node.stream.put(json.dumps(before).encode())
    followed.told(1)
    first = node.stream
    first.put(error) if error else first.end()
    eventually(lambda: len(node.streams) == 2, "a second stream")
    seconds, fraction = divmod(before["timeNano"] + 1, 10**9)
    assert f"since={seconds}.{fraction:09d}&" in node.paths[1]
    assert first.closed
    node.stream.put(line("container", "die", name="after"))
    assert [event.subject for event in followed.told(2)] == ["before", "after"]
    assert logged(caplog, "ended unexpectedly") == isinstance(error, RuntimeError)


def test_a_look_that_fails_unexpectedly_is_logged_and_followed_by_others(
    followed: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    followed.looks[:] = [KeyError("Spec"), KeyError("Spec"), followed.seen("inactive")]
    followed.members["manager1"].stream.put(line("container", "start", name="alone"))
    eventually(lambda: followed.frames[-1].snapshot == followed.seen("inactive"), "the change")
    assert [event.subject for event in followed.events] == ["alone"]  # no event is lost meanwhile
    assert logged(caplog, "could not take a snapshot of the swarm") == 1


def test_an_engine_that_is_gone_is_told_once(followed: Cluster) -> None:
    gone = LabNotRunning("the virtual machine has stopped", evidence=["kernel panic"])
    followed.looks[:] = [gone, gone, followed.seen()]
    followed.containers.put(entry("container", "die", 0.0, **{NODE_LABEL: "manager1"}))
    eventually(
        lambda: [frame.snapshot for frame in followed.frames[-2:]] == [Snapshot({}), followed.seen()],
        "it back",
    )
    assert [event.describe() for event in followed.events if event.kind == "engine"] == [
        "the virtual machine has stopped kernel panic"
    ]


def test_a_callback_that_fails_is_not_called_again_and_leaves_the_others_alone(
    followed: Cluster, hub: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def fail(frame: Frame) -> None:
        calls.append(frame)
        raise ValueError("cannot show it")

    with hub.subscribe(fail):
        eventually(lambda: calls, "the call")
        followed.members["manager1"].stream.put(line("container", "start", name="alone"))
        followed.told(1)
    assert len(calls) == 1
    assert logged(caplog, "is not called again") == 1


def test_a_callback_that_fails_alone_ends_all_threads(lab: Cluster, hub: Watcher) -> None:
    def fail(_: Frame) -> None:
        raise ValueError("cannot show it")

    hub.subscribe(fail)
    eventually(lambda: lab.count and not lab.threads, "the end of all threads")


def test_a_callback_may_close_its_own_subscription(lab: Cluster, hub: Watcher) -> None:
    def end(frame: Frame) -> None:
        lab.frames.append(frame)
        subscription.close()

    lab.gate.clear()
    subscription = hub.subscribe(end)
    lab.gate.set()
    eventually(lambda: lab.frames and not lab.threads, "the end of all threads")
    assert len(lab.frames) == 1
