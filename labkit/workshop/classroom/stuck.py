"""Who is stuck: one rule, which the page explains in the same words. Pure: a situation in, words out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labkit.util.text import counted

State = Literal["stuck", "unsure", "working", "done", "quiet", "new", "away", "absent"]

LONG_MINUTES, LONGER_MINUTES = 15, 30
REFUSED_CHECKS, HINTS = 3, 2
QUIET_MINUTES = 45
OTHERS = 3  # as many have to be past an exercise before being at it means to be behind

WORDS: Mapping[State, str] = {
    "stuck": "stuck",
    "unsure": "may need help",
    "working": "working",
    "done": "chapter done",
    "quiet": "quiet",
    "new": "not started",
    "away": "not connected",
    "absent": "not here yet",
}
"""What each state is called, in the order in which learners are shown."""

RULE = (
    "Five signs say that someone may be stuck at the exercise where they are. One sign means "
    "“may need help”, and two or more mean “stuck”:",
    f"{LONG_MINUTES} minutes at the exercise; {LONGER_MINUTES} minutes count as a second sign",
    f"{REFUSED_CHECKS} refused checks in a row",
    f"{HINTS} hints used",
    "the solution was shown, but the exercise isn't solved",
    f"at least half of the others, and at least {OTHERS}, have solved it",
)
"""The rule in words: a sentence, and then the signs."""
ORDER = (
    "Whoever is stuck comes first, and among them whoever has been at their exercise the longest. "
    f"“Quiet” means that nothing was recorded for {QUIET_MINUTES} minutes, and “not connected” that the "
    "learner's place isn't running or can't reach this page. “Not here yet” are those on the workshop's list "
    "who haven't come."
)


@dataclass(frozen=True)
class Situation:
    """What the rule looks at: `minutes` at the exercise, `idle` minutes since the last record, and so on.

    `past` of the `others` have solved the exercise.
    """

    connected: bool
    started: bool
    exercise: str
    minutes: float
    idle: float
    refused: int = 0
    hints: int = 0
    solution: bool = False
    past: int = 0
    others: int = 0
    arrived: bool = True


@dataclass(frozen=True)
class Judgment:
    """What the rule says: the state, and the signs in words."""

    state: State
    signs: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The place of the state in the order of the page, from 0."""
        return list(WORDS).index(self.state)


def judge(situation: Situation) -> Judgment:
    """Apply the rule."""
    if not situation.arrived:
        return Judgment("absent")
    if not situation.connected:
        return Judgment("away")
    if not situation.started:
        return Judgment("new")
    if situation.idle >= QUIET_MINUTES:
        return Judgment("quiet", (f"nothing recorded for {situation.idle:.0f} minutes",))
    if not situation.exercise:
        return Judgment("done")
    signs = _signs(situation)
    heavy = len(signs) + (situation.minutes >= LONGER_MINUTES)
    return Judgment("working" if not heavy else "unsure" if heavy == 1 else "stuck", signs)


def _signs(situation: Situation) -> tuple[str, ...]:
    behind = situation.past >= OTHERS and situation.past * 2 >= situation.others
    found = (
        (situation.minutes >= LONG_MINUTES, f"{situation.minutes:.0f} minutes at it"),
        (situation.refused >= REFUSED_CHECKS, f"{counted(situation.refused, 'refused check')} in a row"),
        (situation.hints >= HINTS, f"{counted(situation.hints, 'hint')} used"),
        (situation.solution, "saw the solution"),
        (behind, f"{situation.past} of {situation.others} others are past it"),
    )
    return tuple(words for holds, words in found if holds)
