"""What a scenario is: something broken, or asked for, on a fresh swarm of three, different with each seed."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from labkit.checks import Verdict, no_view
from labkit.course import patient
from labkit.course.grading import Exercise
from labkit.course.look import Look

if TYPE_CHECKING:
    from labkit.lab import Lab

NODES = ("manager1", "worker1", "worker2")
_APPLICATIONS = ("shop", "cart", "mail", "search", "billing", "news", "wiki", "forum", "chat", "tickets")
_BREAK_SECONDS = 60.0
_PLACE = re.compile(r"<([a-z]+)>")

Facts = Mapping[str, Any]
"""What a seed has decided, as plain data: names, nodes, numbers."""

Step = tuple[str, str]
"""A node, and a shell script to run there; in both, `<name>` stands for the fact of this name."""

Hint = str | Callable[[Look, Facts], str]


@dataclass(frozen=True)
class Scenario:
    """`title` and `story` tell the symptom and nothing more; the other texts may tell all.

    `draw` decides the facts, `breaks` brings the fault about on a fresh swarm and may add facts that only
    then are known. `points` are those of an exercise. `solution` is one way to repair it. In all texts
    `<name>` stands for the fact of this name.
    """

    title: str
    story: str
    draw: Callable[[Random], dict[str, Any]]
    breaks: Callable[["Lab", Facts], Facts | None]
    points: Callable[[Look, Facts], Iterator[Verdict]]
    why: str
    hints: tuple[Hint, ...]
    solution: tuple[Step, ...]

    def facts(self, name: str, seed: int) -> dict[str, Any]:
        """What the seed decides: the same on every machine."""
        return self.draw(Random(f"{name}:{seed}"))

    def exercise(self, facts: Facts) -> Exercise:
        """This scenario as the exercise that it is with these facts."""

        def points(look: Look) -> Iterator[Verdict]:
            lost = no_view(look.snapshot)
            yield from self.points(look, facts) if lost is None else (lost,)

        def step(hint: Hint) -> str | Callable[[Look], str]:
            return (lambda look: fill(hint(look, facts), facts)) if callable(hint) else fill(hint, facts)

        return Exercise(
            task=self.title,
            points=points,
            why=self.why,
            hints=tuple(step(hint) for hint in self.hints),
            without_swarm=True,  # `points` tells that itself
            solution=self.solved_by(facts),
        )

    def solved_by(self, facts: Facts) -> str:
        """The solution as text, each script behind the node that it runs on."""
        return "\n\n".join(f"on {node}:\n{script}" for node, script in filled(self.solution, facts))


def fill(text: str, facts: Facts) -> str:
    """Put facts in their places; what names no fact stays, such as `docker swarm unlock <file`."""
    return _PLACE.sub(lambda place: str(facts.get(place[1], place[0])), text)


def filled(steps: tuple[Step, ...], facts: Facts) -> list[Step]:
    """Steps with the facts in their places."""
    return [(fill(node, facts), fill(script, facts)) for node, script in steps]


def run(lab: "Lab", steps: tuple[Step, ...], facts: Facts) -> None:
    """Run steps, one after the other. Raises CommandFailed, CommandTimedOut."""
    for node, script in filled(steps, facts):
        patient.run(lab.node(node), script, timeout=_BREAK_SECONDS)


def by(*steps: Step) -> Callable[["Lab", Facts], None]:
    """What breaks a swarm by commands alone."""
    return lambda lab, facts: run(lab, steps, facts)


def application(rng: Random) -> str:
    """A name for a service."""
    return rng.choice(_APPLICATIONS)


def applications(rng: Random, count: int) -> list[str]:
    """Names for several services."""
    return rng.sample(_APPLICATIONS, count)


def ident(lab: "Lab", name: str) -> str:
    """The ID of a service or a node, which another one of the same name would not have."""
    snapshot = lab.snapshot()
    found = snapshot.service(name) or snapshot.node(name)
    return found.id if found else ""
