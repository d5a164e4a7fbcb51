"""Attempts until a deadline, by a clock that moves only when somebody waits."""

from types import SimpleNamespace

import pytest

from labkit.util import deadline
from labkit.util.deadline import Deadline


class Clock:
    """Stands in for the time module and for `Event`, whose `wait` is labkit's pause."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(deadline, "Event", lambda: clock)
    return clock


def test_what_is_left_shrinks_to_zero_and_no_further(clock: Clock) -> None:
    limit = Deadline(5)
    clock.now += 2
    assert (limit.left, limit.passed) == (3, False)
    clock.now += 30
    assert (limit.left, limit.passed) == (0, True)


def test_the_first_attempt_comes_at_once(clock: Clock) -> None:
    next(Deadline(60).attempts())
    assert clock.pauses == []


def test_attempts_pause_between_and_the_last_one_falls_on_the_deadline(clock: Clock) -> None:
    tries = [clock.now - 1000 for _ in Deadline(5).attempts(every=2)]
    assert tries == [0, 2, 4, 5]
    assert clock.pauses == [2, 2, 1]


@pytest.mark.usefixtures("clock")
def test_a_deadline_that_has_passed_still_allows_one_attempt() -> None:
    assert len(list(Deadline(0).attempts())) == 1


def test_an_attempt_that_overran_is_the_last_one(clock: Clock) -> None:
    tries = 0
    for _ in Deadline(5).attempts():
        tries += 1
        clock.now += 60
    assert (tries, clock.pauses) == (1, [])


def test_patience_waits_longer_and_looks_more_rarely(clock: Clock) -> None:
    limit = Deadline(3, patience=5)
    assert limit.seconds == limit.left == 15
    tries = [clock.now - 1000 for _ in limit.attempts(every=1)]
    assert tries == [0, 5, 10, 15]
