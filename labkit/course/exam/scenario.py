"""A scenario: something broken, or asked for, on a fresh swarm of three nodes, different with each seed."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course import retrying
from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm.checks import Verdict, no_view

NODES = ("manager1", "worker1", "worker2")
_APPLICATIONS = ("shop", "cart", "mail", "search", "billing", "news", "wiki", "forum", "chat", "tickets")
_BREAK_SECONDS = 60.0
_PLACE = re.compile(r"<([a-z]+)>")

Facts = Mapping[str, Any]
"""What a seed chooses, as plain data: names, nodes, numbers."""

Step = tuple[str, str]
"""A node, and a shell script to run there; in both, `<name>` stands for the fact of this name."""

Hint = str | Callable[[Inspector, Facts], str]


@dataclass(frozen=True)
class Scenario:
    """`title` and `story` describe the symptom and nothing more; the other texts may explain everything.

    `draw` chooses the facts, `breaks` causes the fault on a fresh swarm and may add facts that are only known
    then. `points` are those of an exercise. `solution` is one way to repair it. In all texts `<name>` stands
    for the fact of this name.
    """

    title: str
    story: str
    draw: Callable[[Random], dict[str, Any]]
    breaks: Callable[[Cluster, Facts], Facts | None]
    points: Callable[[Inspector, Facts], Iterator[Verdict]]
    why: str
    hints: tuple[Hint, ...]
    solution: tuple[Step, ...]

    def facts(self, name: str, seed: int) -> dict[str, Any]:
        """What the seed chooses: the same on every machine."""
        return self.draw(Random(f"{name}:{seed}"))

    def exercise(self, facts: Facts) -> Exercise:
        """This scenario, with these facts, as an exercise."""

        def points(inspector: Inspector) -> Iterator[Verdict]:
            lost = no_view(inspector.snapshot)
            yield from self.points(inspector, facts) if lost is None else (lost,)

        def step(hint: Hint) -> str | Callable[[Inspector], str]:
            return (
                (lambda inspector: fill(hint(inspector, facts), facts))
                if callable(hint)
                else fill(hint, facts)
            )

        return Exercise(
            task=self.title,
            points=points,
            why=self.why,
            hints=tuple(step(hint) for hint in self.hints),
            without_swarm=True,  # `points` checks for it
            solution=self.solution_text(facts),
        )

    def solution_text(self, facts: Facts) -> str:
        """The solution as text, each script below the node that it runs on."""
        return "\n\n".join(f"on {node}:\n{script}" for node, script in filled(self.solution, facts))


def fill(text: str, facts: Facts) -> str:
    """Fill in facts; what names no fact stays, such as `docker swarm unlock <file`."""
    return _PLACE.sub(lambda place: str(facts.get(place[1], place[0])), text)


def filled(steps: tuple[Step, ...], facts: Facts) -> list[Step]:
    """Steps with the facts filled in."""
    return [(fill(node, facts), fill(script, facts)) for node, script in steps]


def run(lab: Cluster, steps: tuple[Step, ...], facts: Facts) -> None:
    """Run steps one after another. Raises CommandFailed, CommandTimedOut."""
    for node, script in filled(steps, facts):
        retrying.run(lab.node(node), script, timeout=_BREAK_SECONDS)


def by(*steps: Step) -> Callable[[Cluster, Facts], None]:
    """A `breaks` that needs nothing but commands."""
    return lambda lab, facts: run(lab, steps, facts)


def application(rng: Random) -> str:
    """A name for a service."""
    return rng.choice(_APPLICATIONS)


def applications(rng: Random, count: int) -> list[str]:
    """Names for several services."""
    return rng.sample(_APPLICATIONS, count)


def ident(lab: Cluster, name: str) -> str:
    """The ID of a service or a node: another one of the same name has another ID."""
    snapshot = lab.snapshot()
    found = snapshot.service(name) or snapshot.node(name)
    return found.id if found else ""
