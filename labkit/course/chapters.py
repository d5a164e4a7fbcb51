"""Each chapter's starting state, reached from any state: every chapter runs alone and in any order."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.cluster import provision, swarm_init
from labkit.cluster.cluster import Cluster
from labkit.course import consent, pick, progress
from labkit.images import builder, catalog
from labkit.swarm import checks
from labkit.swarm.model import Snapshot
from labkit.transport.commands import run_on
from labkit.util.console import ProgressReporter


@dataclass(frozen=True)
class Chapter:
    """`key` names its quiz and begins the names of its exercises; `images` are those that its tasks run.

    `prepare` brings a lab from any state to the starting state.
    """

    key: str
    prepare: Callable[[Cluster], Snapshot]
    images: tuple[str, ...] = ()


def find(chapter: str) -> tuple[str, Chapter]:
    """A chapter and its name, by its notebook's name with or without the number, its number, or its key."""
    if chapter.isdecimal() and int(chapter) < len(CHAPTERS):
        chapter = list(CHAPTERS)[int(chapter)]
    name = chapter.lstrip("0123456789-")
    keys = {found.key: full for full, found in CHAPTERS.items()}
    name = keys.get(name, name)
    return name, pick("chapter", name, CHAPTERS)


def begin(lab: Cluster, chapter: str, yes: bool = False) -> Snapshot:
    """Bring the lab to the starting state of a chapter.

    Raises WouldRemove, and changes nothing, while the lab holds something that a learner made, and LabError
    while an exam runs; neither with `yes`.
    """
    name, found = find(chapter)
    if not yes:
        consent.require(
            lab,
            name,
            lambda: begin(lab, chapter, yes=True),
            python=f'lab.begin("{name}", yes=True)',
            command=lab.context.hint("begin", name, "--yes"),
        )
    snapshot = prepare(lab, found)
    progress.of(lab).note("chapter", name)
    return snapshot


def prepare(lab: Cluster, chapter: Chapter) -> Snapshot:
    """Bring the lab to a chapter's starting state, when all images that the chapter needs are there.

    On a first start, those of later chapters are still being built when the lab is up.
    """
    if not {name if ":" in name else f"{name}:latest" for name in chapter.images} <= set(catalog.FIRST):
        _wait_for_all_images(lab)
    return chapter.prepare(lab)


def _wait_for_all_images(lab: Cluster) -> None:
    client = lab.context.client()
    registry = provision.service_entries(client, lab.name).get("registry")
    starter = builder.installed_tag(client, catalog.STARTER)
    if registry and starter and registry["ImageID"] == client.images.get(starter).id:
        builder.ensure_step(
            client, catalog.NAME, ProgressReporter()
        )  # the next reset starts a registry with it


def images(*wanted: str) -> list[str]:
    """The images of chapters with these names, or images themselves; the course's own when none is named."""
    chapters = {name: CHAPTERS.get(name.lstrip("0123456789-")) for name in wanted or catalog.own()}
    return [image for name, found in chapters.items() for image in (found.images if found else (name,))]


def _bare_engines(lab: Cluster) -> Snapshot:
    return lab.reset().wait(checks.swarm_inactive())


def _one_manager(lab: Cluster) -> Snapshot:
    swarm_init.lead(lab.reset().node("manager1"))
    return lab.wait(checks.nodes_ready(1), checks.swarm_inactive("worker1", "worker2"))


def _swarm(lab: Cluster) -> Snapshot:
    return lab.reset(swarm=True).wait(checks.nodes_ready(len(lab.nodes)))


def _swarm_with_its_networks(lab: Cluster) -> Snapshot:
    """A node gets its part of `ingress`, and with it `docker_gwbridge`, a second after it is ready."""
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
        ("nginx:latest", "web:1", "web:2", "web:3", "web:broken", "redis:latest", "hello-world", "alpine"),
    ),
    "connect-overlays": Chapter(
        "overlays", _swarm_with_its_networks, ("toolbox:latest", "nginx:latest", "web:1", "redis:latest")
    ),
    "keep-data": Chapter("data", _swarm, ("alpine",)),
    "ship-stacks": Chapter("stacks", _swarm, ("web:1", "web:2", "redis:7", "alpine")),
    "survive-failures": Chapter("failures", _swarm, images=("web:1",)),
    "prove-it": Chapter("exam", _swarm, ("nginx", "web:1", "web:2", "web:3", "redis", "counter", "toolbox")),
}
