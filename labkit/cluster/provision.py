"""Creates and removes a lab's containers. Labels are the only record of what belongs to a lab."""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from labkit.cluster import hub, subnets
from labkit.cluster.containers import LabContainer, LabNetwork
from labkit.cluster.node import READY_TIMEOUT, Node
from labkit.engine import foreign
from labkit.engine.selection import EngineContext
from labkit.engine.vm import process
from labkit.topology import topology
from labkit.topology.topology import CACHE_LABEL, LAB_LABEL, NODE_LABEL, SERVICE_LABEL, Service, Topology
from labkit.util import command_hint
from labkit.util.errors import EngineNotFound, EngineUnsuitable, LabError, NotConverged
from labkit.util.parallel import in_parallel

_REMOVE_SECONDS = 20.0
_IN_USE = (403, 409)  # a network with containers; a volume of one, or a container that's being removed


def containers(client: docker.DockerClient, lab: str | None = None) -> list[dict[str, Any]]:
    """The engine's entries for all containers of one lab, or of every lab."""
    found: list[dict[str, Any]] = client.api.containers(all=True, filters=_of(lab))
    return found


def node_entries(client: docker.DockerClient, lab: str) -> dict[str, dict[str, Any]]:
    """The engine's entries for the lab's nodes, including stopped ones, by name."""
    return _by_label(client, lab, NODE_LABEL)


def container_events(client: docker.DockerClient, lab: str) -> Any:
    """The engine's stream of events about the lab's containers, from now on; `close` ends it."""
    kinds = ["start", "die", "pause", "unpause", "destroy"]
    return client.api.events(decode=True, filters={"type": "container", "event": kinds, **_of(lab)})


def service_entries(client: docker.DockerClient, lab: str) -> dict[str, dict[str, Any]]:
    """The same for the lab's services, such as `registry`."""
    return _by_label(client, lab, SERVICE_LABEL)


def _by_label(client: docker.DockerClient, lab: str, label: str) -> dict[str, dict[str, Any]]:
    entries = {entry["Labels"][label]: entry for entry in containers(client, lab) if label in entry["Labels"]}
    return dict(sorted(entries.items()))


def service_logs(client: docker.DockerClient, container: str, lines: int | None) -> str:
    """A service's log: the last `lines`, or all of it."""
    said: bytes = client.api.logs(container, tail=lines if lines is not None else "all")
    return said.decode(errors="replace")


def labs(client: docker.DockerClient) -> list[str]:
    """The names of all labs that have left anything on the engine."""
    entries = [*containers(client), *client.api.networks(filters=_of(None))]
    entries += client.api.volumes(filters=_of(None))["Volumes"] or []
    return sorted({entry["Labels"][LAB_LABEL] for entry in entries})


def all_labs(context: EngineContext) -> list[str]:
    """The names of all labs on this computer, including those in a virtual machine.

    Raises EngineNotFound if there is neither an engine nor a virtual machine that runs without one.
    """
    direct = process.labs()
    try:
        return sorted({*direct, *labs(context.own_client())})
    except EngineNotFound:
        if not direct:
            raise
        return direct


def choose_topology(client: docker.DockerClient, lab: str) -> Topology:
    """The topology of `lab` on the user's subnet, otherwise its network's, otherwise the first for labs."""
    own = subnets.own_network(client.api.networks(), lab)
    return _load(lab, subnets.chosen_by_user() or (subnets.prefix_of(own) if own else subnets.prefixes()[0]))


def _load(lab: str, prefix: str) -> Topology:
    return topology.load(env={**os.environ, "LABKIT_LAB": lab, "LABKIT_NET": prefix})


def create_network(context: EngineContext, wanted: Topology) -> Topology:
    """Create the lab's network, and return the topology on the subnet that it has.

    If the user chose a subnet, only that one is tried, even if a route leads there. Otherwise it's the first
    subnet for labs that nothing seems to use and that the engine accepts. Raises EngineUnsuitable if none is
    free.
    """
    around = subnets.Surroundings(context)
    if around.own:
        return wanted
    own_choice, refusals = subnets.chosen_by_user(), []
    for prefix in [own_choice] if own_choice else around.free():
        chosen, client = _load(wanted.lab, prefix), context.client()
        try:
            with foreign.conflicts_named(client, foreign.names_of(chosen)):
                LabNetwork(client, chosen).create()
        except APIError as error:
            if "overlap" not in str(error.explanation):
                raise
            refusals.append(f"{chosen.subnet}: {error.explanation}")
        else:
            return chosen
    raise around.none_free(refusals, own_choice)


def describe_network(context: EngineContext, wanted: Topology) -> str:
    """The lab's subnet, with a warning if a route of this computer leads into it."""
    return subnets.Surroundings(context).describe(wanted.subnet)


def create_volumes(client: docker.DockerClient, topology: Topology) -> None:
    """Create the lab's volumes with their labels. Raises NameTaken if one of them isn't the lab's."""
    for name, labels in topology.volumes.items():
        with foreign.conflicts_named(client, foreign.names_of(topology)):
            client.volumes.create(name, labels=labels)
    foreign.require_own(client, foreign.Names(topology.lab, volumes=topology.volumes))


