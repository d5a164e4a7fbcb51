"""Follows a swarm: the event streams of all its engines, coalesced, and a snapshot after each change.

Swarm publishes no events about tasks (moby #37403), and an engine only those about its own containers. So
every node is followed. What no event reports, such as a task that waits for a node, is found by further
snapshots at growing intervals.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from labkit.cluster import provision
from labkit.cluster.cluster import Cluster
from labkit.engine.selection import ERRORS
from labkit.observe.recording import (
    Event,
    FirstReports,
    Frame,
    nanoseconds,
    parse_container_event,
    parse_event,
)
from labkit.swarm.model import Snapshot
from labkit.transport import tunnel
from labkit.util.errors import LabError

T = TypeVar("T")
OnFrame = Callable[[Frame], None]

COALESCE_SECONDS = 0.1  # events come in bursts, and managers learn a task's state up to 0.1 s later
IDLE_SECONDS = 5.0
PATIENCE_SECONDS = 3.0  # how long to wait for managers that are electing a leader
_RETRY_SECONDS = 1.0
_JOIN_SECONDS = 3 * PATIENCE_SECONDS
_NEWS_SECONDS = 5.0

_KINDS = ("container", "node", "service", "network")
_ACTIONS = ("create", "start", "die", "destroy", "oom", "health_status", "update", "remove")
_FILTERS = quote(json.dumps({"type": _KINDS, "event": _ACTIONS}))

_log = logging.getLogger(__name__)


class Watcher:
    """All subscriptions to one cluster: they share one follower, which ends with the last of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._follower: _Follower | None = None

    def subscribe(self, on_frame: OnFrame) -> "Subscription":
        """Call `on_frame` with the cluster's current state and after each change, until closed."""
        with self._lock:
            if self._follower is None:
                self._follower = _Follower(self._cluster, self._unsubscribe)
            self._follower.add(on_frame)
            return Subscription(self, self._follower, on_frame)

    def _unsubscribe(self, follower: "_Follower", on_frame: OnFrame) -> bool:
        """End a subscription; return whether it was its follower's last one."""
        with self._lock:
            last = follower.remove(on_frame)
            if last and self._follower is follower:
                self._follower = None
            return last


@dataclass(frozen=True)
class Subscription:
    """Calls `on_frame` with the cluster's current state and after each change, until closed.

    The calls come from a thread of the follower, one after the other.
    """

    _watcher: Watcher
    _follower: "_Follower"
    _on_frame: OnFrame

    def close(self) -> None:
        """End the subscription; a call that is already running may finish later. Idempotent."""
        if self._watcher._unsubscribe(self._follower, self._on_frame):
            self._follower.stop()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def subscribe(cluster: Cluster, on_frame: OnFrame) -> Subscription:
    """Call `on_frame` with the cluster's current state and after each change."""
    return cluster.shared(Watcher).subscribe(on_frame)


def follow(lab: Cluster) -> Iterator[Frame]:
    """Yield the lab's current state, then a frame for each change, until the iterator is closed.

    An interrupt, or leaving the loop, ends it and all threads that it started.
    """
    frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    with subscribe(lab, frames.put):
        while True:
            yield frames.get()


