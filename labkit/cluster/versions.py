"""Which Docker engine each node of a lab runs, or will get when it's created."""

from collections.abc import Mapping
from typing import Any

import docker

from labkit.cluster import provision
from labkit.engine import vm_lifecycle
from labkit.engine.selection import EngineContext
from labkit.images import builder, engines
from labkit.images.engines import DEFAULT, DOCKER_LABEL, ENGINES
from labkit.topology.topology import Topology
from labkit.util.errors import LabError

Wanted = str | Mapping[str, str] | None
"""One version for all nodes, or versions by node, where `*` stands for the nodes that aren't named."""


def of_nodes(client: docker.DockerClient, lab: str) -> dict[str, str]:
    """The version with which each of the lab's nodes was created, from the label of its image."""
    return {name: _version(entry) for name, entry in provision.node_entries(client, lab).items()}


def _version(entry: Mapping[str, Any]) -> str:
    return str(entry["Labels"].get(DOCKER_LABEL, DEFAULT))


def known(client: docker.DockerClient, file: Topology) -> dict[str, str]:
    """The same for the nodes that can be recreated: in the topology file, and with an engine in ENGINES."""
    names = {node.name for node in file.nodes}
    found = of_nodes(client, file.lab)
    return {name: version for name, version in found.items() if name in names and version in ENGINES}


def outdated(client: docker.DockerClient, lab: str) -> list[str]:
    """The nodes whose image isn't the one that their engine's folder builds now."""
    found = []
    for name, entry in provision.node_entries(client, lab).items():
        engine = ENGINES.get(_version(entry))
        tag = builder.installed_tag(client, engine.name) if engine else None
        if entry["ImageID"] != (client.images.get(tag).id if tag else None):
            found.append(name)
    return found


def settle(
    context: EngineContext, client: docker.DockerClient, file: Topology, wanted: Wanted = None
) -> Topology:
    """The topology with each node's engine: as chosen now, as it runs, or as the topology file says.

    A missing node gets what the others run, if they all run the same. Raises LabError if a choice contradicts
    an existing node, or if a virtual machine lacks an image.
    """
    require(context, client, file.images)
    vm_lifecycle.require_images(context, client, file.images)
    names = [node.name for node in file.nodes]
    chosen, present = engines.choose(wanted, names), of_nodes(client, context.lab)
    for name, version in chosen.items():
        if present.get(name, version) != version:
            raise LabError(
                f"{name} exists and runs Docker {present[name]}, not {version}",
                next_step=f"{context.hint('upgrade', name, '--docker', version)}, or first remove the lab",
            )
    common = set(present.values())
    inherited = dict.fromkeys(names, *common) if len(common) == 1 else {}
    images = {
        name: ENGINES[version].image
        for name, version in {**inherited, **present, **chosen}.items()
        if version in ENGINES  # or the node is from another version of Swarm Lab
    }
    settled = file.with_images(images)
    require(context, client, settled.images)
    return settled


def require(context: EngineContext, client: docker.DockerClient, images: list[str]) -> None:
    """Raise LabError for an engine that nodes can't run, or that isn't on a virtual machine's disk."""
    for image in images:
        engine = engines.engine_of(image)
        if engine is None or engine.version == DEFAULT or not context.endpoint().vm:
            continue
        if not builder.installed_tag(client, engine.name):
            raise LabError(
                f"nodes in a virtual machine run Docker {DEFAULT}; its disk has no other engine",
                evidence=[f"Docker {engine.version} was chosen"],
                next_step=f"choose {DEFAULT}, or run the lab without --engine vm",
            )
