"""What made tasks move, when too few of them were running, and how long the recovery took. Pure."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.observe.recording import FirstReports, Recording
from labkit.observe.task_history import Count, TaskHistory, counts, task_histories
from labkit.swarm.model import Task

_KINDS = ("node_container", "node", "service")  # of the events that make tasks move


@dataclass(frozen=True)
class Cause:
    """Something that made tasks move; `loss` if nobody asked for it, as when a task fails or a node stops.

    `times`: if a slot's tasks fail one after another in the same way, that's one cause, dated by the first.
    """

    moment: float
    text: str
    loss: bool = False
    times: int = 1


@dataclass(frozen=True)
class Outage:
    """A time in which fewer tasks of a service ran than desired; `end` is None if it lasts until the end.

    `loss`: a failure or a lost node caused it, not a drain or an update. Its end is then the recovery.
    """

    service: str
    start: float
    end: float | None
    lowest: int
    desired: int
    cause: str
    loss: bool

    @property
    def seconds(self) -> float | None:
        """How long it took until all tasks ran again; None if the recording doesn't show that."""
        return None if self.end is None else self.end - self.start


def recoveries(recording: Recording) -> list[Outage]:
    """How the swarm recovered: each loss of running tasks, and how long it took until all ran again."""
    return [outage for outage in outages(recording) if outage.loss]


def outages(recording: Recording) -> list[Outage]:
    """The times in which fewer tasks ran than before and than desired, in chronological order."""
    histories, reported, found = task_histories(recording), reported_causes(recording), []
    for service, steps in counts(recording).items():
        low: list[Count] = []  # the steps of the current outage
        for before, step in itertools.pairwise(steps):
            if low and step.running >= step.desired:
                found.append(_outage(service, low, step.moment, histories, reported))
                low = []
            elif low or (step.running < step.desired and step.running < before.running):
                low.append(step)
        if low:
            found.append(_outage(service, low, None, histories, reported))
    return sorted(found, key=lambda outage: outage.start)


def causes(recording: Recording) -> list[Cause]:
    """Everything that made tasks move, in chronological order: actions, lost nodes, and failed tasks."""
    failed = [
        history
        for history in task_histories(recording)
        if history.ending == "failed" and history.phases[-1].kind != "stopping"
    ]
    alike: dict[tuple[str, str, str], list[TaskHistory]] = {}
    for history in failed:
        task = history.task
        alike.setdefault((task.name, task.state, task.message), []).append(history)
    failures = [
        Cause(
            min(history.end for history in group),
            describe_failure(group[0].task),
            loss=True,
            times=len(group),
        )
        for group in alike.values()
    ]
    return sorted(reported_causes(recording) + failures, key=lambda cause: cause.moment)


def reported_causes(recording: Recording) -> list[Cause]:
    """The causes among the recording's events, each only once although every manager reports it."""
    reports = FirstReports()
    return [
        Cause(event.moment, event.describe(), loss=event.is_loss)
        for event in recording.events
        if event.kind in _KINDS and reports.is_first(event)
    ]


def describe_failure(task: Task) -> str:
    """Why a task failed, in the engine's words: `web.3 failed: non-zero exit (137)`."""
    return f"{task.name} {task.state}: {task.message.removeprefix('task: ')}"


def _outage(
    service: str,
    low: Sequence[Count],
    end: float | None,
    histories: Iterable[TaskHistory],
    reported: Iterable[Cause],
) -> Outage:
    start, desired = low[0].moment, low[0].desired
    lost = [
        text
        for history in histories
        if history.task.service == service and (text := _describe_loss(history, start, reported))
    ]
    before = [cause.text for cause in reported if cause.moment <= start]
    cause = (lost or before[-1:] or [""])[0]
    return Outage(service, start, end, min(step.running for step in low), desired, cause, loss=bool(lost))


def _describe_loss(history: TaskHistory, moment: float, reported: Iterable[Cause]) -> str:
    """Why this task was lost at this moment; empty if it wasn't."""
    for phase, after in itertools.pairwise([*history.phases, None]):
        if phase is None or phase.kind != "running" or phase.end != moment:
            continue
        if after and after.kind == "lost":
            known = [cause.text for cause in reported if cause.loss and cause.moment <= moment]
            return known[-1] if known else f"{history.task.node} was lost"
        if after is None and history.ending:
            return (
                describe_failure(history.task)
                if history.ending == "failed"
                else f"{history.task.name} ended by itself"
            )
    return ""
