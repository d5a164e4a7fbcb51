"""Builds the lab's images under content tags, and saves, loads, lists, and removes them.

A folder `labkit/images/sources/NAME` is one image, `labkit/NAME:<hash of the folder and its foundations>`. A
changed folder gets a new tag and is built; an unchanged one costs one look-up. A Dockerfile names the images
it's based on as defaults of its arguments: `ARG BASE=debian:trixie-slim`, `ARG NGINX=labkit/nginx`.

The images of several engines come from the folders `node` and `base` (`images/engines.py`).
Two images have no folder: `bank` is the image `registry` filled with what `images/catalog.py` lists, and
`machine` is the image `vm` filled by `images/vm_disk.py`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from labkit.images import architecture, base_image, catalog, dockerfile, engines, vm_disk
from labkit.images.base_image import IMAGE_LABEL, ORIGIN_LABEL, UPSTREAM
from labkit.util import lock
from labkit.util.console import ProgressReporter, Say
from labkit.util.errors import ImageUnavailable

FOLDER = Path(__file__).parent / "sources"

_FOUNDATION = re.compile(
    rf"^ARG (?P<argument>\w+)=(?:labkit/(?P<name>[\w-]+)|{re.escape(UPSTREAM)})$", re.MULTILINE
)


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
    if name == vm_disk.NAME:
        return {image: image for image in ("vm", *vm_disk.CARRIED)}
    file = FOLDER / engines.folder_of(name) / "Dockerfile"
    text = file.read_text() if file.exists() else ""  # the base doesn't have one
    found = {found["argument"]: found["name"] or "base" for found in _FOUNDATION.finditer(text)}
    return engines.foundations_of(name, found)


def ensure(client: docker.DockerClient, name: str, say: Say) -> str:
    """Return the content tag of image `name`, building the image if it doesn't exist.

    Also moves the tags that the topology file uses (`engines.moving_tags`). Raises ImageUnavailable.
    """
    if name == vm_disk.NAME:
        architecture.require_vm(client)
    tag = content_tag(name)
    if not has(client, tag):
        with lock.hold("images", say=say):
            try:
                _make(client, name, say)
            finally:
                dockerfile.remove_stages(client)
    present = client.images.get(tag).tags
    for moving in engines.moving_tags(name):
        if moving not in present:  # tagging fails on a full disk
            _tag(client, tag, moving)
    return tag


def ensure_all(
    client: docker.DockerClient, images: Iterable[str], reporter: ProgressReporter
) -> dict[str, str]:
    """Ensure images such as `labkit/node`, a step each; return their content tags by name."""
    return {image: ensure_step(client, engines.name_of(image), reporter) for image in images}


def ensure_step(client: docker.DockerClient, name: str, reporter: ProgressReporter) -> str:
    """The same as `ensure`, reported as a step."""
    with reporter.step(f"Image labkit/{name}") as step:
        tag = ensure(client, name, step.note)
        step.result = tag.rpartition(":")[2]
    return tag


def size(client: docker.DockerClient, tag: str) -> int:
    """The size of an image in bytes, including what it shares with others."""
    return int(client.images.get(tag).attrs["Size"])


def save(client: docker.DockerClient, tags: Iterable[str]) -> Iterator[bytes]:
    """The images with these tags as one archive, in chunks; it holds what they share only once.

    Uses the engine's API, because docker-py's `save` takes a single image (7.1).
    """
    url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
    reply = client.api.get(url, params={"names": list(tags)}, stream=True, timeout=client.api.timeout)
    if reply.status_code != 200:
        raise _refused("save", reply.text)
    yield from reply.iter_content(1 << 20)


def load(client: docker.DockerClient, archive: Iterator[bytes]) -> None:
    """Load the images of an archive, gzipped or not, with their tags. Raises ImageUnavailable."""
    try:
        client.images.load(archive)  # type: ignore[arg-type]  # requests sends it in chunks
    except DockerException as error:
        raise _refused("load", str(error)) from None


def _refused(action: str, reason: str) -> ImageUnavailable:
    return ImageUnavailable(
        f"the Docker engine could not {action} the images",
        evidence=[reason],
        next_step="run the command again",
    )


def installed_tag(client: docker.DockerClient, name: str) -> str | None:
    """The content tag of image `name` if the engine has it, otherwise None."""
    tag = content_tag(name)
    return tag if has(client, tag) else None


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
    return [tag for tag in tags if _remove(client, tag)]


def _remove(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.remove(tag)
    except APIError:  # a container uses it
        return False
    return True


def has(client: docker.DockerClient, tag: str) -> bool:
    """Whether the outer engine has an image with this tag."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _tag(client: docker.DockerClient, tag: str, moving: str) -> None:
    repository, _, version = moving.partition(":")
    client.api.tag(tag, repository, version)


def _make(client: docker.DockerClient, name: str, say: Say) -> str:
    """Build image `name` and its foundations, as far as they're missing; return its content tag."""
    tag = content_tag(name)
    if has(client, tag):  # another command may have built it in the meantime
        return tag
    below = {argument: _make(client, other, say) for argument, other in foundations(name).items()}
    say(f"building {tag}")
    if suite := engines.suite_of(name):
        base_image.make(client, tag, FOLDER / "base", say, suite)
    elif name == catalog.NAME:

        def build(folder: str, target: str, arguments: dict[str, str], labels: dict[str, str]) -> None:
            below = {argument: content_tag(other) for argument, other in foundations(folder).items()}
            dockerfile.build(client, FOLDER / folder, target, {**below, **arguments}, labels, say)

        catalog.fill(client, below["registry"], tag, build, say)
    elif name == vm_disk.NAME:
        carried = [below[image] for image in vm_disk.CARRIED]
        vm_disk.build(client, below["vm"], below["node"], save(client, carried), tag, say)
    else:
        folder, arguments = FOLDER / engines.folder_of(name), {**below, **engines.build_arguments(name)}
        try:
            dockerfile.build(client, folder, tag, arguments, {IMAGE_LABEL: name}, say)
        except ImageUnavailable as error:
            raise engines.explain(error) from None
    # First: as long as the old image has this second tag, its own one can be removed even if it's in use.
    for moving in engines.moving_tags(name):
        _tag(client, tag, moving)
    for image in client.images.list(name=f"labkit/{name}"):
        for other in image.tags:
            if other != tag and other.startswith(f"labkit/{name}:") and _CONTENT_TAG.fullmatch(other):
                _remove(client, other)
    return tag
