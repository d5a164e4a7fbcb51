"""The lab's images: where they come from, under which content tags, which are there.

A folder `labkit/images/NAME` is one image, `labkit/NAME:<hash of the folder and of what it stands on>`. A
changed folder has another tag and is built; an unchanged one costs one look-up. A Dockerfile names what it
stands on as defaults of its arguments: `ARG BASE=debian:trixie-slim`, `ARG NGINX=labkit/nginx`. Two images
have no folder: `bank`, the image `registry` filled with what the module `bank` lists, and `machine`, the
image `vm` filled by the module `baking`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image

from labkit import baking, bank, base_image, dockerfile, lock
from labkit.base_image import IMAGE_LABEL, ORIGIN_LABEL, UPSTREAM
from labkit.console import Story
from labkit.errors import ImageUnavailable
from labkit.topology import Topology

FOLDER = Path(__file__).parent / "images"

_FOUNDATION = re.compile(
    rf"^ARG (?P<argument>\w+)=(?:labkit/(?P<name>[\w-]+)|{re.escape(UPSTREAM)})$", re.MULTILINE
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class ImageInfo:
    """An image of the lab in the outer engine.

    `size` in bytes, `origin` where a base comes from, `current` when the tag fits the content as it is now.
    """

    tag: str
    size: int
    origin: str
    current: bool


def content_tag(name: str) -> str:
    """The tag of image `name` as its content, and what it stands on, stand now."""
    digest = hashlib.sha256()
    for path in sorted(path for path in (FOLDER / name).rglob("*") if path.is_file()):
        if path.parent.name == "__pycache__":  # pip compiles what it installs
            continue
        digest.update(f"{path.relative_to(FOLDER)} {path.stat().st_mode & 0o100:o} ".encode())
        digest.update(path.read_bytes())
    if name == bank.NAME:
        digest.update(bank.table().encode())
    if name == baking.NAME:
        digest.update(Path(baking.__file__).read_bytes())
    if name == "base":
        digest.update(UPSTREAM.encode())
    for below in foundations(name).values():
        digest.update(content_tag(below).encode())
    return f"labkit/{name}:{digest.hexdigest()[:12]}"


def content_tags(wanted: Topology) -> list[str]:
    """The content tags of the images of all services of a topology."""
    return [content_tag(image.rpartition("/")[2]) for image in wanted.images]


def foundations(name: str) -> dict[str, str]:
    """The lab's images that image `name` stands on, by the arguments of its Dockerfile that name them."""
    if name == bank.NAME:
        return {folder: folder for folder in bank.folders()}
    if name == baking.NAME:
        return {image: image for image in ("vm", *baking.CARRIED)}
    file = FOLDER / name / "Dockerfile"
    text = file.read_text() if file.exists() else ""  # the base has none
    return {found["argument"]: found["name"] or "base" for found in _FOUNDATION.finditer(text)}


def ensure(client: docker.DockerClient, name: str, say: Say) -> str:
    """Return the content tag of image `name`, making the image when it is not there.

    The tag `labkit/NAME:latest`, which the topology file names, is moved along. Raises ImageUnavailable.
    """
    tag = content_tag(name)
    if not has(client, tag):
        with _alone(client, say):
            _make(client, name, say)
    if f"labkit/{name}:latest" not in client.images.get(tag).tags:  # a full disk takes no tag
        client.api.tag(tag, f"labkit/{name}", "latest")
    return tag


def ensure_all(client: docker.DockerClient, wanted: Topology, story: Story) -> dict[str, str]:
    """Make the images of all services of a topology, a step each; return the content tags by image name."""
    return {image: ensure_told(client, image.rpartition("/")[2], story) for image in wanted.images}


def ensure_told(client: docker.DockerClient, name: str, story: Story) -> str:
    """The same as `ensure`, as a step of a story."""
    with story.step(f"Image labkit/{name}") as step:
        tag = ensure(client, name, step.note)
        step.result = tag.rpartition(":")[2]
    return tag


def size(client: docker.DockerClient, tag: str) -> int:
    """The size of an image in bytes, with what it shares with others."""
    return int(client.images.get(tag).attrs["Size"])


