"""A lab for tests of the course that need no engine: chapters and scenarios begin without doing anything."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from labkit.cluster.cluster import Cluster
from labkit.cluster.node import Node
from labkit.course import chapters
from labkit.course.exam.registry import SCENARIOS
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Engine, Snapshot
from labkit.util.deadline import Deadline

THERE = (  # what `user_resources` finds in it
    "the swarm, whose managers have lost their quorum: what is in it cannot be seen",
    "everything on manager1, which cannot be seen: it is exited",
)


class Stage(Cluster):
    """A lab with one node, which is off. `solved` decides what its scenarios' checks find."""

    solved = False

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(name)
        monkeypatch.setattr(self.context, "deadline", lambda _: Deadline(0))
        for key, chapter in chapters.CHAPTERS.items():
            monkeypatch.setitem(
                chapters.CHAPTERS, key, replace(chapter, prepare=lambda lab: lab.snapshot(), images=())
            )
        for key, scenario in SCENARIOS.items():
            played = replace(scenario, breaks=lambda *_: None, points=self._points)
            monkeypatch.setitem(SCENARIOS, key, played)

    def snapshot(self, timeout: float = 0) -> Snapshot:  # noqa: ARG002
        return Snapshot(engines={"manager1": Engine("manager1", "exited")}, quorum=True)

    @property
    def nodes(self) -> dict[str, Node]:
        return {}

    def _points(self, *_: Any) -> Iterator[Verdict]:
        yield Verdict(self.solved, "it is as the story asks")
