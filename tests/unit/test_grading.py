"""When a grade waits: for a swarm in motion, and for no other."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from labkit.cluster.cluster import Cluster
from labkit.course import grading
from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Snapshot
from tests.recorded import recorded

SETTLE = 0.01  # seconds; attempts are farther apart


class Changing(Cluster):
    """A lab that shows one snapshot after the other, and the last one from then on."""

    def __init__(self, *snapshots: Snapshot) -> None:
        super().__init__("changing")
        self._coming = list(snapshots)

    def snapshot(self, timeout: float = 0) -> Snapshot:  # noqa: ARG002
        return self._coming.pop(0) if len(self._coming) > 1 else self._coming[0]


def with_worker1(snapshot: Snapshot, **changes: str) -> Snapshot:
    nodes = (replace(node, **changes) if node.name == "worker1" else node for node in snapshot.nodes)
    return replace(snapshot, nodes=tuple(nodes))


def demoted(snapshot: Snapshot) -> Snapshot:
    worker1 = replace(snapshot.engines["worker1"], manager=True)
    return replace(snapshot, engines={**snapshot.engines, "worker1": worker1})


THREE = recorded("three-nodes")


def at_rest(inspector: Inspector) -> Iterator[Verdict]:
    yield Verdict(inspector.snapshot is THREE, "it is as it was recorded")


EXERCISE = Exercise("wait", at_rest, "", ())
IN_MOTION = {
    "a demoted node is still a manager": demoted(THREE),
    "a promoted node has no part in the quorum yet": with_worker1(THREE, role="manager"),
    "a node comes back": with_worker1(THREE, status="unknown"),
    "managers hold an election": replace(THREE, nodes=(), quorum=False),
}


@pytest.mark.parametrize("moving", IN_MOTION.values(), ids=IN_MOTION)
def test_it_waits_for_a_swarm_in_motion(moving: Snapshot) -> None:
    assert grading.grade(Changing(moving, moving, moving, THREE), "wait", EXERCISE, settle=SETTLE)


def test_it_does_not_wait_for_a_swarm_at_rest() -> None:
    other = with_worker1(THREE, availability="drain")
    assert not grading.grade(Changing(other, other, other, THREE), "wait", EXERCISE, settle=SETTLE)
