"""Builds the lab's images under content tags, and lists and removes them.

A folder `labkit/images/sources/NAME` is one image, `labkit/NAME:<hash of the folder and its foundations>`. A
changed folder gets a new tag and is built; an unchanged one costs one look-up. A Dockerfile names the images
it's based on as defaults of its arguments: `ARG BASE=debian:trixie-slim`, `ARG NGINX=labkit/nginx`.

The images of several engines come from the folders `node` and `base` (`images/engines.py`).
Some images have no folder: `bank` is the image `registry` filled with what `images/catalog.py` lists,
`starter` is its beginning, and `machine` is the image `vm` filled by `images/vm_disk.py`.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import docker

from labkit.images import (
    architecture,
    base_image,
    catalog,
    dockerfile,
    engines,
    parallel_build,
    store,
    vm_disk,
)
from labkit.images.base_image import IMAGE_LABEL, ORIGIN_LABEL, UPSTREAM
from labkit.util import lock
from labkit.util.console import ProgressReporter, Say
from labkit.util.errors import ImageUnavailable

FOLDER = Path(__file__).parent / "sources"

_FOUNDATION = re.compile(
    rf"^ARG (?P<argument>\w+)=(?:labkit/(?P<name>[\w-]+)|{re.escape(UPSTREAM)})$", re.MULTILINE
)


FILLING = "bank"
"""The lock of a process that builds the image `starter` first, so that labs can start, and then the bank."""

_PACKAGES = "packages"
_FILLED = (catalog.NAME, catalog.STARTER, vm_disk.NAME)
_BUILD_SECONDS = 1800.0
_CONTENT_TAG = re.compile(r"labkit/[\w.-]+:[0-9a-f]{12}")


@dataclass(frozen=True)
class ImageInfo:
    """An image of the lab in the outer engine.

    `size` is in bytes; `origin` says where the base is from, `current` whether the tag matches its content.
    """

    tag: str
    size: int
    origin: str
    current: bool


def content_tag(name: str) -> str:
    """The tag of image `name`, from the current content of its folder and its foundations."""
    digest = hashlib.sha256()
    folder, suite = engines.folder_of(name), engines.suite_of(name)
    for path in sorted(path for path in (FOLDER / folder).rglob("*") if path.is_file()):
        if path.parent.name == "__pycache__":  # pip compiles the modules that it installs
            continue
        digest.update(f"{path.relative_to(FOLDER)} {path.stat().st_mode & 0o100:o} ".encode())
        digest.update(path.read_bytes())
    if name == catalog.NAME:
        digest.update(catalog.table().encode())
    if name == catalog.STARTER:
        digest.update(repr(catalog.starters()).encode())
    if name == vm_disk.NAME:
        digest.update(vm_disk.recipe().encode())
    if suite:
        digest.update((UPSTREAM if name == "base" else base_image.upstream(suite)).encode())
    digest.update("".join(engines.arguments_of(name).values()).encode())
    for below in foundations(name).values():
        digest.update(content_tag(below).encode())
    return f"labkit/{name}:{digest.hexdigest()[:12]}"


def content_tags(images: Iterable[str]) -> list[str]:
    """The content tags of images such as `labkit/node`."""
    return [content_tag(engines.name_of(image)) for image in images]


def foundations(name: str) -> dict[str, str]:
    """The lab's images that image `name` is based on, by the arguments in its Dockerfile."""
    if name == catalog.NAME:
        return {folder: folder for folder in catalog.folders()}
    if name == catalog.STARTER:
        return {folder: folder for folder in ("registry", *(image.folder for image in catalog.starters()))}
    if name == vm_disk.NAME:
        return {image: image for image in ("vm", *vm_disk.CARRIED)}
    file = FOLDER / engines.folder_of(name) / "Dockerfile"
    text = file.read_text() if file.exists() else ""  # the base doesn't have one
    found = {found["argument"]: found["name"] or "base" for found in _FOUNDATION.finditer(text)}
    return engines.foundations_of(name, found)


