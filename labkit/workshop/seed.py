"""The seed: a volume with what an engine has stored that already has the lab's images.

It's made once, and each place copies it, which takes seconds where loading the images takes much longer.
"""

import contextlib

import docker
from docker.errors import DockerException, NotFound

from labkit.images import builder, store, vm_disk
from labkit.util.console import Say
from labkit.util.errors import ImageUnavailable
from labkit.workshop import labels

_CONTENT = "org.labkit.seed"


def ensure(client: docker.DockerClient, workshop: str, say: Say) -> str:
    """Return the name of the volume; make it if it's missing, incomplete, or outdated.

    The images have to be there. Raises ImageUnavailable.
    """
    tags = builder.content_tags(f"labkit/{name}" for name in vm_disk.CARRIED)
    name, content = f"{workshop}_seed", " ".join(tags)
    wanted = {**labels.of(workshop, labels.SEED), _CONTENT: content}
    for entry in labels.volumes(client.api, workshop, labels.SEED):
        if (entry["Labels"] or {}).get(_CONTENT) == content and not _filling(client, workshop):
            return str(entry["Name"])
    _clear(client, workshop)
    say("storing the lab's images as a place's engine does")
    try:
        vm_disk.store(client, name, builder.content_tag("node"), store.save(client, tags), wanted)
        # The container goes last, so a seed that has one is incomplete.
        _remove_containers(client, workshop)
    except BaseException as error:
        with contextlib.suppress(DockerException):
            _clear(client, workshop)
        if isinstance(error, DockerException | OSError):
            raise ImageUnavailable(
                "the places' images could not be prepared",
                evidence=[str(error)],
                next_step="run the command again",
            ) from None
        raise
    return name


def _filling(client: docker.DockerClient, workshop: str) -> bool:
    return bool(labels.containers(client.api, workshop, labels.SEED))


def _remove_containers(client: docker.DockerClient, workshop: str) -> None:
    for entry in labels.containers(client.api, workshop, labels.SEED):
        with contextlib.suppress(NotFound):
            client.api.remove_container(entry["Id"], force=True, v=True)


def _clear(client: docker.DockerClient, workshop: str) -> None:
    _remove_containers(client, workshop)
    for entry in labels.volumes(client.api, workshop, labels.SEED):
        with contextlib.suppress(NotFound):
            client.api.remove_volume(entry["Name"], force=True)
