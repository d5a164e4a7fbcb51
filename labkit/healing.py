"""What made tasks move, when too few of them ran, and how long the swarm took to heal. Pure."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.film import Film
from labkit.history import Count, Life, counts, is_loss, lives
from labkit.model import Task

_REPEATED = 2.0  # s; each manager reports a change of the swarm by itself, within this time


@dataclass(frozen=True)
class Cause:
    """Something that made tasks move; `loss` when nobody asked for it: a failure, or a node that went off.

    `times`: a slot's tasks that fail one after another in the same way are one cause, dated by the first.
    """

    moment: float
    words: str
    loss: bool = False
    times: int = 1


@dataclass(frozen=True)
class Dip:
    """A time in which fewer tasks of a service ran than desired; `end` is None when the film ends before.

    `loss`: a failure or a lost node began it, not a drain or an update. Then its end is the healing.
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
        """How long it took until all tasks ran again; None when the film does not show that."""
        return None if self.end is None else self.end - self.start


def healing(film: Film) -> list[Dip]:
    """How the swarm healed: each loss of running tasks, and how long it took until all desired ones ran."""
    return [dip for dip in dips(film) if dip.loss]


def dips(film: Film) -> list[Dip]:
    """The times in which fewer tasks ran than before and than desired, in the order of time."""
    everyone, reported, found = lives(film), reported_causes(film), []
    for service, steps in counts(film).items():
        low: list[Count] = []  # the steps of the dip that is under way
        for before, step in itertools.pairwise(steps):
            if low and step.running >= step.desired:
                found.append(_dip(service, low, step.moment, everyone, reported))
                low = []
            elif low or (step.running < step.desired and step.running < before.running):
                low.append(step)
        if low:
            found.append(_dip(service, low, None, everyone, reported))
    return sorted(found, key=lambda dip: dip.start)


def causes(film: Film) -> list[Cause]:
    """All that made tasks move, in the order of time: what people or nodes did, and tasks that failed."""
    failed = [life for life in lives(film) if life.ending == "failed" and life.phases[-1].kind != "stopping"]
    times = Counter(failure_words(life.task) for life in failed)
    first = {failure_words(life.task): life.end for life in sorted(failed, key=lambda life: -life.end)}
    failures = [Cause(first[words], words, loss=True, times=times[words]) for words in first]
    return sorted(reported_causes(film) + failures, key=lambda cause: cause.moment)


def reported_causes(film: Film) -> list[Cause]:
    """The causes among the film's events, each once, though every manager reports it."""
    found: list[Cause] = []
    latest: dict[str, float] = {}
    for event in film.events:
        if event.kind not in ("machine", "node", "service"):
            continue
        if event.moment - latest.get(event.words, -math.inf) >= _REPEATED:
            found.append(Cause(event.moment, event.words, loss=is_loss(event)))
        latest[event.words] = event.moment
    return found


def failure_words(task: Task) -> str:
    """Why a task failed, in the engine's words: `web.3 failed: non-zero exit (137)`."""
    return f"{task.name} {task.state}: {task.message.removeprefix('task: ')}"


def _dip(
    service: str, low: Sequence[Count], end: float | None, everyone: Iterable[Life], reported: Iterable[Cause]
) -> Dip:
    start, desired = low[0].moment, low[0].desired
    lost = [
        words
        for life in everyone
        if life.task.service == service and (words := _loss_words(life, start, reported))
    ]
    before = [cause.words for cause in reported if cause.moment <= start]
    cause = (lost or before[-1:] or [""])[0]
    return Dip(service, start, end, min(step.running for step in low), desired, cause, loss=bool(lost))


def _loss_words(life: Life, moment: float, reported: Iterable[Cause]) -> str:
    """Why this task was lost at this moment; empty when it was not."""
    for phase, after in itertools.pairwise([*life.phases, None]):
        if phase is None or phase.kind != "running" or phase.end != moment:
            continue
        if after and after.kind == "lost":
            known = [cause.words for cause in reported if cause.loss and cause.moment <= moment]
            return known[-1] if known else f"{life.task.node} was lost"
        if after is None and life.ending:
            return (
                failure_words(life.task) if life.ending == "failed" else f"{life.task.name} ended by itself"
            )
    return ""
