"""A film in words: what healed or dipped, how far and how long, what caused it, and where tasks went."""

import math
from collections.abc import Iterator

from labkit.film import Film
from labkit.healing import Cause, Dip, causes, dips
from labkit.history import Life, blind, counts, lives
from labkit.plots.lettering import counted

_MANY = 12  # more causes or moves than this are counted, not told


def describe_timeline(film: Film) -> str:
    """What happened in the film, the conclusion first, a line for each thing."""
    if not lives(film):
        return nothing_words(film)
    told = [_headline(film), *_counts_words(film)]
    told += [words for dip in dips(film)[:_MANY] if (words := _dip_sentence(dip)) != told[0]]
    for start, end in blind(film):
        told.append(
            f"From {start - film.start:.1f} s to {end - film.start:.1f} s nobody could tell what ran."
        )
    for lines, noun in ((list(_cause_words(film)), "event"), (list(_move_words(film)), "move")):
        told += lines[:_MANY]
        if len(lines) > _MANY:
            told.append(f"And {counted(len(lines) - _MANY, f'more {noun}')}.")
    return "\n".join(told)


def nothing_words(film: Film) -> str:
    """Why there are no tasks to draw."""
    if not film.frames:
        return "The film is empty: nothing was recorded."
    snapshot = film.frames[-1].snapshot
    if snapshot.quorum is False:
        return "The managers have no quorum: nobody can tell which tasks ran."
    return "No task lived during the film." if snapshot.quorum else "There is no swarm: no tasks to show."


def dip_words(dip: Dip) -> str:
    """A few words for the picture: `healed after 6.2 s`, or `4 of 6 for 3.1 s`."""
    low = f"{dip.lowest} of {dip.desired}"
    if dip.seconds is None:
        return f"{low}, not healed yet" if dip.loss else f"{low} at the end"
    return f"{low}, healed after {dip.seconds:.1f} s" if dip.loss else f"{low} for {dip.seconds:.1f} s"


def title_words(film: Film) -> str:
    """The conclusion in a few words."""
    if worst := _worst(film):
        return _short(worst)
    failures = sum(cause.times for cause in causes(film) if cause.loss)
    for service, steps in counts(film).items():
        first, last = steps[0], steps[-1]
        if last.running < last.desired:
            failed = f", {counted(failures, 'failure')}" if failures else ""
            return f"{service} runs {last.running} of {counted(last.desired, 'task')} at the end{failed}"
        if first.running != last.running:
            return f"{service} went from {first.running} to {counted(last.running, 'running task')}"
    if any(life.ending for life in lives(film)):
        return "Tasks were replaced, never fewer ran than desired"
    return "Nothing changed: every task went on as it was"


def cause_words(cause: Cause) -> str:
    """The cause, and how often it came."""
    return f"{cause.words} ({cause.times} times)" if cause.times > 1 else cause.words


def _headline(film: Film) -> str:
    worst = _worst(film)
    return _dip_sentence(worst) if worst else f"{title_words(film)}."


def _worst(film: Film) -> Dip | None:
    """The dip to tell first: of the losses the one that took longest, else the deepest."""
    found = dips(film)
    losses = [dip for dip in found if dip.loss]
    if losses:
        return max(losses, key=lambda dip: math.inf if dip.seconds is None else dip.seconds)
    return max(found, key=lambda dip: dip.desired - dip.lowest, default=None)


def _short(dip: Dip) -> str:
    if not dip.loss:
        span = f"for {dip.seconds:.1f} s" if dip.seconds is not None else "until the film ended"
        return f"{dip.service} fell to {dip.lowest} of {dip.desired} tasks {span}"
    if dip.seconds is None:
        return f"{dip.service} had not healed when the film ended"
    return f"{dip.service} healed after {dip.seconds:.1f} s"


def _dip_sentence(dip: Dip) -> str:
    low = f"; {dip.lowest} of {dip.desired} tasks ran in between" if dip.loss else ""
    cause = f" ({dip.cause})" if dip.cause else ""
    return f"{_short(dip)}{low}{cause}."


def _counts_words(film: Film) -> Iterator[str]:
    for service, steps in counts(film).items():
        running = [step.running for step in steps]
        last = steps[-1]
        span = f"{min(running)} to {max(running)}" if min(running) < max(running) else f"{running[0]}"
        yield f"{service}: {span} tasks ran, {last.running} of {last.desired} desired at the end."


def _cause_words(film: Film) -> Iterator[str]:
    for cause in causes(film):
        yield f"At {max(cause.moment - film.start, 0):.1f} s: {cause_words(cause)}."


def _move_words(film: Film) -> Iterator[str]:
    """Where each slot's next task went; in global mode a task stays on its node."""
    last: dict[str, Life] = {}
    for life in lives(film):
        before = last.get(life.task.name)
        if before and life.task.slot and life.task.node:
            image = f" with {life.task.image}" if life.task.image != before.task.image else ""
            place = (
                f"{before.task.node} → {life.task.node}"
                if before.task.node != life.task.node
                else f"again on {life.task.node}"
            )
            yield f"{life.task.name}: {place}{image}."
        last[life.task.name] = life
