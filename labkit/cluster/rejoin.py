"""Brings a wiped node back into its swarm, in its old role."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError

from labkit.cluster.node import Node
from labkit.cluster.swarm_init import BARE, join_manager
from labkit.engine.selection import EngineContext
from labkit.util.errors import LabError, NotConverged

_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Membership:
    """What the swarm stores about a node: its role, its availability, and its labels."""

    role: str
    availability: str
    labels: dict[str, str]


def members(nodes: Mapping[str, Node]) -> list[dict[str, Any]] | None:
    """The swarm's entries for its nodes, from the first manager that answers; None if none does."""
    found = _manager(nodes)
    return found[1] if found else None


def membership(context: EngineContext, nodes: Mapping[str, Node], name: str) -> Membership | None:
    """What the other managers know about a node; None if it isn't in a swarm.

    Raises LabError if the node couldn't rejoin its swarm after it was wiped.
    """
    entries = members({other: node for other, node in nodes.items() if other != name})
    if entries is None:
        pong = nodes[name].ask("/_ping") if name in nodes else None
        if pong and pong[0].swarm not in (None, BARE):
            raise LabError(
                f"no other manager answers, so {name} couldn't rejoin its swarm after a wipe",
                next_step=f"promote another node first, or use {context.hint('reset')}",
            )
        return None
    # The oldest entry is the one to replace, even if an interrupted upgrade has left two.
    mine = sorted(_entries(entries, name), key=lambda entry: str(entry["CreatedAt"]))
    if not mine:
        return None
    managers = [entry for entry in entries if entry.get("ManagerStatus")]
    left = [entry for entry in managers if entry not in mine and _reachable(entry)]
    if mine[0].get("ManagerStatus") and len(left) < len(managers) // 2 + 1:
        raise LabError(
            f"without {name}, the managers would lose their quorum, and no node could rejoin",
            evidence=[f"{len(left)} of {len(managers)} managers would be left"],
            next_step=f"docker node demote {name}, then run the command again",
        )
    spec = mine[0]["Spec"]
    return Membership(spec["Role"], spec["Availability"], spec.get("Labels") or {})


def join(node: Node, nodes: Mapping[str, Node], old: Membership) -> None:
    """Join a bare engine to the other nodes' swarm with the membership `old`, and remove its old entries.

    Idempotent. Raises NotConverged if the swarm keeps refusing something for half a minute.
    """
    found = _manager({name: other for name, other in nodes.items() if name != node.name})
    if found is None:
        raise NotConverged(
            f"no manager answers, so {node.name} can't rejoin", next_step="run the command again"
        )
    manager, entries = found
    api = manager.api
    if node.api.info()["Swarm"]["LocalNodeState"] == BARE:
        token = api.inspect_swarm()["JoinTokens"][old.role.capitalize()]
        join_manager(node.api, manager.address, token, node.address)
    own = str(node.api.info()["Swarm"]["NodeID"])

    def change(entry: str, **changes: Any) -> Callable[[], Any]:
        def attempt() -> Any:
            now = api.inspect_node(entry)
            spec: Any = {**now["Spec"], **changes}
            return api.update_node(entry, now["Version"]["Index"], spec)

        return attempt

    _insist(node, change(own, Availability=old.availability, Labels=old.labels))
    for entry in _entries(entries, node.name):
        if entry["ID"] != own:
            if entry["Spec"]["Role"] == "manager":
                _insist(node, change(entry["ID"], Role="worker"))
            _insist(node, lambda gone=entry["ID"]: api.remove_node(gone, force=True))  # type: ignore[misc]


def _manager(nodes: Mapping[str, Node]) -> tuple[Node, list[dict[str, Any]]] | None:
    for node in nodes.values():
        answer = node.ask("/nodes")
        if answer and answer[0].status == 200:
            return node, answer[0].body
    return None


def _entries(entries: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["Description"].get("Hostname") == name]


def _reachable(entry: Mapping[str, Any]) -> bool:
    return (entry.get("ManagerStatus") or {}).get("Reachability") == "reachable"


def _insist(node: Node, attempt: Callable[[], Any]) -> None:
    """Retry what the swarm refuses while it changes: an update out of sequence, a manager that is leaving."""
    for _ in node.deadline(_PATIENCE_SECONDS).attempts():
        try:
            attempt()
            return
        except APIError as error:
            if error.status_code == 404:  # already removed
                return
            refused = error
    raise NotConverged(
        f"{node.name} could not rejoin its swarm",
        evidence=[str(refused.explanation)],
        next_step="run the command again",
    )
