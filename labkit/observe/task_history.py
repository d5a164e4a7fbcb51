"""What a recording shows over time: each task's history, and how many tasks of a service ran. Pure."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from labkit.observe.recording import Event, Frame, Recording
from labkit.swarm.model import Snapshot, Task

_KINDS = {
    "preparing": "preparing",
    "starting": "starting",
    "running": "running",
    "complete": "ended",
    "shutdown": "ended",
    "remove": "ended",
    "orphaned": "ended",
    "failed": "failed",
    "rejected": "failed",
}  # by a task's state; before `preparing`, a task is waiting
_OVER = ("ended", "failed")
_REPORTED = 1.0  # seconds until managers know what happened on a node


@dataclass(frozen=True)
class Phase:
    """A time in a task's history; `start` and `end` are in seconds since the epoch.

    `kind`: `waiting` (for a node, or for the task that it replaces), `preparing`, `starting`, `running`,
    `stopping` (still running, but shutting down), or `lost` (its node stopped or is unreachable, and the
    swarm hasn't given it up yet).
    """

    kind: str
    start: float
    end: float


@dataclass(frozen=True)
class TaskHistory:
    """What happened to a task during a recording; `task` is its last known state.

    `ending`: `ended`, `failed`, or empty if it still exists.
    """

    task: Task
    phases: tuple[Phase, ...]
    ending: str

    @property
    def start(self) -> float:
        """When it was created, or the recording's start."""
        return self.phases[0].start

    @property
    def end(self) -> float:
        """When it ended, or the recording's end."""
        return self.phases[-1].end

    @property
    def serves(self) -> list[Phase]:
        """The times in which it was running and not shutting down.

        A task that is shutting down gets no new requests, because Swarm first removes it from load balancing,
        waits, and then stops it (moby: daemon/cluster/executor/container/controller.go).
        """
        return [phase for phase in self.phases if phase.kind == "running"]


@dataclass(frozen=True)
class Count:
    """From `moment` on, how many tasks of a service served requests, and how many were desired.

    `running` leaves out tasks that are shutting down, because they get no new requests.
    """

    moment: float
    running: int
    desired: int


def task_histories(recording: Recording) -> list[TaskHistory]:
    """The tasks that existed during the recording, by service, slot, and age.

    This leaves out tasks that were already stopping when it began, and those of services that were removed
    before, because their names are no longer known.
    """
    names = {service.id: service.name for frame in recording for service in frame.snapshot.services}
    turns: dict[str, list[tuple[float, str]]] = {}  # by task: since when it was of which kind
    seen: dict[str, Task] = {}
    outside = [event for event in recording.events if event.kind == "node_container"]
    for before, frame in _known_frames(recording):
        present = {task.id: task for task in _named(frame.snapshot.tasks, names)}
        for gone in seen.keys() - present.keys():
            if turns[gone][-1][1] not in _OVER:  # otherwise the swarm has cleaned up its history
                _turn(turns[gone], frame.moment, "ended")
        for task in present.values():
            kind, known = _kind(task, frame.snapshot), task.id in seen
            since = turns[task.id][-1][0] if known else -math.inf
            moment = _moment(task, kind, since, before, frame, outside)
            if not known and before and before.moment <= task.created < moment:
                turns[task.id] = [(task.created, "waiting")]
            _turn(turns.setdefault(task.id, []), moment, kind)
        seen.update(present)
    found = [_history(seen[id], turns[id], recording.end) for id in seen]
    return sorted(
        (history for history in found if history),
        key=lambda history: (history.task.service, history.task.slot, history.task.created),
    )


def counts(recording: Recording) -> dict[str, list[Count]]:
    """For each service, how many tasks served requests and how many were desired, in chronological order."""
    desired: dict[str, dict[float, int]] = {}
    for _, frame in _known_frames(recording):
        for service in frame.snapshot.services:
            wanted = service.replicas
            if wanted is None:  # global mode: one task for each suitable node
                wanted = sum(task.service == service.name and task.wanted for task in frame.snapshot.tasks)
            desired.setdefault(service.name, {})[frame.moment] = wanted
        for name in desired.keys() - {service.name for service in frame.snapshot.services}:
            desired[name][frame.moment] = 0  # it was removed
    histories = task_histories(recording)
    return {
        name: _steps(
            desired[name],
            (run for history in histories if history.task.service == name for run in history.serves),
            recording.end,
        )
        for name in sorted(desired)
    }


def blind(recording: Recording) -> list[tuple[float, float]]:
    """The times in which no manager knew what was running: no swarm, or no quorum."""
    found: list[tuple[float, float]] = []
    for frame, after in itertools.pairwise([*recording, *list(recording)[-1:]]):
        if not frame.snapshot.quorum:
            start = found.pop()[0] if found and found[-1][1] == frame.moment else frame.moment
            found.append((start, after.moment))
    return found


def _named(tasks: Iterable[Task], names: Mapping[str, str]) -> Iterator[Task]:
    """The tasks of services whose `names`, by ID, are known. Tasks of removed services only have the ID."""
    for task in tasks:
        if task.service in names:
            yield replace(task, service=names[task.service])
        elif task.service in names.values():
            yield task


def _known_frames(recording: Recording) -> Iterator[tuple[Frame | None, Frame]]:
    """The frames, each with the one before, except those in which no manager knew what was running."""
    before = None
    for frame in recording:
        if frame.snapshot.quorum:
            yield before, frame
            before = frame


def _kind(task: Task, snapshot: Snapshot) -> str:
    kind = _KINDS.get(task.state, "waiting")
    if kind in _OVER or not task.node:
        return kind if kind in _OVER or task.desired_state != "shutdown" else "ended"
    engine, node = snapshot.engines.get(task.node), snapshot.node(task.node)
    stops = task.desired_state in ("shutdown", "remove")
    if (engine and engine.container != "running") or (node and node.status == "down"):
        return "ended" if stops else "lost"
    return "stopping" if stops and kind == "running" else kind


def _moment(
    task: Task, kind: str, since: float, before: Frame | None, frame: Frame, outside: Sequence[Event]
) -> float:
    """When a task entered this kind of phase, as far as we know; it entered the previous one at `since`."""
    if before is None:
        return frame.moment
    if kind == "lost":  # the event of the node's container comes before the frame that shows it
        told = [event for event in outside if event.node == task.node and event.moment <= frame.moment]
        return told[-1].moment if told and told[-1].is_loss else frame.moment
    # Otherwise, a clock that differs from labkit's must not change the order of events.
    earliest = max(since, before.moment - _REPORTED)
    return task.changed if earliest < task.changed <= frame.moment else frame.moment


def _turn(turns: list[tuple[float, str]], moment: float, kind: str) -> None:
    if not turns:
        turns.append((moment, kind))
    elif turns[-1][1] != kind:
        turns.append((max(moment, turns[-1][0]), kind))


def _history(task: Task, turns: list[tuple[float, str]], end: float) -> TaskHistory | None:
    """The history of a task; None if it had ended or was already stopping when the recording began."""
    phases = tuple(
        Phase(kind, start, stop)
        for (start, kind), (stop, _) in itertools.pairwise([*turns, (end, "")])
        if kind not in _OVER
    )
    last = turns[-1][1]
    if not phases or turns[0][1] == "stopping":
        return None
    return TaskHistory(task, phases, last if last in _OVER else "")


def _steps(desired: Mapping[float, int], runs: Iterable[Phase], end: float) -> list[Count]:
    changes: dict[float, int] = dict.fromkeys(desired, 0)
    for run in runs:
        changes[run.start] = changes.get(run.start, 0) + 1
        if run.end < end:  # a run until the recording's end hasn't ended
            changes[run.end] = changes.get(run.end, 0) - 1
    steps: list[Count] = []
    running, wanted = 0, next(iter(desired.values()))
    for moment in sorted(changes):
        running, wanted = running + changes[moment], desired.get(moment, wanted)
        if not steps or (steps[-1].running, steps[-1].desired) != (running, wanted):
            steps.append(Count(moment, running, wanted))
    return steps
