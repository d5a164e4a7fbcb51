"""`Deadline`: the loop that polls for a state until a deadline."""

import time
from collections.abc import Iterator
from threading import Event


class Deadline:
    """A moment `seconds` from now, or `patience` times as far away.

    `patience` is above 1 if nodes run on emulated processors: everything takes longer there, and polling
    too often would slow them down further.
    """

    def __init__(self, seconds: float, patience: float = 1.0) -> None:
        self.seconds = seconds * patience
        self._patience = patience
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def attempts(self, every: float = 0.1) -> Iterator[None]:
        """Yield immediately, then after pauses of `every` seconds (times `patience`), until the deadline."""
        while True:
            yield
            if self.passed:
                return
            Event().wait(min(every * self._patience, self.left))