def ensure(client: docker.DockerClient, name: str, say: Say) -> str:
    """Return the content tag of image `name`, building the image if it doesn't exist.

    Also moves the tags that the topology file uses (`engines.moving_tags`). Raises ImageUnavailable, or
    EngineUnsuitable for the virtual machine's image if the engine's processor can't run one.
    """
    if name == vm_disk.NAME:
        architecture.require_vm(client)
    tag = content_tag(name)
    if not store.has(client, tag):
        _build(client, [name], say)
    present = client.images.get(tag).tags
    for moving in _moving_tags(name):
        if moving not in present:  # tagging fails on a full disk
            _tag(client, tag, moving)
    if name == catalog.NAME:
        store.remove(client, content_tag(catalog.STARTER))  # fails as long as a registry runs on it
    return tag


def ensure_all(
    client: docker.DockerClient, images: Iterable[str], reporter: ProgressReporter, *, early: bool = False
) -> dict[str, str]:
    """Ensure images such as `labkit/node`, a step each; return their content tags by name.

    Builds what is missing together, several at a time. With `early`, the image `starter` is enough in place
    of a missing `labkit/bank` while a process holds the lock FILLING.
    """
    names = {image: engines.name_of(image) for image in images}
    if early and lock.is_held(FILLING) and not store.has(client, content_tag(catalog.NAME)):
        names |= {image: catalog.STARTER for image, name in names.items() if name == catalog.NAME}
    lacking = [name for name in names.values() if not store.has(client, content_tag(name))]
    if len(lacking) > 1:
        with reporter.step("Missing images") as step:
            _build(client, lacking, step.note)
            step.result = "built " + " ".join(lacking)
    return {image: ensure_step(client, name, reporter) for image, name in names.items()}


def ensure_step(client: docker.DockerClient, name: str, reporter: ProgressReporter) -> str:
    """The same as `ensure`, reported as a step."""
    with reporter.step(f"Image labkit/{name}") as step:
        tag = ensure(client, name, step.note)
        step.result = tag.rpartition(":")[2]
    return tag


def installed_tag(client: docker.DockerClient, name: str) -> str | None:
    """The content tag of image `name` if the engine has it, otherwise None."""
    tag = content_tag(name)
    return tag if store.has(client, tag) else None


def installed(client: docker.DockerClient) -> list[ImageInfo]:
    """The lab's images in the outer engine, newest first."""
    return [
        ImageInfo(
            tag=tag,
            size=image.attrs["Size"],
            origin=image.labels.get(ORIGIN_LABEL, base_image.upstream(suite)) if suite else "",
            current=tag == content_tag(name),
        )
        for image in client.images.list()
        for tag in image.tags
        if _CONTENT_TAG.fullmatch(tag)
        for name in [tag.partition("/")[2].partition(":")[0]]
        for suite in [engines.suite_of(name)]
    ]


def remove_all(client: docker.DockerClient) -> list[str]:
    """Remove the lab's images that aren't in use; return their tags."""
    tags = [tag for image in client.images.list() for tag in image.tags if tag.startswith("labkit/")]
    return [tag for tag in tags if store.remove(client, tag)]


def _tag(client: docker.DockerClient, tag: str, moving: str) -> None:
    repository, _, version = moving.partition(":")
    client.api.tag(tag, repository, version)


def _build(client: docker.DockerClient, names: Iterable[str], say: Say) -> None:
    """Build images and their foundations if they're missing, while no other process builds any."""
    with lock.hold("images", say=say, wait=_BUILD_SECONDS):
        try:
            _make_all(client, list(names), say)
        finally:
            for image in client.images.list(name=f"labkit/{_PACKAGES}"):
                for tag in image.tags:
                    store.remove(client, tag)
            dockerfile.remove_stages(client)


