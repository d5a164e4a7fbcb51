"""Builds the virtual machine's disk: the image `machine` is the image `vm` plus a disk with the lab's images.

A node's engine, which is the same as the VM's, stores them there at the host's own speed. A VM with emulated
processors would take minutes.
"""

import contextlib
from collections.abc import Iterable

import docker
from docker.errors import DockerException, NotFound
from docker.types import Mount

from labkit.images.base_image import IMAGE_LABEL
from labkit.images.dockerfile import filling, remove_containers
from labkit.topology import topology
from labkit.transport import tunnel
from labkit.util.console import Say

NAME = "machine"
CARRIED = ("bank", "node", "storage")
"""The images on the disk: those of the topology file."""
_RECIPE = 1  # increment it when the steps below create a different disk from the same images

_STORING, _MAKING = "labkit-baking-node", "labkit-baking-disk"
STORE = "/var/lib/docker"
"""Where an engine keeps its images."""
_LOAD_SECONDS = 600


def recipe() -> str:
    """What the disk depends on besides its images: a text that changes when the disk does."""
    return repr((_RECIPE, CARRIED))


def build(
    client: docker.DockerClient, vm: str, node: str, archive: Iterable[bytes], tag: str, say: Say
) -> None:
    """Create the image `tag` from the image `vm` and an archive of images, which the image `node` can load.

    Raises ImageUnavailable. Leaves nothing behind but the image, and removes what a killed call left.
    """
    with filling(tag, lambda: _clear(client)):
        say("storing the lab's images as the virtual machine's engine does")
        store(client, _STORING, node, archive, {IMAGE_LABEL: NAME})
        say("creating the virtual machine's disk from them")
        container = client.containers.create(
            vm,
            ["make-data", "/baking", tag],
            name=_MAKING,
            mounts=[Mount("/baking/docker", _STORING)],  # unlike `volumes`, the image doesn't inherit it
            cap_add=["SYS_ADMIN"],  # to read the overlays' extended attributes (trusted.overlay.*)
            network_mode="none",
        )
        container.start()
        if container.wait(timeout=_LOAD_SECONDS)["StatusCode"]:
            raise DockerException(container.logs(tail=10).decode(errors="replace"))
        repository, _, version = tag.partition(":")
        container.commit(repository, version, changes=[f"LABEL {IMAGE_LABEL}={NAME}"])


def store(
    client: docker.DockerClient, volume: str, image: str, archive: Iterable[bytes], labels: dict[str, str]
) -> None:
    """Fill the new volume `volume` with an archive of images, as the engine of the image `image` stores them.

    Does so in a container of that name, which the caller removes. Raises DockerException.
    """
    powers = topology.load().nodes[0]
    made = client.volumes.create(volume, labels=labels)
    if not labels.items() <= (made.attrs["Labels"] or {}).items():  # the engine returns an existing one
        raise DockerException(
            f"volume {volume} isn't labkit's; docker volume rm {volume}, if nobody needs it"
        )
    node = client.containers.run(  # type: ignore[call-overload]  # its stubs don't allow `str` for cgroupns
        image,
        detach=True,
        name=volume,
        labels=labels,
        volumes=[f"{volume}:{STORE}"],
        tmpfs=dict.fromkeys(powers.tmpfs, ""),
        cap_add=list(powers.cap_add),
        security_opt=powers.api_security_opt,
        cgroupns=powers.cgroup,
        network_mode="none",
    )
    code, _ = node.exec_run(["timeout", "60", "node-ready"])
    if code:
        raise DockerException(node.logs(tail=10).decode(errors="replace"))
    with contextlib.closing(tunnel.open_api(client, str(node.id), timeout=_LOAD_SECONDS)) as api:
        for event in api.load_image(archive, quiet=True):
            if "error" in event:
                raise DockerException(event["error"])
    node.stop(timeout=30)


def _clear(client: docker.DockerClient) -> None:
    remove_containers(client, _MAKING, _STORING)
    with contextlib.suppress(NotFound):
        if IMAGE_LABEL in (client.api.inspect_volume(_STORING)["Labels"] or {}):
            client.api.remove_volume(_STORING, force=True)
