"""Builds an image from a folder with a Dockerfile, by the engine's own builder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import docker
from docker.errors import BuildError, DockerException

from labkit.errors import ImageUnavailable

STAGE_LABEL = "org.labkit.build-stage"

Say = Callable[[str], None]


def build(
    client: docker.DockerClient,
    folder: Path,
    tag: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Say,
) -> None:
    """Build `folder` as `tag` with the Dockerfile's `arguments`. Raises ImageUnavailable with the last lines.

    Stages labelled `org.labkit.build-stage` stay as a cache until `remove_stages`.
    """
    log: list[str] = []
    try:
        for event in client.api.build(
            path=str(folder),
            tag=tag,
            buildargs=dict(arguments),
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
    except (DockerException, OSError) as error:
        raise ImageUnavailable(
            f"image {tag} could not be built",
            evidence=[*log[-15:], str(error)],
            next_step="mend what the last lines say, then run the command again",
        ) from None


def remove_stages(client: docker.DockerClient) -> None:
    """Remove what builds have left: stages that only they needed."""
    client.images.prune(filters={"dangling": True, "label": STAGE_LABEL})
