"""Forms the lab's swarm from bare engines, and dissolves it to bare engines again."""

from collections.abc import Collection, Mapping

import docker

from labkit import engine
from labkit.errors import LabError
from labkit.node import Node
from labkit.parallel import in_parallel
from labkit.topology import Service, Topology

_PORT = 2377
_BARE = "inactive"
_IS_MEMBER = "test -e /var/lib/docker/swarm/docker-state.json"

# What learners add with `ip link`, and what they leave in /lab; the engine's own things go through its API.
_TIDY = r"""
for link in /sys/class/net/*; do
    case ${link##*/} in
        lo | eth* | docker* | veth* | br-*) ;;
        *) ip link delete "${link##*/}" 2>/dev/null || : ;;  # the kernel's own tunnels cannot be deleted
    esac
done
find /lab -mindepth 1 -delete
"""


def form(nodes: Mapping[str, Node], topology: Topology) -> None:
    """Make one swarm of all nodes, in the roles of the topology; those in a swarm stay as they are."""
    services = sorted(topology.nodes, key=lambda service: service.role != "manager")
    first = services[0]
    leader = nodes[first.name].api
    if _state(leader) == _BARE:
        leader.init_swarm(advertise_addr=first.address)
    tokens = leader.inspect_swarm()["JoinTokens"]

    def join(service: Service) -> None:
        api = nodes[service.name].api
        if _state(api) == _BARE:
            api.join_swarm(
                [f"{first.address}:{_PORT}"],
                tokens[service.role.capitalize()],
                advertise_addr=service.address,
            )

    in_parallel(join, services[1:])


def forget_swarm(nodes: Collection[Node]) -> None:
    """Let every node that is in a swarm, or does not run, come up without one the next time it starts.

    Those that run lose power; start them afterwards. Nothing here waits for the swarm: an engine whose
    managers have lost their quorum keeps each question for 20 s, and as long when it starts.
    """

    def forget(node: Node) -> None:
        status = node.container.status
        if status == "running" and node.run(_IS_MEMBER, check=False, quiet=True).exit_code:
            return
        node.mark_to_forget()
        if status == "paused":
            node.unpause()
        if status in ("running", "paused"):
            node.kill()

    in_parallel(forget, nodes)


def tidy(nodes: Collection[Node]) -> list[str]:
    """Remove what was made on bare engines, images apart; return the names of nodes where that failed."""
    failed: list[str] = []

    def clean(node: Node) -> None:
        try:
            _clean(node)
        except (LabError, *engine.ERRORS):
            failed.append(node.name)

    in_parallel(clean, nodes)
    return failed


def _clean(node: Node) -> None:
    api = node.api
    for container in api.containers(all=True):
        api.remove_container(container["Id"], v=True, force=True)
    for plugin in api.plugins():
        api.remove_plugin(plugin["Name"], force=True)
    api.prune_networks()
    api.prune_volumes(filters={"all": True})
    node.run(_TIDY, quiet=True, timeout=20)


def _state(api: docker.APIClient) -> str:
    return str(api.info()["Swarm"]["LocalNodeState"])
