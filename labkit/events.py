"""Follow a swarm: the event streams of all its engines, coalesced, and a snapshot after each change.

Swarm publishes no events of tasks (moby #37403), and an engine those of its own containers only. So every
node is followed; what no event tells, such as a task that waits for a node, is found by looking again at
growing intervals.
"""

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from labkit import bringup, engine, film, pipeline
from labkit.errors import LabError
from labkit.film import Event, Frame
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab

OnFrame = Callable[[Frame], None]

COALESCE_SECONDS = 0.1  # events come in bursts, and managers hear of a task's state up to 0.1 s later
IDLE_SECONDS = 5.0
PATIENCE_SECONDS = 3.0  # how long managers that look for a leader may keep us waiting
_RETRY_SECONDS = 1.0
_JOIN_SECONDS = 3 * PATIENCE_SECONDS
_NEWS_SECONDS = 5.0
_SAME_SECONDS = 2.0  # every manager tells of the same change, each at its own time

_KINDS = ("container", "node", "service", "network")
_ACTIONS = ("create", "start", "die", "destroy", "oom", "health_status", "update", "remove")
_FILTERS = quote(json.dumps({"type": _KINDS, "event": _ACTIONS}))

_log = logging.getLogger(__name__)
_followers: dict[str, "_Follower"] = {}
_lock = threading.Lock()


class Subscription:
    """Calls `on_frame` with the present state of the lab and after each change, until closed.

    The calls come from a thread of the follower, one after the other. All subscriptions to a lab in this
    process share one follower, which ends with the last of them.
    """

    def __init__(self, lab: "Lab", on_frame: OnFrame) -> None:
        self._on_frame = on_frame
        with _lock:
            self._follower = _followers.get(lab.name) or _Follower(lab)
            _followers[lab.name] = self._follower
            self._follower.add(on_frame)

    def close(self) -> None:
        """No call begins after this. Twice is fine."""
        with _lock:
            last = self._follower.remove(self._on_frame)
            if last and _followers.get(self._follower.lab.name) is self._follower:
                del _followers[self._follower.lab.name]
        if last:
            self._follower.stop()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def subscribe(lab: "Lab", on_frame: OnFrame) -> Subscription:
    """Let `on_frame` know of the lab's present state and of each change."""
    return Subscription(lab, on_frame)


def follow(lab: "Lab") -> Iterator[Frame]:
    """Yield the lab's present state, then a frame for each change, for as long as the iterator lives.

    An interrupt, or leaving the loop, ends it and all that it started.
    """
    frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    with subscribe(lab, frames.put):
        while True:
            yield frames.get()


