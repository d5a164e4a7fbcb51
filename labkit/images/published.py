"""Published images: a release pushes its images to a registry, so that others can pull instead of build.

`labkit/node:0123456789ab` is published as `REGISTRY/node:0123456789ab-amd64`. The first part of the tag is
the hash of the image's sources, so you can't get an image for another version of labkit. The second part is
the processor, because each engine builds for its own.
"""

import contextlib
from collections.abc import Iterable, Iterator

import docker
from docker.errors import DockerException

from labkit.images import architecture, builder, store
from labkit.util import command_hint
from labkit.util.console import ProgressReporter
from labkit.util.errors import ImageUnavailable


def reference(client: docker.DockerClient, registry: str, name: str) -> str:
    """What `registry`, such as `ghcr.io/OWNER/swarm-lab`, calls image `name` for the engine's processor."""
    digest = builder.content_tag(name).rpartition(":")[2]
    return f"{registry.rstrip('/')}/{name}:{digest}-{architecture.of_engine(client)}"


def push(
    client: docker.DockerClient, registry: str, names: Iterable[str], reporter: ProgressReporter
) -> None:
    """Push images such as `node` to `registry`, and build those that are missing. Raises ImageUnavailable.

    The credentials are those that `docker login` has stored.
    """
    for name in names:
        tag = builder.ensure_step(client, name, reporter)
        published = reference(client, registry, name)
        next_step = f"docker login {registry.partition('/')[0]}, then run the command again"
        with reporter.step(f"Push {published}"), _reported(f"{published} could not be pushed", next_step):
            client.images.get(tag).tag(published)
            try:
                for event in client.api.push(published, stream=True, decode=True):
                    if "error" in event:
                        raise DockerException(event["error"])
            finally:
                client.images.remove(published)


def pull(
    client: docker.DockerClient, registry: str, names: Iterable[str], reporter: ProgressReporter
) -> None:
    """Pull images such as `node` from `registry`, unless the engine has them. Raises ImageUnavailable."""
    for name in names:
        tag = builder.content_tag(name)
        with reporter.step(f"Image labkit/{name}") as step:
            step.result = tag.rpartition(":")[2]
            if store.has(client, tag):
                continue
            published = reference(client, registry, name)
            step.note(f"pulling {published}")
            next_step = f"to build it instead: {command_hint.command('images', 'build')}"
            with _reported(f"{published} could not be pulled", next_step):
                client.images.pull(published).tag(tag)
                client.images.remove(published)
            builder.ensure(client, name, step.note)  # moves the tags that the topology file uses
            step.result += ", pulled"


@contextlib.contextmanager
def _reported(what: str, next_step: str) -> Iterator[None]:
    """Turn the engine's errors into ImageUnavailable."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise ImageUnavailable(what, evidence=[str(error)], next_step=next_step) from None