def start_containers(context: EngineContext, topology: Topology, tags: dict[str, str]) -> None:
    """Create what is missing and start what is stopped, in parallel; return when everything answers.

    A service is recreated if its image or its settings for Docker Hub are outdated; its data is in volumes.
    """
    client = context.client()
    present = node_entries(client, topology.lab) | service_entries(client, topology.lab)
    current = {image: client.images.get(tag).id for image, tag in tags.items()}

    def start(service: Service) -> str:
        client = context.client()
        api = client.api
        entry = present.get(service.name)
        service = replace(service, environment=hub.environment(client, service))
        if (
            entry
            and not service.is_node
            and (
                entry["ImageID"] != current[service.image]
                or hub.is_outdated(api.inspect_container(entry["Id"]), service.environment)
            )
        ):
            api.remove_container(entry["Id"], force=True, v=True)
            entry = None
        if entry is None:
            with foreign.conflicts_named(client, foreign.names_of(topology)):
                made = LabContainer(client, topology, service, tags[service.image]).start()
            return str(made.get_wrapped_container().id)
        if entry["State"] == "paused":
            api.unpause(entry["Id"])
        api.start(entry["Id"])  # does nothing to a running container
        if service.is_node and entry["State"] in ("running", "paused"):
            Node(entry["Id"], service.name, context).reconnect()
        return str(entry["Id"])

    def wait(service: Service) -> None:
        if service.is_node:
            Node(started[service.name], service.name, context).wait_ready()
        else:
            _wait_service(context, start(service), service)

    started: dict[str, str] = {}
    in_parallel(lambda node: started.update({node.name: start(node)}), topology.nodes)
    in_parallel(wait, topology.services)  # services are up before the nodes' engines are


def _wait_service(context: EngineContext, container: str, service: Service) -> None:
    seconds = context.deadline(READY_TIMEOUT).seconds
    client = context.client(timeout=seconds + 10)  # the client waits as long as the command does
    code: int | None = 1
    with contextlib.suppress(APIError):  # it has ended
        code, _ = client.containers.get(container).exec_run(["timeout", f"{seconds:g}", *service.ready])
    if code:
        raise NotConverged(
            f"the lab's {service.name} ended, or did not answer within {seconds:g} s",
            evidence=[service_logs(client, container, 10)],
            next_step=f"{context.hint('logs', service.name)}, then {context.hint('reset')}",
        )


def remove(context: EngineContext) -> list[str]:
    """Remove everything that carries the lab's label; return the names. Idempotent.

    Raises NotConverged if something is still in use after a while.
    """
    client, removed = context.client(), dict[str, None]()
    for _ in context.deadline(_REMOVE_SECONDS).attempts():
        # In a loop, because a killed `up` or `down` may still be creating or removing something.
        refusals = _remove_all(context, client, removed)
        if not refusals and not containers(client, context.lab):
            return list(removed)
    raise NotConverged(
        f"not all of lab '{context.lab}' could be removed",
        evidence=refusals or ["something keeps starting its containers"],
        next_step=f"stop whatever uses it, then {context.hint('down')}",
    )


def _remove_all(context: EngineContext, client: docker.DockerClient, removed: dict[str, None]) -> list[str]:
    """Remove what is there and add it to `removed`; return what the engine refuses because it's in use."""
    refusals: list[str] = []

    def attempt(name: str, removal: Callable[[], object]) -> None:
        try:
            with contextlib.suppress(NotFound):
                removal()
            removed[name] = None
        except APIError as error:
            if error.status_code not in _IN_USE:
                raise
            refusals.append(f"{name}: {error.explanation}")

    def remove_container(entry: dict[str, Any]) -> None:
        api = context.client().api
        attempt(entry["Names"][0].lstrip("/"), lambda: api.remove_container(entry["Id"], force=True, v=True))

    mine, api = _of(context.lab), client.api
    in_parallel(remove_container, containers(client, context.lab))
    for volume in api.volumes(filters=mine)["Volumes"] or []:
        attempt(volume["Name"], partial(api.remove_volume, volume["Name"], force=True))
    for network in api.networks(filters=mine):
        attempt(network["Name"], partial(api.remove_network, network["Id"]))
    return refusals


def empty_storage(client: docker.DockerClient, lab: str) -> None:
    """Remove what plugins have written to the lab's storage."""
    if entry := service_entries(client, lab).get("storage"):
        client.containers.get(entry["Id"]).exec_run(["sh", "-c", "rm -rf /srv/* /srv/.[!.]*"])


def kept(context: EngineContext) -> list[str]:
    """What stays when labs are removed: the Docker Hub cache, and saved states of virtual machines."""
    folders = [str(path) for path in process.kept()]
    try:
        return [*_kept_volumes(context.own_client()), *folders]
    except (EngineNotFound, EngineUnsuitable):
        return folders


def _kept_volumes(client: docker.DockerClient) -> list[str]:
    found = client.api.volumes(filters={"label": CACHE_LABEL})["Volumes"] or []
    return sorted(volume["Name"] for volume in found)


def remove_kept(context: EngineContext) -> list[str]:
    """Remove what `kept` lists, and return it. Raises LabError if a lab uses any of it."""
    removed = []
    for name in kept(context):
        try:
            if Path(name).is_absolute():
                shutil.rmtree(Path(name).parent)
            else:
                context.own_client().api.remove_volume(name)
        except NotFound:
            continue  # another command removed it
        except APIError as error:
            if error.status_code not in _IN_USE:
                raise
            raise LabError(
                f"{name} is in use",
                evidence=[str(error.explanation)],
                next_step=command_hint.command("down", "--all", "--cache"),
            ) from None
        removed.append(name)
    return removed


def _of(lab: str | None) -> dict[str, str]:
    return {"label": f"{LAB_LABEL}={lab}" if lab else LAB_LABEL}


def remove_node(client: docker.DockerClient, lab: str, name: str) -> None:
    """Remove one node's container and its engine's volume; `start_containers` recreates them."""
    entry = node_entries(client, lab)[name]
    client.api.remove_container(entry["Id"], force=True, v=True)
    for mount in entry["Mounts"]:
        if mount["Destination"] == "/var/lib/docker":
            client.api.remove_volume(mount["Name"], force=True)
