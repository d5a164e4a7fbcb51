"""Replaces a node's engine and keeps everything else, like upgrading the package on a server.

A container with the new image replaces the node's, with the same volume, address, and name. Each step is
idempotent, so you can complete an interrupted upgrade by running it again.
"""

from collections.abc import Mapping
from dataclasses import replace

from labkit.cluster import evidence, provision, rejoin, versions
from labkit.cluster.node import Node
from labkit.engine.selection import EngineContext
from labkit.images import builder, engines
from labkit.swarm.parse import plain_version
from labkit.topology.topology import Service
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError, NotConverged

_STOP_SECONDS = 20  # of which the engine's containers get 5 (daemon.json)
_MEMBER_SECONDS = 60.0
_DATA = "/var/lib/docker"
_IN_A_SWARM = f"[ -e {_DATA}/swarm/docker-state.json ]"


def upgrade(
    context: EngineContext,
    nodes: Mapping[str, Node],
    name: str,
    version: str,
    *,
    fresh: bool,
    reporter: ProgressReporter,
) -> None:
    """Switch node `name` to the engine `version`, and wait until it's ready; see `Cluster.upgrade`.

    `nodes` are the lab's. After an interrupted upgrade, the node itself may be missing there.
    """
    engine, client = engines.find(version), context.client()
    wanted = provision.choose_topology(client, context.lab).with_images({name: engine.image})
    service = next((node for node in wanted.nodes if node.name == name), None)
    if not nodes or not service:
        raise evidence.no_such_node(context, name, [node.name for node in wanted.nodes] if nodes else [])
    versions.require(context, client, [engine.image])
    present = versions.of_nodes(client, context.lab).get(name)
    if present and not fresh:
        _refuse_older(context, name, present, version)
    old = rejoin.membership(context, nodes, name) if fresh else None
    tags = {service.image: builder.ensure_step(client, engine.name, reporter)}
    with reporter.step(f"{name} with Docker {version}") as step:
        if fresh or present != version or name in versions.outdated(client, context.lab):
            step.note("shutting the node down")
            _remove(context, service, volume=fresh)
        step.note("starting it with the new engine")
        alone = replace(wanted, services=(service,))
        provision.create_volumes(client, alone)
        provision.start_containers(context, alone, tags)
        node = Node(provision.node_entries(client, context.lab)[name]["Id"], name, context)
        if old:
            step.note("joining the swarm again")
            rejoin.join(node, nodes, old)
        step.note("waiting for the swarm")
        step.result = _wait_member(node, {**nodes, name: node})


def _refuse_older(context: EngineContext, name: str, present: str, version: str) -> None:
    """Raise LabError for an engine that is older than the one that wrote the node's data."""
    if present not in engines.ENGINES or not engines.is_older(version, present):
        return
    raise LabError(
        f"{name} runs Docker {present}, and a node can't go back to {version}",
        evidence=["a newer engine may have converted its data, and no engine converts it back"],
        next_step=f"{context.hint('upgrade', name, '--docker', version, '--fresh')}   "
        "(wipes the node, then lets it rejoin its swarm)",
    )


def _remove(context: EngineContext, service: Service, *, volume: bool) -> None:
    """Shut a node down and remove its container; if `volume` is true, also the volume with its data."""
    client = context.client(timeout=_STOP_SECONDS + 60)
    entry = provision.node_entries(client, context.lab).get(service.name)
    if entry:
        if entry["State"] == "paused":
            client.api.unpause(entry["Id"])
        if not volume:
            client.api.stop(entry["Id"], timeout=_STOP_SECONDS)
        client.api.remove_container(entry["Id"], force=True)
    for source, target, _ in service.volumes:
        if volume and target == _DATA:
            client.api.remove_volume(source, force=True)


def _wait_member(node: Node, nodes: Mapping[str, Node]) -> str:
    """Wait until a node is back in its swarm, if it belongs to one; return the result in words."""
    running = f"Docker {plain_version(node.api.version()['Version'])}"
    if node.run(_IN_A_SWARM, check=False, quiet=True).exit_code:
        return f"{running}, not in a swarm"
    deadline = node.deadline(_MEMBER_SECONDS)
    for _ in deadline.attempts():
        pong = node.ask("/_ping")
        if pong and pong[0].swarm and pong[0].swarm.startswith("locked"):
            return f"{running}, locked: docker swarm unlock"
        missing = _missing(node, nodes)
        if not missing:
            return f"{running}, ready in the swarm"
    raise NotConverged(
        f"{node.name} runs {running}, but isn't ready in its swarm after {deadline.seconds:g} s",
        evidence=[missing],
        next_step=f"check `docker node ls` on a manager and {node.hint('logs', node.name)}",
    )


def _missing(node: Node, nodes: Mapping[str, Node]) -> str:
    """Why the managers don't list a node as ready with its new engine yet; empty if they do."""
    entries = rejoin.members(nodes)
    if entries is None:
        return "no manager answers"
    told = node.ask("/info")
    mine = told[0].body["Swarm"].get("NodeID", "") if told and told[0].status == 200 else ""
    entry = next((each for each in entries if each["ID"] == mine), None)
    if not told or not entry:
        return f"no manager lists {node.name} with its ID, '{mine}'"
    seen, status = entry["Description"]["Engine"]["EngineVersion"], entry["Status"]["State"]
    manager = entry.get("ManagerStatus") or {}
    if status != "ready" or seen != told[0].body["ServerVersion"]:
        return f"the managers list {node.name} as {status}, with Docker {seen}"
    if manager and manager.get("Reachability") != "reachable":
        return f"the managers list {node.name} as {manager.get('Reachability')}"
    return ""
