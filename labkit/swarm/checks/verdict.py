"""What checks are, and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.swarm.model import Snapshot


@dataclass(frozen=True)
class Verdict:
    """The answer of a check: true or false, and in `text` what is so or what is missing."""

    ok: bool
    text: str

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.text}"

    __repr__ = __str__  # a notebook shows it as the cell's result


Check = Callable[[Snapshot], Verdict]


def no_view(snapshot: Snapshot) -> Verdict | None:
    """The failing verdict where nobody can tell how the swarm is; None where a manager can."""
    if snapshot.quorum is None:
        return Verdict(False, "no engine of this lab is a manager: there is no swarm yet")
    if not snapshot.quorum:
        return Verdict(False, "the managers have lost their quorum, so it's unknown")
    return None


def in_swarm(check: Check) -> Check:
    """The check where a manager can tell, else the verdict that nobody can."""

    def guarded(snapshot: Snapshot) -> Verdict:
        lost = no_view(snapshot)
        return check(snapshot) if lost is None else lost

    return guarded
