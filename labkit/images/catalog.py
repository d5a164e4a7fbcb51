"""What the lab's registry holds from the start: the course's images, stand-ins, plugins.

The image `labkit/bank` is the image `registry` with all of this in it. It's filled once per host, by real
pushes into a container of that image, so every lab starts with it at no cost.
"""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import docker
from docker.errors import DockerException
from docker.models.containers import Container

from labkit.images import parallel_build
from labkit.images.base_image import IMAGE_LABEL
from labkit.images.dockerfile import filling, remove_containers
from labkit.util.console import Say

NAME = "bank"
STARTER = "starter"
"""The image `registry` with what chapter 00 needs: a first lab starts with it while the bank is filled."""
STAND_IN_LABEL = "org.labkit.stand-in"
REFERENCE_LABEL = "org.labkit.reference"

_FILLING = "labkit-filling"  # a name, not a label, which the image would pass on to every lab
_EXPORTED = "labkit-filling-plugin"
_LOOPBACK = "127.0.0.1"
_READY_SECONDS = "20"
_TAGS_WIDTH = 40
_PUSHED, _BANK = "5000/tcp", "5002/tcp"  # the listeners of images/sources/registry/lab-registry

Build = Callable[[docker.DockerClient, str, str, dict[str, str], dict[str, str]], None]
"""Builds a folder as a tag, with arguments for its Dockerfile and labels."""


@dataclass(frozen=True)
class BankImage:
    """An image in the registry: learners pull `reference`, and it's built from `folder` under images/sources.

    `stand_in` says what it really is, if the reference is someone else's image on Docker Hub.
    """

    reference: str
    folder: str
    arguments: dict[str, str] = field(default_factory=dict)
    stand_in: str = ""


@dataclass(frozen=True)
class Plugin:
    """A managed plugin in the lab's registry: learners install `registry:5000/NAME:TAG`."""

    folder: str
    tag: str
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return f"registry:5000/{self.folder}:{self.tag}"


Entry = BankImage | Plugin


def _stand_ins(name: str, tags: str, folder: str, really: str) -> list[BankImage]:
    return [BankImage(f"{name}:{tag}", folder, stand_in=really) for tag in tags.split()]


IMAGES = (
    *(BankImage(f"web:{version}", "web", {"VERSION": version}) for version in ("1", "2", "3", "broken")),
    BankImage("toolbox:latest", "toolbox"),
    BankImage("counter:latest", "counter"),
    *_stand_ins(
        "nginx",
        "latest alpine stable stable-alpine mainline mainline-alpine 1 1-alpine 1.24 1.25 1.25-alpine 1.26 "
        "1.26-alpine 1.27 1.27-alpine 1.28 1.28-alpine 1.29 1.29-alpine",
        "nginx",
        "nginx 1.26 of Debian 13",
    ),
    *_stand_ins(
        "redis",
        "latest alpine 3.0.6 3.0.7 6 6-alpine 7 7-alpine 7.4 7.4-alpine 7.4.0 7.4.1 8 8-alpine",
        "redis",
        "redis 8.0 of Debian 13",
    ),
    *_stand_ins(
        "alpine",
        "latest 3 3.18 3.19 3.20 3.21 3.22",
        "alpine",
        "busybox 1.37 of Debian 13 (glibc, no apk)",
    ),
    *_stand_ins("busybox", "latest stable 1 1.36 1.37", "busybox", "busybox 1.37 of Debian 13"),
    *_stand_ins("ubuntu", "latest 22.04 24.04 jammy noble", "debian", "Debian 13"),
    *_stand_ins("debian", "latest 13 trixie trixie-slim stable-slim", "debian", "Debian 13"),
    *_stand_ins("registry", "latest 2 2.8 3", "docker-registry", "docker-registry 2.8 of Debian 13"),
    *_stand_ins("hello-world", "latest", "hello-world", "a greeting by busybox of Debian 13"),
)
PLUGINS = (
    Plugin("rclone", "1"),
    Plugin("rclone", "2", {"VERSION": "2"}),
    Plugin("rclone", "latest", {"VERSION": "2"}),
    Plugin("webdav-log", "1"),
    Plugin("webdav-log", "latest"),
)

FIRST = ("web:1", "nginx:latest")
"""What the image `starter` holds: all that tasks in chapter 00 run."""


def table() -> str:
    """Everything that the image `bank` holds, as a text that changes when it does."""
    return repr((IMAGES, PLUGINS))


def folders() -> list[str]:
    """The image folders that the image `bank` is built from, including its registry's."""
    return sorted({"registry", *(image.folder for image in IMAGES), *(plugin.folder for plugin in PLUGINS)})


def starters() -> list[Entry]:
    """The entries that the image `starter` holds."""
    return [image for image in IMAGES if image.reference in FIRST]


def rest() -> list[Entry]:
    """The entries that the image `bank` has beyond those of the image `starter`."""
    return [*(image for image in IMAGES if image.reference not in FIRST), *PLUGINS]


def own() -> list[str]:
    """The references of the course's own images."""
    return [image.reference for image in IMAGES if not image.stand_in]


