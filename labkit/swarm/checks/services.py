"""Checks of services and their tasks."""

import re
from collections.abc import Callable

from labkit.swarm.checks.verdict import Check, Verdict, in_swarm
from labkit.swarm.model import Node, Port, Service, Snapshot, Task
from labkit.util.text import counted

CONSTRAINT = re.compile(r"\s*(\S+?)\s*(==|!=)\s*(.+?)\s*")
"""A constraint of a service: its key, its operator, and its value."""


def running(service: str, count: int, *, on: str = "", image: str = "") -> Check:
    """Exactly `count` desired tasks of the service are running; if given, `on` one node, with one `image`."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        tasks = [
            task for task in snapshot.tasks if task.service == service and task.desired_state == "running"
        ]
        up = snapshot.running(service)
        astray = [f"{task.name} runs on {task.node}, not on {on}" for task in up if on and task.node != on]
        other = {task.image for task in up if image and task.image.removesuffix(":latest") != image}
        astray += [f"it runs {found}, not {image}" for found in sorted(other)]
        waiting = [_waits(task) for task in tasks if task not in up]
        return Verdict(
            len(up) == count and not waiting and not astray,
            "; ".join([f"{len(up)} of {count} tasks of {service} run", *waiting, *astray]),
        )

    return check


def _waits(task: Task) -> str:
    if task.state == "running":
        return f"{task.name} was on {task.node}, which is down"
    return f"{task.name} is {task.state}" + (f": {task.message}" if task.message else "")


def tasks_on(node: str, service: str, count: int) -> Check:
    """Exactly `count` desired tasks of the service are running on the node."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        here = snapshot.tasks_per_node(service)[node]
        return Verdict(here == count, f"{node} runs {counted(here, 'task')} of {service} (expected: {count})")

    return check


def service_absent(name: str) -> Check:
    """The swarm has no service of this name."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        there = snapshot.service(name) is not None
        return Verdict(not there, f"there is {'still a' if there else 'no'} service {name}")

    return check


def update(service: str, wanted: str) -> Check:
    """The last update of the service is `updating`, `paused`, `completed`, `rollback_completed`, …"""

    def check(_: Snapshot, found: Service) -> Verdict:
        said = f": {found.update_message}" if found.update_message else ""
        words = f"the last update of {service} is {found.update}{said}"
        if not found.update:
            words = f"{service} has not been updated yet"
        return Verdict(found.update == wanted, words)

    return _of_service(service, check)


def publishes(service: str, published: int, target: int, mode: str) -> Check:
    """The service publishes this TCP port in `ingress` or `host` mode."""

    def check(_: Snapshot, found: Service) -> Verdict:
        told = ", ".join(map(str, found.ports)) or "no port"
        return Verdict(Port(published, target, "tcp", mode) in found.ports, f"{service} publishes {told}")

    return _of_service(service, check)


def pinned(service: str, name: str) -> Check:
    """The constraints of the service allow only this node, even if the nodes' roles change."""

    def check(snapshot: Snapshot, found: Service) -> Verdict:
        lasting = tuple(text for text in found.constraints if not text.strip().startswith("node.role"))
        fits, may_fit = (
            [node.name for node in snapshot.nodes if _fits(node, constraints)]
            for constraints in (found.constraints, lasting)
        )
        asked = f"constraints {', '.join(found.constraints)}" if found.constraints else "no constraints"
        words = f"{service} has {asked}: it may run on {', '.join(fits) or 'no node at all'}"
        if fits == [name] != may_fit:
            words += ", and on others as soon as you change their role"
        return Verdict(fits == may_fit == [name], words)

    return _of_service(service, check)


def _of_service(name: str, check: Callable[[Snapshot, Service], Verdict]) -> Check:
    @in_swarm
    def guarded(snapshot: Snapshot) -> Verdict:
        found = snapshot.service(name)
        if found is None:
            return Verdict(False, f"there is no service {name}")
        return check(snapshot, found)

    return guarded


def _fits(node: Node, constraints: tuple[str, ...]) -> bool:
    """Whether no constraint rules out the node, as far as a snapshot shows."""
    for text in constraints:
        if found := CONSTRAINT.fullmatch(text):
            key, sign, value = found.groups()
            has = constrained(key, node)
            if has is not None and (has == value) != (sign == "=="):
                return False
    return True


def constrained(key: str, node: Node) -> str | None:
    """A node's value for the key of a constraint; None for keys that a snapshot doesn't contain."""
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    return {"node.hostname": node.name, "node.role": node.role, "node.id": node.id}.get(key)


def on_networks(service: str, *names: str) -> Check:
    """Every task of the service is running, on exactly these networks."""

    @in_swarm
    def check(snapshot: Snapshot) -> Verdict:
        tasks = [task for task in snapshot.tasks if task.service == service and task.wanted]
        found = sorted({" and ".join(sorted(task.networks)) or "no network of the swarm" for task in tasks})
        if not found:
            return Verdict(False, f"{service} has no tasks")
        up = snapshot.running(service)
        ok = all(task in up and set(task.networks) == set(names) for task in tasks)
        starting = ", ".join(task.name for task in tasks if task not in up)
        words = f"{service} is on {'; and on '.join(found)}" + (f" ({starting} starts)" if starting else "")
        return Verdict(ok, words)

    return check
