"""What checks are, and what they return."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.swarm.model import Snapshot


@dataclass(frozen=True)
class Verdict:
    """The result of a check: true or false, with `text` saying what is right or what is missing."""

    ok: bool
    text: str

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.text}"

    __repr__ = __str__  # a notebook shows it as the cell's result


Check = Callable[[Snapshot], Verdict]


def no_view(snapshot: Snapshot) -> Verdict | None:
    """The failing verdict if no manager can show the state of the swarm; None if one can."""
    if snapshot.quorum is None:
        return Verdict(False, "no engine of this lab is a manager: there is no swarm yet")
    if not snapshot.quorum:
        return Verdict(False, "the managers have lost their quorum, so it's unknown")
    return None


def in_swarm(check: Check) -> Check:
    """Wrap a check: if no manager can show the state of the swarm, it returns the verdict of `no_view`."""

    def guarded(snapshot: Snapshot) -> Verdict:
        lost = no_view(snapshot)
        return check(snapshot) if lost is None else lost

    return guarded
