"""Consent: what a learner has made, or an exam that runs, is only given up when they agree."""

from collections.abc import Callable

from labkit.cluster.cluster import Cluster
from labkit.course import exam_state
from labkit.course.user_resources import user_resources
from labkit.util.errors import LabError, WouldRemove

AGREE = "Remove all this and begin"
_SHOWN = 12


def require(lab: Cluster, name: str, begin: Callable[[], object], *, python: str, command: str) -> None:
    """Raise LabError while an exam runs, and WouldRemove while the lab holds something a learner made.

    What was there when the scenario that runs began, or was solved, is not theirs. `name` is what they want
    to begin; `begin` begins it all the same, and so do the call `python` and the command line `command`.
    """
    if exam := exam_state.exam(lab):
        raise LabError(
            f"an exam is running: {exam.time_left()}",
            next_step=f"lab.next_scenario() goes on with it; {python} gives it up, and so does {command}",
        )
    running = exam_state.now(lab).running
    known = running.there if running else ()
    theirs = [thing for thing in user_resources(lab) if thing not in known]
    if theirs:
        more = len(theirs) - _SHOWN
        raise WouldRemove(
            f"lab '{lab.name}' holds what you have made, and beginning '{name}' removes it",
            evidence=[*theirs[:_SHOWN], *([f"and {more} more"] if more > 0 else [])],
            next_step=f"{python} if you no longer need it, or {command}",
            begin=begin,
        )
