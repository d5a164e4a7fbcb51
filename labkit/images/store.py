"""Looks up, saves, loads, and removes images in an engine."""

from collections.abc import Iterable, Iterator

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from labkit.util.errors import ImageUnavailable


def has(client: docker.DockerClient, tag: str) -> bool:
    """Whether the outer engine has an image with this tag."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def remove(client: docker.DockerClient, tag: str) -> bool:
    """Remove a tag, and the image if it has no other one; whether that was possible."""
    try:
        client.images.remove(tag)
    except APIError:  # a container uses it
        return False
    return True


def size(client: docker.DockerClient, tag: str) -> int:
    """The size of an image in bytes, including what it shares with others."""
    return int(client.images.get(tag).attrs["Size"])


def save(client: docker.DockerClient, tags: Iterable[str]) -> Iterator[bytes]:
    """The images with these tags as one archive, in chunks; it contains shared layers only once.

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
