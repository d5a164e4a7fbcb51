"""The exercises: each looks at the swarm itself, never at what the learner typed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import checks
from labkit.checks import Check, Verdict
from labkit.course import pick
from labkit.errors import NotConverged, NotSolved

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.node import Node

_SETTLE_SECONDS = 5.0  # what has just been done may take the swarm a moment to see


@dataclass(frozen=True)
class Exercise:
    """`grade` looks and answers; `nudge` is the question that a learner gets with a failing grade."""

    grade: Callable[["Lab"], Verdict]
    nudge: str


def check(lab: "Lab", exercise: str) -> Verdict:
    """Grade an exercise. Raises NotSolved with what is missing and a question that leads on."""
    found = pick("exercise", exercise, EXERCISES)
    verdict = found.grade(lab)
    if not verdict:
        raise NotSolved(f"exercise {exercise}: {verdict.words}", next_step=found.nudge)
    return verdict


def _settled(lab: "Lab", wanted: Check) -> Verdict:
    """The check's verdict, once it is good or the swarm has had its moment."""
    try:
        return wanted(lab.wait(wanted, timeout=_SETTLE_SECONDS))
    except NotConverged:
        return wanted(lab.snapshot())


def _saved(manager: "Node", path: str) -> str | None:
    """What a file on the shared folder holds; None when it is not there."""
    result = manager.run(f"cat {path}", check=False, quiet=True)
    return None if result.exit_code else result.stdout.strip()


def _saved_worker_token(lab: "Lab") -> Verdict:
    manager = lab.node("manager1")
    if not lab.snapshot().engines["manager1"].manager:
        return Verdict(False, "manager1 leads no swarm")
    saved = _saved(manager, "/lab/worker-token")
    if saved is None:
        return Verdict(False, "there is no file /lab/worker-token yet")
    tokens = manager.api.inspect_swarm()["JoinTokens"]
    if saved == tokens["Manager"]:
        return Verdict(False, "/lab/worker-token holds the token for managers")
    if saved != tokens["Worker"]:
        return Verdict(False, "/lab/worker-token does not hold the worker token alone, or an old one")
    return Verdict(True, "/lab/worker-token holds the current worker token")


def _leaked_token_is_dead(lab: "Lab") -> Verdict:
    manager = lab.node("manager1")
    if not lab.snapshot().engines["manager1"].manager:
        return Verdict(False, "manager1 leads no swarm")
    leaked = _saved(manager, "/lab/leaked-token")
    if leaked is None:
        return Verdict(False, "there is no file /lab/leaked-token: run the cell that leaks the token first")
    if leaked in manager.api.inspect_swarm()["JoinTokens"].values():
        return Verdict(False, "the leaked token still opens the swarm")
    worker = _saved_worker_token(lab)
    if not worker:
        return Verdict(False, f"the leaked token is dead, but the worker token changed too: {worker.words}")
    return Verdict(True, "the leaked manager token is worthless; the worker token is still good")


def _is_labelled(lab: "Lab") -> Verdict:
    return checks.label("worker2", "disk", "ssd")(lab.snapshot())


def _all_once(lab: "Lab") -> Verdict:
    verdict = _settled(lab, checks.nodes_ready(3))
    if not verdict:
        return verdict
    names = [node.name for node in lab.snapshot().nodes]
    stale = sorted({name for name in names if names.count(name) > 1})
    if stale:
        return Verdict(False, f"{', '.join(stale)} is listed more than once: an old entry is left")
    return Verdict(True, "three nodes are ready, and each is listed once")


EXERCISES = {
    "create.1": Exercise(
        _saved_worker_token, "which command prints the token, and which option only the token?"
    ),
    "create.2": Exercise(
        _leaked_token_is_dead, "each role has a token of its own: which of the two has leaked?"
    ),
    "join.1": Exercise(
        _is_labelled, "which docker node command changes a node, and on which node does it run?"
    ),
    "join.2": Exercise(
        _all_once, "what does worker1 itself believe: docker system info | grep Swarm on worker1?"
    ),
}