def overview() -> list[tuple[str, str, str]]:
    """Rows of name, what it really is, and tags, for everything that the registry has without internet."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for image in IMAGES:
        name, _, tag = image.reference.partition(":")
        what = f"stand-in: {image.stand_in}" if image.stand_in else "itself"
        kinds.setdefault((name, what), []).append(tag)
    for plugin in PLUGINS:
        kinds.setdefault((plugin.reference.rpartition(":")[0], "a plugin"), []).append(plugin.tag)
    rows = []
    for (name, what), tags in kinds.items():
        first, *more = textwrap.wrap(" ".join(tags), _TAGS_WIDTH)
        rows += [(name, what, first), *(("", "", line) for line in more)]
    return rows


def fill(
    client: docker.DockerClient,
    registry: str,
    tag: str,
    build: Build,
    say: Say,
    *,
    name: str = NAME,
    entries: Sequence[Entry] | None = None,
) -> None:
    """Create the image `tag` from the image `registry` and entries of this catalog, by default all of them.

    `build` is called in several threads, with a client each. Raises ImageUnavailable. Leaves nothing behind
    but the image, and removes what a killed call left.
    """
    chosen: Sequence[Entry] = (*IMAGES, *PLUGINS) if entries is None else entries
    wanted = {entry.reference: entry for entry in chosen}
    with filling(tag, lambda: _clear(client)):
        container = client.containers.create(
            registry,
            ["lab-registry", "fill"],
            name=_FILLING,
            # Any free ports on loopback, where engines push without TLS. The stubs don't allow None.
            ports={_PUSHED: (_LOOPBACK, None), _BANK: (_LOOPBACK, None)},  # type: ignore[dict-item]
        )
        container.start()
        code, _ = container.exec_run(["timeout", _READY_SECONDS, "registry-ready", "http"])
        if code:
            said = b"".join(container.logs(tail=10, stream=True, follow=False)).decode(errors="replace")
            raise DockerException(f"its registries did not answer within {_READY_SECONDS} s\n{said}")
        container.reload()
        bank, pushed = (_address(container, port) for port in (_BANK, _PUSHED))

        def add(own: docker.DockerClient, reference: str) -> None:
            entry = wanted[reference]
            say(f"adding {reference}")
            if isinstance(entry, Plugin):
                _push_plugin(own, entry, f"{pushed}/{entry.folder}:{entry.tag}", build)
            else:
                _push_image(own, entry, f"{bank}/library/{entry.reference}", build)

        parallel_build.build_all(client, _order(wanted.values()), add)
        container.stop(timeout=5)
        repository, _, version = tag.partition(":")
        changes = ['CMD ["lab-registry"]', f"LABEL {IMAGE_LABEL}={name}"]
        container.commit(repository, version, changes=changes)


def _order(entries: Iterable[Entry]) -> dict[str, set[str]]:
    """What each entry has to wait for: the first of its folder, so that it finds its layers in the registry.

    Plugins go one after another, because the engine can't have two with the same content at once.
    """
    first: dict[str, str] = {}
    order: dict[str, set[str]] = {}
    last_plugin: set[str] = set()
    for entry in sorted(entries, key=lambda entry: isinstance(entry, BankImage)):  # the slow ones first
        if isinstance(entry, Plugin):
            order[entry.reference], last_plugin = last_plugin, {entry.reference}
        else:
            leader = first.setdefault(entry.folder, entry.reference)
            order[entry.reference] = {leader} - {entry.reference}
    return order


def _clear(client: docker.DockerClient) -> None:
    """Remove what filling needs temporarily: containers, and plugins and images tagged for loopback."""
    remove_containers(client, _FILLING, _EXPORTED)
    ours = tuple(f"/{plugin.folder}:{plugin.tag}" for plugin in PLUGINS)
    for plugin in client.api.plugins():
        if plugin["Name"].startswith(f"{_LOOPBACK}:") and plugin["Name"].endswith(ours):
            client.api.remove_plugin(plugin["Name"], force=True)
    client.images.prune(filters={"dangling": True, "label": REFERENCE_LABEL})  # whose build was stopped
    for image in client.images.list(filters={"label": REFERENCE_LABEL}):
        for tag in image.tags:
            if tag.startswith(f"{_LOOPBACK}:"):
                client.images.remove(tag)


def _address(container: Container, port: str) -> str:
    """The address at which the engine reaches a container's published port."""
    return f"{_LOOPBACK}:{container.attrs['NetworkSettings']['Ports'][port][0]['HostPort']}"


def _push_image(client: docker.DockerClient, entry: BankImage, target: str, build: Build) -> None:
    labels = {REFERENCE_LABEL: entry.reference}
    if entry.stand_in:
        labels[STAND_IN_LABEL] = entry.stand_in
    build(client, entry.folder, target, entry.arguments, labels)
    for event in client.api.push(target, stream=True, decode=True):
        if "error" in event:
            raise DockerException(event["error"])


def _push_plugin(client: docker.DockerClient, plugin: Plugin, target: str, build: Build) -> None:
    """Create a plugin from the image's file system and push it.

    Uses the engine's API: docker-py's `create_plugin` needs a folder, and its `push_plugin` pulls (7.1).
    """
    build(client, plugin.folder, target, plugin.arguments, {REFERENCE_LABEL: plugin.reference})
    container = client.containers.create(target, "nothing", name=_EXPORTED)
    url = f"{client.api.base_url}/v{client.api.api_version}/plugins"
    for place, options in (
        ("create", {"params": {"name": target}, "data": container.export()}),
        (f"{target}/push", {"headers": {"X-Registry-Auth": "e30="}}),  # {}: the registry needs no credentials
    ):
        reply = client.api.post(f"{url}/{place}", timeout=client.api.timeout, **options)
        if reply.status_code >= 400 or '"error"' in reply.text:
            raise DockerException(f"{target}: {place}: {reply.text}")
    container.remove(v=True)
    client.api.remove_plugin(
        target, force=True
    )  # now, because a second one with the same content can't be created