def save(client: docker.DockerClient, tags: Iterable[str]) -> Iterator[bytes]:
    """The images of these tags as one archive, piece by piece: what they share is in it once.

    By the engine's API: docker-py's `save` takes one image (7.1).
    """
    url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
    reply = client.api.get(url, params={"names": list(tags)}, stream=True, timeout=client.api.timeout)
    if reply.status_code != 200:
        raise ImageUnavailable(
            "the Docker engine does not save its images",
            evidence=[reply.text],
            next_step="run the command again",
        )
    yield from reply.iter_content(1 << 20)


def load(client: docker.DockerClient, archive: Iterator[bytes]) -> None:
    """Load the images of an archive, gzipped or not, with their tags. Raises ImageUnavailable."""
    try:
        client.images.load(archive)  # type: ignore[arg-type]  # requests sends it piece by piece
    except DockerException as error:
        raise ImageUnavailable(
            "the Docker engine did not load the images",
            evidence=[str(error)],
            next_step="run the command again",
        ) from None


def installed_tag(client: docker.DockerClient, name: str) -> str | None:
    """The content tag of image `name` if it is there, else None."""
    tag = content_tag(name)
    return tag if has(client, tag) else None


def installed(client: docker.DockerClient) -> list[ImageInfo]:
    """The lab's images in the outer engine, newest first."""
    return [
        ImageInfo(
            tag=tag,
            size=image.attrs["Size"],
            origin=_origin(image) if (name := tag.partition("/")[2].partition(":")[0]) == "base" else "",
            current=tag == content_tag(name),
        )
        for image in client.images.list()
        for tag in image.tags
        if tag.startswith("labkit/") and not tag.endswith(":latest")
    ]


def _origin(image: Image) -> str:
    return str(image.labels.get(ORIGIN_LABEL, UPSTREAM))


def remove_all(client: docker.DockerClient) -> list[str]:
    """Remove the lab's images and return their tags. An image in use stays and is not returned."""
    removed = []
    tags = [tag for image in client.images.list() for tag in image.tags if tag.startswith("labkit/")]
    for tag in tags:
        try:
            client.images.remove(tag)
        except APIError:
            continue  # a container uses it
        removed.append(tag)
    return removed


def has(client: docker.DockerClient, tag: str) -> bool:
    """Whether the outer engine has an image of this tag."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


@contextmanager
def _alone(client: docker.DockerClient, say: Say) -> Iterator[None]:
    """Make images alone: two commands that want the same one make it once. Leaves no build stage behind."""
    with lock.hold("images", say=say):
        try:
            yield
        finally:
            dockerfile.remove_stages(client)


def _make(client: docker.DockerClient, name: str, say: Say) -> str:
    """Make image `name`, and what it stands on, where they are missing; return the content tag."""
    tag = content_tag(name)
    if has(client, tag):  # another command may have made it meanwhile
        return tag
    below = {argument: _make(client, other, say) for argument, other in foundations(name).items()}
    say(f"building {tag}")
    if name == "base":
        base_image.make(client, tag, FOLDER / "base", say)
    elif name == bank.NAME:

        def build(folder: str, target: str, arguments: dict[str, str], labels: dict[str, str]) -> None:
            below = {argument: content_tag(other) for argument, other in foundations(folder).items()}
            dockerfile.build(client, FOLDER / folder, target, {**below, **arguments}, labels, say)

        bank.fill(client, below["registry"], tag, build, say)
    elif name == baking.NAME:
        carried = [below[image] for image in baking.CARRIED]
        baking.bake(client, below["vm"], below["node"], save(client, carried), tag, say)
    else:
        dockerfile.build(client, FOLDER / name, tag, below, {IMAGE_LABEL: name}, say)
    # First, because an image in use that has another tag loses this one without a question.
    client.api.tag(tag, f"labkit/{name}", "latest")
    _remove_outdated(client, name, tag)
    return tag


def _remove_outdated(client: docker.DockerClient, name: str, current: str) -> None:
    for image in client.images.list(name=f"labkit/{name}"):
        for tag in image.tags:
            if tag not in (current, f"labkit/{name}:latest"):
                try:
                    client.images.remove(tag)
                except APIError:
                    continue  # nodes of another lab run on it
