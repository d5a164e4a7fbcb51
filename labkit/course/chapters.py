"""Each chapter's starting state, reached from any state: every chapter runs alone and in any order."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit import checks
from labkit.course import pick
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab


def begin(lab: "Lab", chapter: str) -> Snapshot:
    """Bring the lab to the starting state of a chapter, named as its notebook, with or without the number."""
    name = chapter.lstrip("0123456789-")
    prepare = pick("chapter", name, _CHAPTERS)
    lab.reset()
    return prepare(lab)


def _bare_engines(lab: "Lab") -> Snapshot:
    return lab.wait(checks.swarm_inactive())


def _one_manager(lab: "Lab") -> Snapshot:
    lab.node("manager1").run("docker swarm init --advertise-addr eth0", quiet=True)
    return lab.wait(checks.nodes_ready(1), checks.swarm_inactive("worker1", "worker2"))


_CHAPTERS: dict[str, Callable[["Lab"], Snapshot]] = {
    "create-a-swarm": _bare_engines,
    "join-and-manage-nodes": _one_manager,
}
