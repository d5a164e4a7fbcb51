"""The course: starting states of chapters, exercises graded by inspecting the swarm, exam, and progress."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from labkit.util.errors import LabError

T = TypeVar("T")

ALIASES: Mapping[str, str] = {}
"""Former names of exercises and scenarios, which progress files and learners' notebooks still use."""


def pick(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Look up `name`, which may be a former one. Raises LabError with the closest known name."""
    name = ALIASES.get(name, name)
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise LabError(
        f"there is no {kind} '{name}'",
        evidence=[f"known: {', '.join(known)}"],
        next_step=f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}",
    )
