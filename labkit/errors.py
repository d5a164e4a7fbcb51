"""The `LabError` tree: what happened, the evidence, the next step.

Every expected failure in labkit is one of these. The command line prints it without a traceback and
exits 1; a notebook cell shows it as the cell's error, also without a traceback.
"""

import re
from collections.abc import Callable, Sequence

_SECRET = re.compile(r"\b(SWMTKN|SWMKEY)-1-[A-Za-z0-9+/=-]+")


def redact(text: str) -> str:
    """Return `text` with Swarm join tokens and unlock keys replaced by `SWMTKN-1-…` and `SWMKEY-1-…`."""
    return _SECRET.sub(r"\1-1-…", text)


class LabError(Exception):
    """An expected failure, told in three parts.

    `what` happened (one line), `evidence` (lines as the engine or system said them) and `next_step`
    (a command to paste, or what to do). Secrets are redacted in all three.
    """

    def __init__(self, what: str, *, evidence: Sequence[str] = (), next_step: str = "") -> None:
        self.what = redact(what)
        self.evidence: tuple[str, ...] = ()
        self.add_evidence(*evidence)
        self.next_step = redact(next_step)
        super().__init__(self.what)

    def add_evidence(self, *texts: str) -> None:
        """Add lines to the evidence, redacted as all of it."""
        self.evidence += tuple(redact(line) for text in texts for line in text.splitlines())

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.evidence)]
        if self.next_step:
            lines.append(f"Try: {self.next_step}")
        return "\n".join(lines)

    def story(self) -> str:
        """The whole message with its kind in front, as the command line and notebooks print it."""
        return f"{type(self).__name__}: {self}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback (a documented hook of its exception display)."""
        return self.story().splitlines()


class EngineNotFound(LabError):
    """No Docker engine answered at any place where users have one."""


class SetupFailed(LabError):
    """A command of this machine's own system, such as apt-get, failed while labkit set the machine up."""


class EngineUnsuitable(LabError):
    """An engine answered, but it cannot carry a lab: too old, no permission, no disk."""


class TopologyInvalid(LabError):
    """`docker-compose.dind.yml` breaks the documented subset; the evidence lists every problem in it."""


class ImageUnavailable(LabError):
    """An image could neither be pulled nor built."""


class BundleInvalid(LabError):
    """A bundle is damaged, or is not for this machine or this version of Swarm Lab."""


class LabNotRunning(LabError):
    """A command needs running nodes and there are none."""


class NoSuchNode(LabError):
    """The lab has no node with this name."""


class CommandFailed(LabError):
    """A command on a node exited with a code other than 0.

    `exit_code` is that code.
    """

    def __init__(
        self, what: str, *, exit_code: int, evidence: Sequence[str] = (), next_step: str = ""
    ) -> None:
        super().__init__(what, evidence=evidence, next_step=next_step)
        self.exit_code = exit_code


class CommandTimedOut(LabError):
    """A command on a node still ran at its deadline; it was stopped there."""


class CommandInterrupted(LabError):
    """A cell's command was interrupted; it was stopped on the node too."""


class NotConverged(LabError):
    """A state did not come about before its deadline; the evidence says what was missing."""


class NotSolved(LabError):
    """An exercise's check looked at the swarm and found it not solved yet."""


class WouldRemove(LabError):
    """To begin a chapter or a scenario would remove what a learner has made; the evidence lists it.

    `begin` begins it nevertheless.
    """

    def __init__(
        self, what: str, *, begin: Callable[[], object], evidence: Sequence[str] = (), next_step: str = ""
    ) -> None:
        super().__init__(what, evidence=evidence, next_step=next_step)
        self.begin = begin


class LabBusy(LabError):
    """Another command works on the same lab and did not finish in time."""


class PortTaken(LabError):
    """No free port was left for JupyterLab."""
