"""The exercises: each looks at the swarm itself, never at what the learner typed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import checks
from labkit.checks import Verdict
from labkit.course import pick
from labkit.errors import NotSolved

if TYPE_CHECKING:
    from labkit.lab import Lab


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


def _saved_worker_token(lab: "Lab") -> Verdict:
    manager = lab.node("manager1")
    saved = manager.run("cat /lab/worker-token", check=False, quiet=True)
    if saved.exit_code:
        return Verdict(False, "there is no file /lab/worker-token yet")
    tokens = manager.api.inspect_swarm()["JoinTokens"]
    if saved.stdout.strip() == tokens["Manager"]:
        return Verdict(False, "/lab/worker-token holds the token for managers")
    if saved.stdout.strip() != tokens["Worker"]:
        return Verdict(False, "/lab/worker-token does not hold the worker token alone, or an old one")
    return Verdict(True, "/lab/worker-token holds the current worker token")


def _is_labelled(lab: "Lab") -> Verdict:
    return checks.label("worker2", "disk", "ssd")(lab.snapshot())


EXERCISES = {
    "create.1": Exercise(
        _saved_worker_token, "which command prints the token, and which option only the token?"
    ),
    "join.1": Exercise(
        _is_labelled, "which docker node command changes a node, and on which node does it run?"
    ),
}