def _make_all(client: docker.DockerClient, names: list[str], say: Say) -> None:
    """Do the work of `_build`, partly in sequence and partly in parallel."""
    todo = parallel_build.missing(
        names, needs, lambda name: name != _PACKAGES and store.has(client, content_tag(name))
    )
    if sum(_PACKAGES in others for others in todo.values()) < 2:  # it would cost more than it saves
        todo.pop(_PACKAGES, None)
    for name in filter(engines.suite_of, todo):
        _make(client, name, say)
    plan = {name: others for name, others in todo.items() if not (engines.suite_of(name) or name in _FILLED)}
    parallel_build.build_all(
        client, plan, lambda own, name: _make(own, name, lambda line: say(f"{name}: {line}"))
    )
    for name in filter(_FILLED.__contains__, todo):
        _make(client, name, say)


def needs(name: str) -> list[str]:
    """The images that have to be there before image `name` is built."""
    return [*foundations(name).values(), *([_PACKAGES] if _takes_packages(name) else [])]


def _takes_packages(name: str) -> bool:
    """Whether an image installs packages in a build stage only, so that it doesn't keep the package list."""
    if name in _FILLED or name == _PACKAGES:
        return False
    bases = [argument for argument, other in foundations(name).items() if other == "base"]
    files = [*(FOLDER / engines.folder_of(name)).glob("[!.]*")] if bases else []
    texts = {path.name: path.read_text() for path in files if path.is_file()}
    return any("apt-get update" in text for text in texts.values()) and not any(
        dockerfile.holds(texts["Dockerfile"], argument) for argument in bases
    )


def _arguments(client: docker.DockerClient, name: str) -> dict[str, str]:
    """The arguments for the Dockerfile of an image whose foundations are there."""
    base = _PACKAGES if _takes_packages(name) and store.has(client, content_tag(_PACKAGES)) else "base"
    below = {
        argument: content_tag(base if other == "base" else other)
        for argument, other in foundations(name).items()
    }
    return {**below, **engines.build_arguments(name)}


def _moving_tags(name: str) -> list[str]:
    return [] if name in (_PACKAGES, catalog.STARTER) else engines.moving_tags(name)


def _make(client: docker.DockerClient, name: str, say: Say) -> str:
    """Build image `name`, whose foundations are there; return its content tag."""
    tag = content_tag(name)
    if store.has(client, tag):  # another command may have built it in the meantime
        return tag
    say(f"building {tag}")
    lock.note("images", f"building {tag}")
    if suite := engines.suite_of(name):
        base_image.make(client, tag, FOLDER / "base", say, suite)
    elif name in (catalog.NAME, catalog.STARTER):
        _fill(client, name, tag, say)
    elif name == vm_disk.NAME:
        carried = content_tags(vm_disk.CARRIED)
        vm_disk.build(client, content_tag("vm"), content_tag("node"), store.save(client, carried), tag, say)
    else:
        folder = FOLDER / engines.folder_of(name)
        try:
            dockerfile.build(client, folder, tag, _arguments(client, name), {IMAGE_LABEL: name}, say)
        except ImageUnavailable as error:
            raise engines.explain(error) from None
    # First: while the old image has this second tag, its own one can be removed even if it's in use.
    for moving in _moving_tags(name):
        _tag(client, tag, moving)
    for image in client.images.list(name=f"labkit/{name}"):
        for other in image.tags:
            if other != tag and other.startswith(f"labkit/{name}:") and _CONTENT_TAG.fullmatch(other):
                store.remove(client, other)
    return tag


def _fill(client: docker.DockerClient, name: str, tag: str, say: Say) -> None:
    """Build the image `bank`, on the image `starter` if it exists; or build the image `starter`."""

    def build(
        own: docker.DockerClient, folder: str, target: str, arguments: dict[str, str], labels: dict[str, str]
    ) -> None:
        if arguments:
            given = {**_arguments(own, folder), **arguments}
            dockerfile.build(own, FOLDER / folder, target, given, labels, lambda _: None)
        else:
            dockerfile.derive(own, content_tag(folder), target, labels)

    below, entries = content_tag("registry"), catalog.starters() + catalog.rest()
    if name == catalog.STARTER:
        entries = catalog.starters()
    elif store.has(client, content_tag(catalog.STARTER)):
        below, entries = content_tag(catalog.STARTER), catalog.rest()
    catalog.fill(client, below, tag, build, say, name=name, entries=entries)
