"""The `LabError` tree: what happened, the evidence, the next step.

Every failure that labkit expects is one of these. The command line prints it without a traceback and
exits with code 1; a notebook shows it as the cell's error, also without a traceback.
"""

import re
from collections.abc import Callable, Sequence

_SECRETS = (
    # Swarm's join tokens and unlock keys
    (re.compile(r"\b(SWMTKN|SWMKEY)-1-[A-Za-z0-9+/=-]+"), r"\1-1-…"),
    # in URLs: https://user:password@proxy
    (re.compile(r"(\w://)[^\s/\"'<>:]*:[^\s/\"'<>]*@"), r"\1…@"),
    # what encrypts the gossip between the nodes: engines print it when they join a swarm
    (re.compile(r"\b(Keys:)\[[][\d ]*\]"), r"\1…"),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.S), r"\1…\2"),
)


def redact(text: str) -> str:
    """Return `text` with join tokens, unlock keys, private keys, and passwords in URLs replaced by `…`."""
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


class LabError(Exception):
    """An expected failure, reported in three parts.

    `what` happened (one line), `evidence` (lines from the engine or the system), and `next_step`
    (a command to paste, or what to do). Secrets are redacted in all three.
    """

    def __init__(self, what: str, *, evidence: Sequence[str] = (), next_step: str = "") -> None:
        self.what = redact(what)
        self.evidence: tuple[str, ...] = ()
        self.add_evidence(*evidence)
        self.next_step = redact(next_step)
        super().__init__(self.what)

    def add_evidence(self, *texts: str) -> None:
        """Add lines to the evidence; secrets are redacted in them too."""
        self.evidence += tuple(redact(line) for text in texts for line in text.splitlines())

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.evidence)]
        if self.next_step:
            lines.append(f"Try: {self.next_step}")
        return "\n".join(lines)

    def report(self) -> str:
        """The whole message, starting with its kind, as the command line and notebooks print it."""
        return f"{type(self).__name__}: {self}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback (a documented hook of its exception display)."""
        return self.report().splitlines()


class EngineNotFound(LabError):
    """No Docker engine answered in any of the usual places."""


class SetupFailed(LabError):
    """A command of the host's own system, such as apt-get, failed while labkit was setting it up."""


class EngineUnsuitable(LabError):
    """An engine answered, but it can't run a lab: too old, no permission, no disk space."""


class NameTaken(LabError):
    """Something that isn't the lab's has a name that the lab needs; the evidence says what it is."""


class TopologyInvalid(LabError):
    """`docker-compose.dind.yml` isn't in the documented subset; the evidence lists every problem in it."""


class ImageUnavailable(LabError):
    """An image could neither be pulled nor built."""


class BundleInvalid(LabError):
    """A bundle is damaged, or it isn't for this host or this version of Swarm Lab."""


class LabNotRunning(LabError):
    """A command needs running nodes, but there are none."""


class NoSuchNode(LabError):
    """The lab has no node with this name."""


class CommandFailed(LabError):
    """A command on a node exited with `exit_code`, which is not 0."""

    def __init__(
        self, what: str, *, exit_code: int, evidence: Sequence[str] = (), next_step: str = ""
    ) -> None:
        super().__init__(what, evidence=evidence, next_step=next_step)
        self.exit_code = exit_code


class CommandTimedOut(LabError):
    """A command on a node was still running at its deadline, so it was stopped there."""


class CommandInterrupted(LabError):
    """A cell's command was interrupted, and stopped on the node too."""


class NotConverged(LabError):
    """A state wasn't reached before its deadline; the evidence says what was missing."""


class NotSolved(LabError):
    """An exercise's check inspected the swarm and found that it isn't solved yet."""


class WouldRemove(LabError):
    """Beginning a chapter or scenario would remove what a learner has created; the evidence lists it.

    `begin` begins it anyway.
    """

    def __init__(
        self, what: str, *, begin: Callable[[], object], evidence: Sequence[str] = (), next_step: str = ""
    ) -> None:
        super().__init__(what, evidence=evidence, next_step=next_step)
        self.begin = begin


class LabBusy(LabError):
    """Another command is working on the same lab and didn't finish in time."""


class PortTaken(LabError):
    """No free port was found for JupyterLab."""
