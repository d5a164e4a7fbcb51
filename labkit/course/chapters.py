"""Each chapter's starting state, reached from any state: every chapter runs alone and in any order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import checks
from labkit.course import pick
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab


@dataclass(frozen=True)
class Chapter:
    """`prepare` brings a reset lab to the starting state; `images` are those that the chapter's tasks run."""

    prepare: Callable[["Lab"], Snapshot]
    images: tuple[str, ...] = ()


def begin(lab: "Lab", chapter: str) -> Snapshot:
    """Bring the lab to the starting state of a chapter, named as its notebook, with or without the number."""
    found = pick("chapter", _name(chapter), _CHAPTERS)
    lab.reset()
    return found.prepare(lab)


def images(word: str) -> tuple[str, ...]:
    """The images of the chapter of this name; a word that names no chapter is an image itself."""
    chapter = _CHAPTERS.get(_name(word))
    return chapter.images if chapter else (word,)


def _name(chapter: str) -> str:
    return chapter.lstrip("0123456789-")


def _bare_engines(lab: "Lab") -> Snapshot:
    return lab.wait(checks.swarm_inactive())


def _one_manager(lab: "Lab") -> Snapshot:
    lab.node("manager1").run("docker swarm init --advertise-addr eth0", quiet=True)
    return lab.wait(checks.nodes_ready(1), checks.swarm_inactive("worker1", "worker2"))


_CHAPTERS = {
    "create-a-swarm": Chapter(_bare_engines),
    "join-and-manage-nodes": Chapter(_one_manager),
}