class _Follower:
    """One thread for the machines, one for each node's events, and one that looks and calls."""

    def __init__(self, lab: "Lab") -> None:
        self.lab = lab
        self._calls: list[OnFrame] = []
        self._new: list[OnFrame] = []  # those that have seen nothing yet
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._told: dict[tuple[str, ...], float] = {}
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._open: dict[str, Callable[[], None]] = {}  # closes the stream that a thread reads
        self._threads: dict[str, threading.Thread] = {}
        self._begun = time.time_ns()
        self._heard: dict[str, int] = {}  # of each node: its last event's moment in ns of the epoch

    # -- subscriptions ------------------------------------------------------------------------------

    def add(self, call: OnFrame) -> None:
        self._calls.append(call)
        self._new.append(call)
        self._changed.set()
        self._start("look", self._look)
        self._start("machines", self._listen, "machines", self._from_machines)

    def remove(self, call: OnFrame) -> bool:
        """Forget it; whether it was the last one."""
        for calls in (self._calls, self._new):
            if call in calls:
                calls.remove(call)
        return not self._calls

    def stop(self) -> None:
        """End every thread and every stream."""
        self._stopping.set()
        self._changed.set()
        for close in list(self._open.values()):
            close()
        for thread in list(self._threads.values()):
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        if name not in self._threads:
            thread = threading.Thread(
                target=work, args=arguments, name=f"labkit-follow-{self.lab.name}-{name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()

    # -- listening ----------------------------------------------------------------------------------

    def _listen(self, name: str, stream: Callable[[str], Iterator[Event | None]]) -> None:
        """Put what a stream tells into the queue; open it again whenever it ends."""
        while not self._stopping.is_set():
            with contextlib.suppress(LabError, *engine.ERRORS, *pipeline.ERRORS):  # off, or closed by `stop`
                for event in stream(name):
                    if event:
                        self._events.put(event)
                        self._changed.set()
            if self._open.pop(name, None):
                self._changed.set()  # what was heard until now is heard no more: that is news
            self._stopping.wait(_RETRY_SECONDS)

    def _from_node(self, name: str) -> Iterator[Event | None]:
        node = self.lab.node(name)
        line = pipeline.Pipeline(node.client, node.container_id)
        self._open[name] = line.close
        try:
            if not self._stopping.is_set():  # else `stop` may have missed this stream
                seconds, nanoseconds = divmod(self._heard.get(name, self._begun) + 1, 10**9)
                since = f"{seconds}.{nanoseconds:09d}"
                for entry in line.follow(f"/events?since={since}&filters={_FILTERS}"):
                    self._heard[name] = entry["timeNano"]
                    yield film.parse_event(name, entry)
        finally:
            line.close()

    def _from_machines(self, name: str) -> Iterator[Event | None]:
        stream = bringup.machine_events(engine.thread_client(), self.lab.name)
        self._open[name] = stream.close
        if not self._stopping.is_set():
            yield from (film.parse_machine_event(entry) for entry in stream)

    # -- looking ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look after each event and, at growing intervals, without one; call when something is new."""
        shown: Frame | None = None
        troubled = ""
        pause = 0.0
        while not self._stopping.is_set():
            if self._changed.wait(pause):
                self._stopping.wait(COALESCE_SECONDS)
                self._changed.clear()
                pause = COALESCE_SECONDS
            else:
                pause = min(max(2 * pause, COALESCE_SECONDS), IDLE_SECONDS)
            events = self._drain()
            snapshot, trouble = self._snapshot()
            if trouble and trouble != troubled:
                events = (*events, Event(time.time(), "engine", "die", self.lab.name, "", trouble))
            troubled = trouble
            frame = Frame(time.time(), snapshot, events)
            for name in frame.snapshot.engines:
                self._start(name, self._listen, name, self._from_node)
            new, self._new = self._new, []
            if events or shown is None or frame.snapshot != shown.snapshot:
                shown = frame
                self._call(list(self._calls), frame)
            else:
                self._call(new, frame)
        for node in self.lab.nodes.values():
            node.drop_pipeline()  # this thread's

    def _snapshot(self) -> tuple[Snapshot, str]:
        """What is to be seen, and why nothing is, where the engine's virtual machine is the reason."""
        trouble = ""
        try:
            return self.lab.snapshot(timeout=PATIENCE_SECONDS), trouble
        except LabError as error:
            trouble = " ".join([error.what, *error.evidence[-1:]])
        except engine.ERRORS:
            pass  # the outer engine is off
        return Snapshot(engines={}), trouble

    def _drain(self) -> tuple[Event, ...]:
        """The events since the last look, in the order of time; what several managers told, once."""
        events = []
        while not self._events.empty():
            event = self._events.get()
            told = (event.kind, event.action, event.subject, event.node, event.words)
            # A manager that is new tells of all that it learns, with the time at which it was made.
            old = not event.node and time.time() - event.moment > _NEWS_SECONDS
            repeated = not event.node and event.moment - self._told.get(told, 0) < _SAME_SECONDS
            if not old and not repeated:
                events.append(event)
                if not event.node:
                    self._told[told] = event.moment
        return tuple(sorted(events, key=lambda event: event.moment))

    def _call(self, calls: list[OnFrame], frame: Frame) -> None:
        for call in calls:
            try:
                call(frame)
            except Exception:
                _log.exception("a follower of lab '%s' failed and is not called again", self.lab.name)
                with _lock:
                    self.remove(call)
