"""Predicates over a `Snapshot`, each answering with a `Verdict`: one vocabulary for waiting and grading."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.model import Node, Snapshot


@dataclass(frozen=True)
class Verdict:
    """The answer of a check: true or false, and in words what is so or what is missing."""

    ok: bool
    words: str

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.words}"

    __repr__ = __str__  # a notebook shows it as the cell's result


Check = Callable[[Snapshot], Verdict]


def swarm_inactive(*names: str) -> Check:
    """The engines (all when none is named) belong to no swarm."""
    return _engines(names, lambda state: state == "inactive", "belongs to no swarm", "is in a swarm")


def swarm_active(*names: str) -> Check:
    """The engines (all when none is named) belong to a swarm."""
    return _engines(names, lambda state: state == "active", "is in a swarm", "is in no swarm")


def nodes_ready(count: int) -> Check:
    """Exactly `count` nodes of the swarm are ready."""

    def check(snapshot: Snapshot) -> Verdict:
        if (lost := _no_view(snapshot)) is not None:
            return lost
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

    def check(snapshot: Snapshot) -> Verdict:
        if (lost := _no_view(snapshot)) is not None:
            return lost
        entries = [node for node in snapshot.nodes if node.name == name]
        if entries:
            return Verdict(False, f"{name} is still listed ({', '.join(node.status for node in entries)})")
        return Verdict(True, f"{name} is not listed")

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
    """Exactly `count` managers take part: leader or reachable."""

    def check(snapshot: Snapshot) -> Verdict:
        if (lost := _no_view(snapshot)) is not None:
            return lost
        present = [node.name for node in snapshot.nodes if node.manager_status in ("leader", "reachable")]
        return Verdict(len(present) == count, f"{len(present)} of {count} managers ({', '.join(present)})")

    return check


def availability(name: str, wanted: str) -> Check:
    """The node's availability is `active`, `pause` or `drain`."""
    return _of_node(
        name, lambda node: node.availability == wanted, lambda node: f"has availability {node.availability}"
    )


def label(name: str, key: str, value: str) -> Check:
    """The node carries the label `key=value`."""
    return _of_node(
        name,
        lambda node: node.labels.get(key) == value,
        lambda node: f"has the labels {dict(node.labels)}" if node.labels else "has no labels",
    )


def running(service: str, count: int) -> Check:
    """Exactly `count` tasks of the service run and are meant to run."""

    def check(snapshot: Snapshot) -> Verdict:
        if (lost := _no_view(snapshot)) is not None:
            return lost
        tasks = [
            task for task in snapshot.tasks if task.service == service and task.desired_state == "running"
        ]
        up = [task for task in tasks if task.state == "running"]
        waiting = [
            f"{service}.{task.slot} is {task.state}" + (f": {task.message}" if task.message else "")
            for task in tasks
            if task.state != "running"
        ]
        return Verdict(
            len(up) == count and not waiting,
            "; ".join([f"{len(up)} of {count} tasks of {service} run", *waiting]),
        )

    return check


def _engines(names: tuple[str, ...], test: Callable[[str], bool], good: str, bad: str) -> Check:
    def check(snapshot: Snapshot) -> Verdict:
        asked = names or tuple(snapshot.engines)
        wrong = [
            name for name in asked if name not in snapshot.engines or not test(snapshot.engines[name].swarm)
        ]
        if not wrong:
            return Verdict(True, "; ".join(f"{name} {good}" for name in asked))
        return Verdict(False, "; ".join(_engine_words(snapshot, name, bad) for name in wrong))

    return check


def _engine_words(snapshot: Snapshot, name: str, bad: str) -> str:
    engine = snapshot.engines.get(name)
    if engine is None:
        return f"{name} is no node of this lab"
    if engine.swarm == "unknown":
        return f"{name} does not answer (its container is {engine.container})"
    return f"{name} {bad} (its swarm state is {engine.swarm})"


def _of_node(name: str, test: Callable[[Node], bool], words: Callable[[Node], str]) -> Check:
    def check(snapshot: Snapshot) -> Verdict:
        if (lost := _no_view(snapshot)) is not None:
            return lost
        node = snapshot.node(name)
        if node is None:
            return Verdict(False, f"{name} is not listed in the swarm")
        return Verdict(test(node), f"{name} {words(node)}")

    return check


def _no_view(snapshot: Snapshot) -> Verdict | None:
    if snapshot.quorum is None:
        return Verdict(False, "no engine of this lab is a manager: there is no swarm yet")
    if not snapshot.quorum:
        return Verdict(False, "the managers have lost their quorum, so nobody can tell")
    return None
