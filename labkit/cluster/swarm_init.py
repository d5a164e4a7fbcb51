"""Forms the lab's swarm from bare engines, and turns its nodes back into bare engines."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import docker
from docker.errors import APIError
from docker.utils import version_gte

from labkit.cluster.node import Node
from labkit.engine.selection import ERRORS
from labkit.swarm import checks
from labkit.swarm.parse import parse_snapshot
from labkit.topology.topology import Service, Topology
from labkit.util.errors import LabError, NotConverged
from labkit.util.parallel import in_parallel

_FORMED = "org.labkit.formed"  # a label of swarms that labkit forms: their original nodes, as NAME:ROLE

_PORT = 2377
_READY_SECONDS = 60.0
BARE = "inactive"
"""The state of an engine that isn't in a swarm."""
_JOINING = ("pending", "active")
# Whether there is a swarm, or a plugin, apart from the folders storage and tmp.
_HAS_MUCH = r"""
cd /var/lib/docker
[ -e swarm/docker-state.json ] || [ -n "$(ls -I storage -I tmp plugins)" ]
"""

# Removes what learners add with `ip link` and `iptables`, and what they leave in /lab. What belongs to the
# engine is removed through its API.
_TIDY = r"""
for link in /sys/class/net/*; do
    case ${link##*/} in
        lo | eth* | docker* | veth* | br-*) ;;
        *) ip link delete "${link##*/}" 2>/dev/null || : ;;  # the kernel's own tunnels cannot be deleted
    esac
done
iptables --flush INPUT
find /lab -mindepth 1 -delete
"""


def form(nodes: Mapping[str, Node], topology: Topology) -> None:
    """Form one swarm of all nodes, in the roles of the topology; nodes that are in a swarm stay as they are.

    Returns when every node is ready. Raises LabError if the first manager is in a swarm that it doesn't
    manage, and NotConverged if nodes aren't ready within a minute.
    """
    services = sorted(topology.nodes, key=lambda service: service.role != "manager")
    first = services[0]
    tokens: Future[dict[str, str]] = Future()

    def bring_in(service: Service) -> None:
        if service is first:
            lead_all()
        else:
            join(service)

    def lead_all() -> None:
        try:
            tokens.set_result(_tokens(nodes[first.name], services))
        except BaseException as error:  # the others wait for the tokens
            tokens.set_exception(error)
            raise

    def join(service: Service) -> None:
        api = nodes[service.name].api
        if api.info()["Swarm"]["LocalNodeState"] == BARE:
            token = tokens.result()[service.role.capitalize()]
            join_manager(api, first.address, token, service.address)

    in_parallel(bring_in, services)
    _wait_ready(nodes[first.name], len(services))  # last, because a node that can't join raises the reason


def join_manager(api: docker.APIClient, manager: str, token: str, address: str) -> None:
    """Join a bare engine to the swarm of the manager at the address `manager`, as the node at `address`.

    On a slow computer, the engine may still be joining when this returns. Raises APIError if it isn't.
    """
    try:
        api.join_swarm([f"{manager}:{_PORT}"], token, advertise_addr=address)
    except APIError:
        # After 20 s, an engine stops waiting but continues to join (swarmConnectTimeout in moby's
        # daemon/cluster/cluster.go).
        if api.info()["Swarm"]["LocalNodeState"] not in _JOINING:
            raise


def formed_with(swarm: Mapping[str, Any]) -> dict[str, str] | None:
    """The original nodes of a swarm that labkit formed, with their roles; None for any other swarm.

    `swarm` is the answer to `GET /swarm`.
    """
    formed = (swarm.get("Spec", {}).get("Labels") or {}).get(_FORMED)
    return None if formed is None else dict(member.split(":") for member in formed.split())


def lead(node: Node) -> None:
    """Start a swarm on a node that is a bare engine."""
    _init(node.api, node.address, {node.name: "manager"})


def _init(api: docker.APIClient, address: str, members: Mapping[str, str]) -> None:
    label = " ".join(f"{name}:{role}" for name, role in members.items())
    api.init_swarm(advertise_addr=address, swarm_spec=api.create_swarm_spec(labels={_FORMED: label}))


def _tokens(node: Node, services: Sequence[Service]) -> dict[str, str]:
    """The swarm's join tokens by role; if the first node is a bare engine, starts the swarm there."""
    first, api = services[0], node.api
    swarm = api.info()["Swarm"]
    if swarm["LocalNodeState"] == BARE:
        _init(api, first.address, {service.name: service.role for service in services})
    elif not swarm["ControlAvailable"]:
        raise LabError(
            f"{first.name} is in a swarm that it does not manage",
            next_step=f"{node.hint('reset')}, then {node.hint('up', '--swarm')}",
        )
    tokens: dict[str, str] = api.inspect_swarm()["JoinTokens"]
    return tokens


def _wait_ready(node: Node, count: int) -> None:
    api, ready, missing = node.api, checks.nodes_ready(count), ""
    deadline = node.deadline(_READY_SECONDS)
    for _ in deadline.attempts(every=0.05):
        try:
            verdict = ready(parse_snapshot([], api.nodes(), [], []))
        except APIError as error:
            if not error.is_server_error():
                raise
            missing = str(error.explanation)  # while managers join, there may briefly be no leader
        else:
            if verdict:
                return
            missing = str(verdict)
    raise NotConverged(
        f"the swarm is not complete after {deadline.seconds:g} s",
        evidence=[missing],
        next_step=node.hint("reset"),
    )


def schedule_wipes(nodes: Collection[Node]) -> None:
    """Mark each node that is in a swarm, has plugins, or isn't running: it will start as a bare engine.

    Running ones are killed, so start them afterwards. Nothing here waits for the swarm, because after the
    loss of the quorum an engine takes 20 s to answer each request, and as long to start.
    """

    def mark(node: Node) -> None:
        status = node.container.status
        if status == "running" and _is_bare(node):
            return
        node.schedule_wipe()
        if status == "paused":
            node.unpause()
        if status in ("running", "paused"):
            node.kill()

    in_parallel(mark, nodes)


def _is_bare(node: Node) -> bool:
    """Whether a running node has no plugins and no swarm, according to both its engine and its disk."""
    pong = node.ask("/_ping")
    if not pong or pong[0].swarm != BARE:
        return False
    return node.run(_HAS_MUCH, check=False, quiet=True).exit_code != 0


def tidy(nodes: Collection[Node]) -> list[str]:
    """Remove everything on bare engines except images; return the names of nodes where that failed."""
    failed: list[str] = []

    def clean(node: Node) -> None:
        try:
            _clean(node)
        except (LabError, *ERRORS):
            failed.append(node.name)

    in_parallel(clean, nodes)
    return failed


def _clean(node: Node) -> None:
    api = node.api
    for container in api.containers(all=True):
        api.remove_container(container["Id"], v=True, force=True)
    api.prune_networks()
    # Up to API 1.41, this means all volumes, and Docker 20.10 refuses the filter (moby, volume/service).
    api.prune_volumes(filters={"all": True} if version_gte(api.api_version, "1.42") else None)
    node.run(_TIDY, quiet=True, timeout=20)
