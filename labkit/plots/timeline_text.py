"""A recording in words: outages with their extent, duration, and causes, and where tasks moved."""

import math
from collections.abc import Iterator

from labkit.observe.recording import Recording
from labkit.observe.recovery import Cause, Outage, causes, outages
from labkit.observe.task_history import TaskHistory, blind, counts, task_histories
from labkit.util.text import counted

_MANY = 12  # more causes or moves than this are only counted


def describe_timeline(recording: Recording) -> str:
    """What happened in the recording: the conclusion first, then one line for each event."""
    if not task_histories(recording):
        return describe_nothing(recording)
    told = [_headline(recording), *_describe_counts(recording)]
    worst = _worst(recording)
    told += [_outage_sentence(outage) for outage in outages(recording)[:_MANY] if outage != worst]
    for start, end in blind(recording):
        first, last = start - recording.start, end - recording.start
        told.append(f"From {first:.1f} s to {last:.1f} s, no manager knew what was running.")
    for lines, noun in (
        (list(_describe_causes(recording)), "event"),
        (list(_describe_moves(recording)), "move"),
    ):
        told += lines[:_MANY]
        if len(lines) > _MANY:
            told.append(f"And {counted(len(lines) - _MANY, f'more {noun}')}.")
    return "\n".join(told)


def describe_nothing(recording: Recording) -> str:
    """Why there are no tasks to draw."""
    if not recording.frames:
        return "The recording is empty: nothing happened yet."
    snapshot = recording.frames[-1].snapshot
    if snapshot.quorum is False:
        return "The managers have no quorum, so it is unknown which tasks ran."
    return "No task ran during the recording." if snapshot.quorum else "There is no swarm: no tasks to show."


def describe_outage(outage: Outage) -> str:
    """A few words for the picture: `healed after 6.2 s`, or `4 of 6 for 3.1 s`."""
    low = f"{outage.lowest} of {outage.desired}"
    if outage.seconds is None:
        return f"{low}, not healed yet" if outage.loss else f"{low} at the end"
    return (
        f"{low}, healed after {outage.seconds:.1f} s" if outage.loss else f"{low} for {outage.seconds:.1f} s"
    )


def title_of(recording: Recording) -> str:
    """The conclusion in a few words."""
    if worst := _worst(recording):
        return _short(worst)
    failures = sum(cause.times for cause in causes(recording) if cause.loss)
    for service, steps in counts(recording).items():
        first, last = steps[0], steps[-1]
        if last.running < last.desired:
            failed = f", {counted(failures, 'failure')}" if failures else ""
            return f"{service} runs {last.running} of {counted(last.desired, 'task')} at the end{failed}"
        if first.running != last.running:
            return f"{service} went from {first.running} to {counted(last.running, 'running task')}"
    if any(history.ending for history in task_histories(recording)):
        return "Tasks were replaced without an outage"
    return "Nothing changed: every task kept running"


def describe_cause(cause: Cause) -> str:
    """The cause, and how often it occurred."""
    return f"{cause.text} ({cause.times} times)" if cause.times > 1 else cause.text


def _headline(recording: Recording) -> str:
    worst = _worst(recording)
    return _outage_sentence(worst) if worst else f"{title_of(recording)}."


def _worst(recording: Recording) -> Outage | None:
    """The most important outage: the longest one after a loss, otherwise the deepest one."""
    found = outages(recording)
    losses = [outage for outage in found if outage.loss]
    if losses:
        return max(losses, key=lambda outage: math.inf if outage.seconds is None else outage.seconds)
    return max(found, key=lambda outage: outage.desired - outage.lowest, default=None)


def _short(outage: Outage) -> str:
    if not outage.loss:
        span = f"for {outage.seconds:.1f} s" if outage.seconds is not None else "until the recording ended"
        return f"{outage.service} fell to {outage.lowest} of {outage.desired} tasks {span}"
    if outage.seconds is None:
        return f"{outage.service} had not healed when the recording ended"
    return f"{outage.service} healed after {outage.seconds:.1f} s"


def _outage_sentence(outage: Outage) -> str:
    low = f"; {outage.lowest} of {outage.desired} tasks served in between" if outage.loss else ""
    cause = f" ({outage.cause})" if outage.cause else ""
    return f"{_short(outage)}{low}{cause}."


def _describe_counts(recording: Recording) -> Iterator[str]:
    for service, steps in counts(recording).items():
        running = [step.running for step in steps]
        last = steps[-1]
        span = f"{min(running)} to {max(running)}" if min(running) < max(running) else f"{running[0]}"
        yield f"{service}: {span} tasks served, {last.running} of {last.desired} desired at the end."


def _describe_causes(recording: Recording) -> Iterator[str]:
    for cause in causes(recording):
        yield f"At {max(cause.moment - recording.start, 0):.1f} s: {describe_cause(cause)}."


def _describe_moves(recording: Recording) -> Iterator[str]:
    """Where each slot's next task went; in global mode, a task stays on its node."""
    last: dict[str, TaskHistory] = {}
    for history in task_histories(recording):
        before = last.get(history.task.name)
        if before and history.task.slot and history.task.node:
            image = f" with {history.task.image}" if history.task.image != before.task.image else ""
            place = (
                f"{before.task.node} → {history.task.node}"
                if before.task.node != history.task.node
                else f"again on {history.task.node}"
            )
            yield f"{history.task.name}: {place}{image}."
        last[history.task.name] = history