class _Follower:
    """One thread for the nodes' containers, one for each node's events, and one for snapshots and calls."""

    def __init__(self, lab: Cluster, unsubscribe: Callable[["_Follower", OnFrame], bool]) -> None:
        self.lab, self._unsubscribe = lab, unsubscribe
        self._calls: list[OnFrame] = []
        self._new: list[OnFrame] = []  # those that have seen nothing yet
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._reports = FirstReports()
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._open: dict[str, Callable[[], None]] = {}  # closes the stream that a thread reads
        self._threads: dict[str, threading.Thread] = {}
        self._begun = time.time_ns()
        self._heard: dict[str, int] = {}  # by node: the time of its last event, in ns since the epoch
        self._logged: set[str] = set()  # what was written to the log, so that it isn't repeated

    # -- subscriptions ------------------------------------------------------------------------------

    def add(self, call: OnFrame) -> None:
        self._calls.append(call)
        self._new.append(call)
        self._changed.set()
        self._start("look", self._look)
        self._start("containers", self._listen, "containers", self._of_containers)

    def remove(self, call: OnFrame) -> bool:
        """Remove it; return whether it was the last one."""
        for calls in (self._calls, self._new):
            if call in calls:
                calls.remove(call)
        return not self._calls

    def stop(self) -> None:
        """End every thread and every stream."""
        self._stopping.set()
        self._changed.set()
        self._join("look")  # it starts no other thread after this
        for close in list(self._open.values()):
            close()
        for name in list(self._threads):
            self._join(name)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        if name not in self._threads:
            thread = threading.Thread(
                target=work, args=arguments, name=f"labkit-follow-{self.lab.name}-{name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()

    def _join(self, name: str) -> None:
        thread = self._threads[name]
        if thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)

    def _log_once(self, what: str) -> None:
        """Log the exception that is being handled, the first time."""
        if what not in self._logged:
            self._logged.add(what)
            _log.exception("lab '%s': %s", self.lab.name, what)

    # -- listening ----------------------------------------------------------------------------------

    def _listen(self, name: str, stream: Callable[[str], Iterator[Event | None]]) -> None:
        """Put a stream's events into the queue; open it again whenever it ends."""
        while not self._stopping.is_set():
            try:
                for event in stream(name):
                    if event:
                        self._events.put(event)
                        self._changed.set()
            except (LabError, *ERRORS, *tunnel.ERRORS):
                pass  # the node is off, or `stop` has closed the stream
            except Exception:  # the thread has to live on, or the board would freeze
                if not self._stopping.is_set():  # a stream that is closed while it's read fails in many ways
                    self._log_once(f"the events of {name} ended unexpectedly; trying again")
            if self._open.pop(name, None):
                self._changed.set()  # losing a stream is a change, too
            self._stopping.wait(_RETRY_SECONDS)

    def _of_node(self, name: str) -> Iterator[Event | None]:
        seconds, fraction = divmod(self._heard.get(name, self._begun) + 1, 10**9)
        path = f"/events?since={seconds}.{fraction:09d}&filters={_FILTERS}"
        lines = self.lab.node(name).follow(path)
        self._open[name] = lines.close
        try:
            if not self._stopping.is_set():  # otherwise `stop` may have missed this stream
                yield from self._readable(name, lines, lambda line: self._read(name, line))
        finally:
            lines.close()

    def _of_containers(self, name: str) -> Iterator[Event | None]:
        stream = provision.container_events(self.lab.context.thread_client(), self.lab.name)
        self._open[name] = stream.close
        if not self._stopping.is_set():
            yield from self._readable(name, stream, parse_container_event)

    def _read(self, name: str, line: bytes) -> Event | None:
        entry = json.loads(line)
        moment = nanoseconds(entry)
        if moment is None:
            raise ValueError(f"an event without its time: {entry}")
        self._heard[name] = moment
        return parse_event(name, entry)

    def _readable(
        self, name: str, entries: Iterable[T], read: Callable[[T], Event | None]
    ) -> Iterator[Event | None]:
        """The events in a stream, without entries that can't be parsed; the first of those is logged."""
        for entry in entries:
            try:
                yield read(entry)
            except Exception:  # one bad entry must not end the stream of all others
                self._log_once(f"an event of {name} could not be parsed and is left out")

    # -- looking ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take snapshots after each event and then at growing intervals; call back if something is new."""
        shown: Frame | None = None
        troubled = ""
        pause = 0.0
        events: tuple[Event, ...] = ()  # those that aren't in a frame yet
        while not self._stopping.is_set():
            if self._changed.wait(pause):
                self._stopping.wait(COALESCE_SECONDS)
                self._changed.clear()
                pause = COALESCE_SECONDS
            else:
                pause = min(max(2 * pause, COALESCE_SECONDS), IDLE_SECONDS)
            events += self._drain()
            try:
                snapshot, trouble = self._snapshot()
            except Exception:  # whatever it is, the next snapshot may succeed
                self._log_once("could not take a snapshot of the swarm; trying again")
                continue
            if trouble and trouble != troubled:
                events += (Event(time.time(), "engine", "die", self.lab.name, reason=trouble),)
            troubled = trouble
            frame, events = Frame(time.time(), snapshot, events), ()
            for name in frame.snapshot.engines:
                self._start(name, self._listen, name, self._of_node)
            new, self._new = self._new, []
            if frame.events or shown is None or frame.snapshot != shown.snapshot:
                shown = frame
                self._call(list(self._calls), frame)
            else:
                self._call(new, frame)

    def _snapshot(self) -> tuple[Snapshot, str]:
        """A snapshot; and if there is none because of the engine's VM or a bad answer, the reason."""
        trouble = ""
        try:
            return self.lab.snapshot(timeout=PATIENCE_SECONDS), trouble
        except LabError as error:
            trouble = " ".join([error.what, *error.evidence[-1:]])
        except ERRORS:
            pass  # the outer engine is off
        return Snapshot(engines={}), trouble

    def _drain(self) -> tuple[Event, ...]:
        """The events since the last snapshot, in chronological order and without repeated reports."""
        events = []
        while not self._events.empty():
            event = self._events.get()
            # A new manager reports everything that it learns, with the original times.
            old = not event.node and time.time() - event.moment > _NEWS_SECONDS
            if not old and self._reports.is_first(event):
                events.append(event)
        return tuple(sorted(events, key=lambda event: event.moment))

    def _call(self, calls: list[OnFrame], frame: Frame) -> None:
        for call in calls:
            if call not in self._calls:
                continue
            try:
                call(frame)
            except Exception:  # a failing callback must not end the others
                _log.exception("a follower of lab '%s' failed and is not called again", self.lab.name)
                if self._unsubscribe(self, call):
                    self.stop()
