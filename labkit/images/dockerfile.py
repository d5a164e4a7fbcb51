"""Builds an image from a folder with a Dockerfile, using the engine's own builder."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import urllib3
from docker.errors import BuildError, DockerException, NotFound

from labkit.images import proxies
from labkit.util.console import Say
from labkit.util.errors import ImageUnavailable

STAGE_LABEL = "org.labkit.build-stage"
_LABELS = "org.labkit."

_STAGE = re.compile(r"^FROM (?P<parent>\S+)(?: AS (?P<name>\S+))?$", re.MULTILINE)


def holds(text: str, argument: str) -> bool:
    """Whether a Dockerfile's final image, not just one of its stages, is built on the image in `argument`."""
    stages, parent = {}, ""
    for stage in _STAGE.finditer(text):
        parent = stage["parent"]
        stages[stage["name"]] = parent
    while parent in stages:
        parent = stages[parent]
    return parent == f"${{{argument}}}"


def build(
    client: docker.DockerClient,
    folder: Path,
    tag: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Say,
) -> None:
    """Build `folder` as `tag` with the Dockerfile's `arguments`. Raises ImageUnavailable with the last lines.

    The user's proxies, if any, are passed as Docker's predefined arguments, which don't end up in the image
    (https://docs.docker.com/reference/dockerfile/#predefined-args).
    Stages labeled `org.labkit.build-stage` stay as a cache until `remove_stages`.
    """
    _build(client, tag, labels, say, arguments, path=str(folder))


def derive(client: docker.DockerClient, image: str, tag: str, labels: Mapping[str, str]) -> None:
    """Create `tag`, which is `image` with more labels. Raises what `build` raises."""
    _build(client, tag, labels, lambda _: None, {}, fileobj=io.BytesIO(f"FROM {image}\n".encode()))


def _build(
    client: docker.DockerClient,
    tag: str,
    labels: Mapping[str, str],
    say: Say,
    arguments: Mapping[str, str],
    **source: Any,
) -> None:
    log: list[str] = []
    way = proxies.for_builds(client, say)
    try:
        for event in client.api.build(
            **source,
            tag=tag,
            buildargs={**way.variables(), **arguments},
            use_config_proxy=False,  # `way` has it
            labels=dict(labels),
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
    except (DockerException, OSError, urllib3.exceptions.HTTPError) as error:  # the last if it's cut off
        raise ImageUnavailable(
            f"image {tag} could not be built",
            evidence=[*log[-15:], str(error), *way.evidence()],
            next_step="fix what the last lines report, then run the command again",
        ) from None


@contextlib.contextmanager
def filling(tag: str, clear: Callable[[], None]) -> Iterator[None]:
    """Call `clear` before and after filling the image `tag`; turn engine errors into ImageUnavailable."""
    clear()
    try:
        yield
    except (DockerException, OSError) as error:
        raise ImageUnavailable(
            f"image {tag} could not be filled", evidence=[str(error)], next_step="run the command again"
        ) from None
    finally:
        clear()


def remove_containers(client: docker.DockerClient, *names: str) -> None:
    """Remove containers and their anonymous volumes, if they exist and run one of the lab's images.

    Other containers with such a name stay; the engine then refuses to create the lab's, and says why.
    """
    for name in names:
        with contextlib.suppress(NotFound):
            entry = client.api.inspect_container(name)
            if any(label.startswith(_LABELS) for label in entry["Config"]["Labels"] or ()):
                client.api.remove_container(entry["Id"], force=True, v=True)


def remove_stages(client: docker.DockerClient) -> None:
    """Remove the stages that only the builds needed."""
    client.images.prune(filters={"dangling": True, "label": STAGE_LABEL})
