"""Waiting for a state with a deadline: the one loop that polls."""

import time
from collections.abc import Iterator
from threading import Event


class Deadline:
    """A moment `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def attempts(self, every: float = 0.1) -> Iterator[None]:
        """Yield at once, then after pauses of `every` seconds, until the deadline has passed."""
        while True:
            yield
            if self.passed:
                return
            Event().wait(min(every, self.left))
