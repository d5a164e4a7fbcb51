"""The course's machinery: chapters' starting states, and exercises that look at the swarm to grade it."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from labkit.errors import LabError

T = TypeVar("T")


def pick(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Look `name` up. Raises LabError with the closest known name."""
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise LabError(
        f"there is no {kind} '{name}'",
        evidence=[f"known: {', '.join(known)}"],
        next_step=f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}",
    )
