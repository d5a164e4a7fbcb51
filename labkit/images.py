"""The lab's images: where they come from, under which content tags, which are there.

A folder `labkit/images/NAME` is one image, `labkit/NAME:<hash of the folder and of its base>`. A changed
folder has another tag and is built; an unchanged one costs one look-up.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from labkit import base_image, lock
from labkit.base_image import IMAGE_LABEL, ORIGIN_LABEL, UPSTREAM
from labkit.errors import ImageUnavailable

FOLDER = Path(__file__).parent / "images"
STAGE_LABEL = "org.labkit.build-stage"

Say = Callable[[str], None]


@dataclass(frozen=True)
class ImageInfo:
    """An image of the lab in the outer engine. `size` in bytes, `current` when its tag fits its folder."""

    tag: str
    size: int
    origin: str
    current: bool


def content_tag(name: str) -> str:
    """The tag of image `name` as its folder stands now."""
    digest = hashlib.sha256()
    for folder in ("base", name):
        for path in sorted(path for path in (FOLDER / folder).rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(FOLDER)} {path.stat().st_mode & 0o100:o} ".encode())
            digest.update(path.read_bytes())
    digest.update(UPSTREAM.encode())
    return f"labkit/{name}:{digest.hexdigest()[:12]}"


def ensure(client: docker.DockerClient, name: str, say: Say) -> str:
    """Return the content tag of image `name`, building the image when it is not there.

    The tag `labkit/NAME:latest`, which the topology file names, is moved along. Raises ImageUnavailable.
    """
    tag = content_tag(name)
    if not has(client, tag):
        with lock.hold("images", say=say):
            if not has(client, tag):  # another command may have built it meanwhile
                _build(client, name, tag, ensure_base(client, say), say)
        _remove_outdated(client, name, tag)
    client.api.tag(tag, f"labkit/{name}", "latest")
    return tag


def ensure_base(client: docker.DockerClient, say: Say) -> str:
    """Return the base image's content tag, making the image when it is not there. Raises ImageUnavailable."""
    tag = content_tag("base")
    if not has(client, tag):
        base_image.make(client, tag, FOLDER / "base", say)
    return tag


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
            origin=(image.attrs["Config"].get("Labels") or {}).get(ORIGIN_LABEL, UPSTREAM),
            current=tag == content_tag(tag.partition("/")[2].partition(":")[0]),
        )
        for image in client.images.list()
        for tag in image.tags
        if tag.startswith("labkit/") and not tag.endswith(":latest")
    ]


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


def _build(client: docker.DockerClient, name: str, tag: str, base: str, say: Say) -> None:
    say(f"building {tag}")
    log: list[str] = []
    try:
        for event in client.api.build(
            path=str(FOLDER / name),
            tag=tag,
            buildargs={"BASE": base},
            labels={IMAGE_LABEL: name},
            rm=True,
            forcerm=True,
            decode=True,
            timeout=600,
        ):
            if "error" in event:
                raise BuildError(event["error"], iter(()))
            for line in event.get("stream", "").splitlines():
                log.append(line)
                if line.startswith("Step "):
                    say(line if len(line) < 100 else f"{line[:98]} …")
    except (DockerException, OSError) as error:
        raise ImageUnavailable(
            f"image {tag} could not be built",
            evidence=[*log[-15:], str(error)],
            next_step="mend what the last lines say, then run the command again",
        ) from None
    finally:
        client.images.prune(filters={"dangling": True, "label": STAGE_LABEL})


def _remove_outdated(client: docker.DockerClient, name: str, current: str) -> None:
    for image in client.images.list(name=f"labkit/{name}"):
        for tag in image.tags:
            if tag not in (current, f"labkit/{name}:latest"):
                try:
                    client.images.remove(tag)
                except APIError:
                    continue  # nodes of another lab run on it
