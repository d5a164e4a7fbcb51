"""Waiting for a state with a deadline: the one loop that polls."""

import time
from collections.abc import Iterator
from threading import Event

_patience = 1.0


def be_patient(factor: float) -> None:
    """Let every deadline from now on be so many times as long, and look as much more rarely.

    Where nodes run on emulated processors, which looks keep from their work.
    """
    global _patience
    _patience = factor


class Deadline:
    """A moment from now: `seconds`, or as many times that as `be_patient` has said."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds * _patience
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def attempts(self, every: float = 0.1) -> Iterator[None]:
        """Yield at once, then after pauses of `every` seconds or as many times that, until the deadline."""
        while True:
            yield
            if self.passed:
                return
            Event().wait(min(every * _patience, self.left))
