"""Fills the virtual machine's disk: the image `machine` is the image `vm` with the lab's images on a disk.

The engine of a node stores them, which is the machine's engine too, at this computer's speed: a machine whose
processors are emulated would take minutes.
"""

import contextlib
from collections.abc import Iterable

import docker
from docker.errors import DockerException, NotFound
from docker.types import Mount

from labkit import topology, tunnel
from labkit.base_image import IMAGE_LABEL
from labkit.dockerfile import Say
from labkit.errors import ImageUnavailable

NAME = "machine"
CARRIED = ("bank", "node", "storage")
"""The images of the disk: those of the topology file."""

_STORING, _MAKING = "labkit-baking-node", "labkit-baking-disk"
_STORE = "/var/lib/docker"
_LOAD_SECONDS = 600


def bake(
    client: docker.DockerClient, vm: str, node: str, archive: Iterable[bytes], tag: str, say: Say
) -> None:
    """Make the image `tag` of the image `vm` and an archive of images, which the image `node` can load.

    Raises ImageUnavailable. Leaves nothing behind but the image, also of an earlier call that was killed.
    """
    _clear(client)
    try:
        say("storing the lab's images as the machine's engine does")
        _store(client, node, archive)
        say("making the machine's disk of them")
        container = client.containers.create(
            vm,
            ["make-data", "/baking", tag],
            name=_MAKING,
            mounts=[
                Mount("/baking/docker", _STORING)
            ],  # which the image does not inherit, as it does `volumes`
            # What it takes to read the overlays' own marks in the store (trusted.overlay.*).
            cap_add=["SYS_ADMIN"],
            network_mode="none",
        )
        container.start()
        if container.wait(timeout=_LOAD_SECONDS)["StatusCode"]:
            raise DockerException(container.logs(tail=10).decode(errors="replace"))
        repository, _, version = tag.partition(":")
        container.commit(repository, version, changes=[f"LABEL {IMAGE_LABEL}={NAME}"])
    except (DockerException, OSError) as error:
        raise ImageUnavailable(
            f"{tag} could not be filled", evidence=[str(error)], next_step="run the command again"
        ) from None
    finally:
        _clear(client)


def _store(client: docker.DockerClient, image: str, archive: Iterable[bytes]) -> None:
    powers = topology.load().nodes[0]
    client.volumes.create(_STORING)
    node = client.containers.run(  # type: ignore[call-overload]  # it knows no `str` for cgroupns
        image,
        detach=True,
        name=_STORING,
        volumes=[f"{_STORING}:{_STORE}"],
        tmpfs=dict.fromkeys(powers.tmpfs, ""),
        cap_add=list(powers.cap_add),
        security_opt=list(powers.security_opt),
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
    for name in (_MAKING, _STORING):
        with contextlib.suppress(NotFound):
            client.api.remove_container(name, force=True, v=True)
    with contextlib.suppress(NotFound):
        client.api.remove_volume(_STORING, force=True)
