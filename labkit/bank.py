"""What the lab's registry holds before anybody pushes: the course's images, stand-ins, plugins.

The image `labkit/bank` is the image `registry` with all of this in it. It is filled once per machine, by real
pushes into a container of that image, and then starts with every lab at no cost.
"""

import contextlib
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from labkit.base_image import IMAGE_LABEL
from labkit.dockerfile import Say
from labkit.errors import ImageUnavailable

NAME = "bank"
STAND_IN_LABEL = "org.labkit.stand-in"
REFERENCE_LABEL = "org.labkit.reference"

_FILLING = "labkit-filling"  # the container's name, and no label: the image would carry that on to every lab
_EXPORTED = "labkit-filling-plugin"
_LOOPBACK = "127.0.0.1"
_READY_SECONDS = "20"
_TAGS_WIDTH = 40
_PUSHED, _BANK = "5000/tcp", "5002/tcp"  # the listeners of images/registry/lab-registry

Build = Callable[[str, str, dict[str, str], dict[str, str]], None]
"""Builds a folder as a tag, with arguments for its Dockerfile and labels."""


@dataclass(frozen=True)
class BankImage:
    """An image of the bank: `reference` is what learners pull, `folder` the one under images/ it is made of.

    `stand_in` says what it really is, where the reference is another's on Docker Hub.
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


def table() -> str:
    """All that the bank holds, as a text that changes when it does."""
    return repr((IMAGES, PLUGINS))


def folders() -> list[str]:
    """The image folders that the bank is made of, its registry among them."""
    return sorted({"registry", *(image.folder for image in IMAGES), *(plugin.folder for plugin in PLUGINS)})


def own() -> list[str]:
    """The references of the course's own images."""
    return [image.reference for image in IMAGES if not image.stand_in]


def overview() -> list[tuple[str, str, str]]:
    """Rows of name, what it really is, and tags, for all that the registry answers to without internet."""
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


def fill(client: docker.DockerClient, registry: str, tag: str, build: Build, say: Say) -> None:
    """Make the image `tag` of the image `registry` and everything that the bank holds.

    Raises ImageUnavailable. Leaves nothing behind but the image, also of an earlier call that was killed.
    """
    _clear(client)
    container = client.containers.create(
        registry,
        ["lab-registry", "fill"],
        name=_FILLING,
        # Any free ports of loopback, where engines push without TLS. The stubs do not know None for "any".
        ports={_PUSHED: (_LOOPBACK, None), _BANK: (_LOOPBACK, None)},  # type: ignore[dict-item]
    )
    try:
        container.start()
        code, _ = container.exec_run(["timeout", _READY_SECONDS, "registry-ready", "http"])
        if code:
            said = b"".join(container.logs(tail=10, stream=True, follow=False)).decode(errors="replace")
            raise DockerException(f"its registries did not answer within {_READY_SECONDS} s\n{said}")
        container.reload()
        bank, pushed = (_address(container, port) for port in (_BANK, _PUSHED))
        for entry in IMAGES:
            say(f"adding {entry.reference}")
            _push_image(client, entry, f"{bank}/library/{entry.reference}", build)
        for plugin in PLUGINS:
            say(f"adding {plugin.reference}")
            _push_plugin(client, plugin, f"{pushed}/{plugin.folder}:{plugin.tag}", build)
        container.stop(timeout=5)
        repository, _, version = tag.partition(":")
        changes = ['CMD ["lab-registry"]', f"LABEL {IMAGE_LABEL}={NAME}"]
        container.commit(repository, version, changes=changes)
    except (DockerException, OSError) as error:
        raise ImageUnavailable(
            f"{tag} could not be filled",
            evidence=[str(error)],
            next_step="run the command again",
        ) from None
    finally:
        _clear(client)


def _clear(client: docker.DockerClient) -> None:
    """Remove what filling needs for a while: containers; plugins and images named by a port of loopback."""
    for name in (_FILLING, _EXPORTED):
        with contextlib.suppress(NotFound):
            client.api.remove_container(name, force=True, v=True)
    ours = tuple(f"/{plugin.folder}:{plugin.tag}" for plugin in PLUGINS)
    for plugin in client.api.plugins():
        if plugin["Name"].startswith(f"{_LOOPBACK}:") and plugin["Name"].endswith(ours):
            client.api.remove_plugin(plugin["Name"], force=True)
    for image in client.images.list(filters={"label": REFERENCE_LABEL}):
        for tag in image.tags:
            if tag.startswith(f"{_LOOPBACK}:"):
                client.images.remove(tag)


def _address(container: Container, port: str) -> str:
    """Where the engine reaches a published port of a container."""
    return f"{_LOOPBACK}:{container.attrs['NetworkSettings']['Ports'][port][0]['HostPort']}"


def _push_image(client: docker.DockerClient, entry: BankImage, target: str, build: Build) -> None:
    labels = {REFERENCE_LABEL: entry.reference}
    if entry.stand_in:
        labels[STAND_IN_LABEL] = entry.stand_in
    build(entry.folder, target, entry.arguments, labels)
    for event in client.api.push(target, stream=True, decode=True):
        if "error" in event:
            raise DockerException(event["error"])


def _push_plugin(client: docker.DockerClient, plugin: Plugin, target: str, build: Build) -> None:
    """Make a plugin of the image's file system and push it.

    By the engine's API: docker-py's `create_plugin` wants a folder, its `push_plugin` asks for a pull (7.1).
    """
    build(plugin.folder, target, plugin.arguments, {REFERENCE_LABEL: plugin.reference})
    container = client.containers.create(target, "nothing", name=_EXPORTED)
    url = f"{client.api.base_url}/v{client.api.api_version}/plugins"
    for place, options in (
        ("create", {"params": {"name": target}, "data": container.export()}),
        (f"{target}/push", {"headers": {"X-Registry-Auth": "e30="}}),  # {}: nobody asks who pushes
    ):
        reply = client.api.post(f"{url}/{place}", timeout=client.api.timeout, **options)
        if reply.status_code >= 400 or '"error"' in reply.text:
            raise DockerException(f"{target}: {place}: {reply.text}")
    container.remove(v=True)
    client.api.remove_plugin(target, force=True)  # now: another one of the same content could not be made
