"""Each chapter's starting state, reached from any state: every chapter runs alone and in any order."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import checks, formation, hint
from labkit.course import grading, pick
from labkit.course.belongings import belongings
from labkit.errors import WouldRemove
from labkit.model import Snapshot
from labkit.running import run_on

if TYPE_CHECKING:
    from labkit.lab import Lab

_TOLD = 12


@dataclass(frozen=True)
class Chapter:
    """`key` begins the names of its exercises and names its quiz; `images` are those that its tasks run.

    `prepare` brings a lab to the starting state, from any.
    """

    key: str
    prepare: Callable[["Lab"], Snapshot]
    images: tuple[str, ...] = ()


def find(chapter: str) -> tuple[str, Chapter]:
    """A chapter by the name of its notebook, with or without its number, or by its key; and that name."""
    name = chapter.lstrip("0123456789-")
    keys = {found.key: full for full, found in CHAPTERS.items()}
    name = keys.get(name, name)
    return name, pick("chapter", name, CHAPTERS)


def begin(lab: "Lab", chapter: str, yes: bool = False) -> Snapshot:
    """Bring the lab to the starting state of a chapter.

    Raises WouldRemove, and changes nothing, while the lab holds something that a learner made, unless `yes`.
    """
    name, found = find(chapter)
    if not yes:
        anyway = f'lab.begin("{name}", yes=True)', hint.command("begin", name, "--yes", lab=lab.name)
        require_consent(lab, name, anyway, lambda: begin(lab, chapter, yes=True))
    snapshot = found.prepare(lab)
    grading.note("chapter", name)
    return snapshot


def require_consent(
    lab: "Lab",
    name: str,
    anyway: tuple[str, str],
    begin: Callable[[], object],
    known: Collection[str] = (),
) -> None:
    """Raise WouldRemove while the lab holds something that a learner made, apart from what is `known`.

    `name` is what is to begin, `begin` begins it nevertheless, and so does `anyway`: in Python, and on the
    command line.
    """
    theirs = [thing for thing in belongings(lab) if thing not in known]
    if theirs:
        rest = len(theirs) - _TOLD
        python, command = anyway
        raise WouldRemove(
            f"lab '{lab.name}' holds what you have made: to begin '{name}' removes it",
            evidence=[*theirs[:_TOLD], *([f"and {rest} things more"] if rest > 0 else [])],
            next_step=f"{python} if you no longer need it, or {command}",
            begin=begin,
        )


def images(word: str) -> tuple[str, ...]:
    """The images of the chapter of this name; a word that names no chapter is an image itself."""
    chapter = CHAPTERS.get(word.lstrip("0123456789-"))
    return chapter.images if chapter else (word,)


def _bare_engines(lab: "Lab") -> Snapshot:
    return lab.reset().wait(checks.swarm_inactive())


def _one_manager(lab: "Lab") -> Snapshot:
    formation.lead(lab.reset().node("manager1"))
    return lab.wait(checks.nodes_ready(1), checks.swarm_inactive("worker1", "worker2"))


def _swarm(lab: "Lab") -> Snapshot:
    return lab.reset(swarm=True).wait(checks.nodes_ready(len(lab.nodes)))


def _swarm_with_its_networks(lab: "Lab") -> Snapshot:
    """A node's part of `ingress`, and with it `docker_gwbridge`, comes a second after the node is ready."""
    snapshot = _swarm(lab)
    there = "until docker network inspect docker_gwbridge >/dev/null 2>&1; do sleep 0.05; done"
    run_on(list(lab.nodes.values()), there, timeout=30)
    return snapshot


CHAPTERS = {
    "why-orchestrate": Chapter("why", _swarm, ("web:1", "nginx")),
    "create-a-swarm": Chapter("create", _bare_engines),
    "join-and-manage-nodes": Chapter("join", _one_manager),
    "set-availability": Chapter("availability", _swarm, ("web:1",)),
    "run-services": Chapter(
        "services",
        _swarm,
        ("nginx:latest", "web:1", "web:2", "web:3", "web:broken", "redis:latest", "hello-world"),
    ),
    "connect-overlays": Chapter(
        "overlays", _swarm_with_its_networks, ("toolbox:latest", "nginx:latest", "web:1", "redis:latest")
    ),
    "keep-data": Chapter("data", _swarm, ("alpine",)),
    "ship-stacks": Chapter("stacks", _swarm, ("web:1", "web:2", "redis:7", "alpine")),
    "survive-failures": Chapter("failures", _swarm, images=("web:1",)),
    "prove-it": Chapter("exam", _swarm, ("nginx", "web:1", "web:2", "web:3", "redis", "counter", "toolbox")),
}
