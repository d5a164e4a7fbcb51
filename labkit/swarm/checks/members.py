"""Checks of engines, nodes, and managers."""

from collections.abc import Callable

from labkit.swarm.checks.verdict import Check, Verdict, in_swarm
from labkit.swarm.model import Node, Snapshot


def swarm_inactive(*names: str) -> Check:
    """The engines (all if none is named) aren't in a swarm."""
    return _engines(names, lambda state: state == "inactive", "belongs to no swarm", "is in a swarm")


def swarm_active(*names: str) -> Check:
    """The engines (all if none is named) are in a swarm."""
    return _engines(names, lambda state: state == "active", "is in a swarm", "is in no swarm")


def swarm_locked(*names: str) -> Check:
    """The engines (all if none is named) are managers that wait for their unlock key."""
    return _engines(names, lambda state: state == "locked", "is locked", "is not locked")


def quorum_lost() -> Check:
    """There are managers, but too few of them to agree on anything."""

    def check(snapshot: Snapshot) -> Verdict:
        words = {None: "there is no swarm yet", False: "the quorum is lost", True: "there is a quorum"}
        return Verdict(snapshot.quorum is False, words[snapshot.quorum])

    return check


def nodes_ready(count: int) -> Check:
    """Exactly `count` nodes of the swarm are ready."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        ready = [node.name for node in snapshot.nodes if node.status == "ready"]
        others = [f"{node.name} is {node.status}" for node in snapshot.nodes if node.status != "ready"]
        words = f"{len(ready)} of {count} nodes ready ({', '.join(ready + others)})"
        return Verdict(len(ready) == count, words)

    return check


def node_ready(name: str) -> Check:
    """The swarm sees the node as ready."""
    return _of_node(name, lambda node: node.status == "ready", lambda node: f"is {node.status}")


def node_down(name: str) -> Check:
    """The swarm sees the node as down."""
    return _of_node(name, lambda node: node.status == "down", lambda node: f"is {node.status}")


def node_absent(name: str) -> Check:
    """The swarm has no entry for the node."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        entries = [node for node in snapshot.nodes if node.name == name]
        if entries:
            return Verdict(False, f"{name} is still listed ({', '.join(node.status for node in entries)})")
        return Verdict(True, f"{name} is not listed")

    return check


def listed_once() -> Check:
    """No node has a second entry in the swarm's list."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        names = [node.name for node in snapshot.nodes]
        stale = sorted({name for name in names if names.count(name) > 1})
        if stale:
            return Verdict(False, f"{', '.join(stale)} is listed more than once: an old entry is left")
        return Verdict(True, "every node is listed once")

    return check


def role(name: str, wanted: str) -> Check:
    """The node is a `manager` or a `worker`."""
    return _of_node(name, lambda node: node.role == wanted, lambda node: f"is a {node.role}")


def manager_status(name: str, wanted: str) -> Check:
    """The node's MANAGER STATUS is `leader`, `reachable`, `unreachable`, or empty for a worker."""
    return _of_node(
        name,
        lambda node: node.manager_status == wanted,
        lambda node: f"has MANAGER STATUS {node.manager_status or 'blank'}",
    )


def managers(count: int) -> Check:
    """Exactly `count` managers are leader or reachable, and demoted ones have become workers.

    A demoted node continues as a manager for some seconds, and its entry changes until it's a worker.
    """

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        present = [node.name for node in snapshot.nodes if node.manager_status in ("leader", "reachable")]
        demoted = snapshot.demoted_managers
        text = f"{len(present)} of {count} managers ({', '.join(present)})"
        if demoted:
            text += f"; demoted, but still managing: {', '.join(demoted)}"
        return Verdict(len(present) == count and not demoted, text)

    return check


def availability(name: str, wanted: str) -> Check:
    """The node's availability is `active`, `pause`, or `drain`."""
    return _of_node(
        name, lambda node: node.availability == wanted, lambda node: f"has availability {node.availability}"
    )


def label(name: str, key: str, value: str) -> Check:
    """The node has the label `key=value`."""
    return _of_node(
        name,
        lambda node: node.labels.get(key) == value,
        lambda node: (
            f"has the label{'s' if len(node.labels) > 1 else ''} {_labels(node)}"
            if node.labels
            else "has no labels"
        ),
    )


def label_nowhere_else(name: str, key: str, value: str) -> Check:
    """No other node has the label `key=value`."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        others = [node.name for node in snapshot.nodes if node.name != name and node.labels.get(key) == value]
        if others:
            return Verdict(False, f"{', '.join(others)} has the label {key}={value} as well")
        return Verdict(True, f"no other node has the label {key}={value}")

    return check


def _labels(node: Node) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))


def _engines(names: tuple[str, ...], test: Callable[[str], bool], good: str, bad: str) -> Check:
    def check(snapshot: Snapshot) -> Verdict:
        asked = names or tuple(snapshot.engines)
        wrong = [
            name for name in asked if name not in snapshot.engines or not test(snapshot.engines[name].swarm)
        ]
        if not asked:
            return Verdict(False, "this lab has no nodes")
        if not wrong:
            return Verdict(True, "; ".join(f"{name} {good}" for name in asked))
        return Verdict(False, "; ".join(_describe_engine(snapshot, name, bad) for name in wrong))

    return check


def _describe_engine(snapshot: Snapshot, name: str, bad: str) -> str:
    engine = snapshot.engines.get(name)
    if engine is None:
        return f"{name} is not a node of this lab"
    if engine.swarm == "unknown":
        return f"{name} does not answer (its container is {engine.container})"
    return f"{name} {bad} (its swarm state is {engine.swarm})"


def _of_node(name: str, test: Callable[[Node], bool], words: Callable[[Node], str]) -> Check:
    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        node = snapshot.node(name)
        if node is None:
            return Verdict(False, f"{name} is not listed in the swarm")
        return Verdict(test(node), f"{name} {words(node)}")

    return check
