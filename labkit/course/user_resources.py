"""What a learner has made in a lab: what `begin` lists before it removes it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.cluster.node import Node, ask
from labkit.cluster.swarm_init import formed_with
from labkit.engine.selection import ERRORS
from labkit.swarm.model import Snapshot
from labkit.transport.tunnel import Answer
from labkit.util.errors import LabError

_OF_THE_ENGINE = {"bridge", "host", "none", "docker_gwbridge"}
_TASK_LABEL = "com.docker.swarm.task.id"
_PATIENCE_SECONDS = 3.0
_ANONYMOUS = 64  # characters in the name of a volume that nobody named


def user_resources(lab: Cluster) -> list[str]:
    """A description of each thing, such as `service web`; empty when `begin` would destroy nothing of theirs.

    What cannot be seen, because a node is off or the quorum is lost, is listed too: it may hold anything.
    """
    timeout = lab.context.patience * _PATIENCE_SECONDS
    snapshot = lab.snapshot(timeout=timeout)
    return [*_in_the_swarm(lab, snapshot, timeout), *_on_nodes(lab, snapshot, timeout)]


def _in_the_swarm(lab: Cluster, snapshot: Snapshot, timeout: float) -> Iterator[str]:
    members = [seen.name for seen in snapshot.engines.values() if seen.swarm not in ("inactive", "unknown")]
    if snapshot.quorum is None:
        if members:
            yield f"the swarm of {', '.join(members)}, which no manager answers for"
        return
    manager = snapshot.answering_manager
    if not snapshot.quorum or manager is None:
        yield "the swarm, whose managers have lost their quorum: what is in it cannot be seen"
        return
    yield from (f"service {service.name}" for service in snapshot.services)
    yield from (f"network {network.name}" for network in snapshot.networks if not network.ingress)
    for node in snapshot.nodes:
        yield from (f"label {key}={value} of {node.name}" for key, value in node.labels.items())
        if node.availability != "active":
            yield f"availability {node.availability} of {node.name}"
    answers = lab.node(manager).ask("/swarm", "/secrets", "/configs", timeout=timeout)
    refusal = _refusal(answers)
    if answers is None or refusal:
        yield f"the swarm's members, secrets, and configs, which cannot be seen: {manager} {refusal}"
        return
    swarm, secrets, configs = (answer.body for answer in answers)
    yield from (f"secret {entry['Spec']['Name']}" for entry in secrets)
    yield from (f"config {entry['Spec']['Name']}" for entry in configs)
    formed = formed_with(swarm)
    if formed is None:
        yield f"the swarm of {', '.join(node.name for node in snapshot.nodes)}, which labkit has not formed"
        return
    for node in snapshot.nodes:
        if node.role != formed.get(node.name):
            yield f"role {node.role} of {node.name}" if node.name in formed else f"membership of {node.name}"


def _on_nodes(lab: Cluster, snapshot: Snapshot, timeout: float) -> Iterator[str]:
    nodes = lab.nodes
    running = [nodes[name] for name, seen in snapshot.engines.items() if seen.container == "running"]
    yield from (
        f"everything on {name}, which cannot be seen: it is {seen.container}"
        for name, seen in snapshot.engines.items()
        if seen.container != "running"
    )
    paths = ("/containers/json?all=1", "/volumes", "/networks", "/plugins")
    for name, answers in ask(running, *paths, timeout=timeout).items():
        refusal = _refusal(answers)
        if answers is None or refusal:
            yield f"everything on {name}, which cannot be seen: its engine {refusal}"
        else:
            yield from (f"{made} on {name}" for made in _made(*(answer.body for answer in answers)))
    yield from _in_the_folder(running)


def _refusal(answers: Sequence[Answer] | None) -> str:
    """How an engine failed to answer, such as `answers with error 503`; empty when it did answer."""
    if answers is None:
        return "does not answer"
    return next((f"answers with error {answer.status}" for answer in answers if answer.status != 200), "")


def _in_the_folder(nodes: Sequence[Node]) -> Iterator[str]:
    """What is in /lab. All nodes share it, so the first one that answers will do."""
    for node in nodes:
        with contextlib.suppress(LabError, *ERRORS):
            files = node.run("ls -A /lab", quiet=True, timeout=_PATIENCE_SECONDS).stdout.split()
            if files:
                yield f"in the folder /lab: {' '.join(files)}"
            return
    if nodes:
        yield "what is in the folder /lab, which cannot be seen: no node answers"


def _made(
    containers: list[Mapping[str, Any]],
    volumes: Mapping[str, Any],
    networks: list[Mapping[str, Any]],
    plugins: list[Mapping[str, Any]],
) -> Iterator[str]:
    for entry in containers:
        if _TASK_LABEL not in (entry.get("Labels") or {}):
            yield f"container {entry['Names'][0].lstrip('/')}"
    for entry in volumes.get("Volumes") or ():
        if len(entry["Name"]) != _ANONYMOUS:
            yield f"volume {entry['Name']}"
    for entry in networks:
        if entry["Scope"] == "local" and entry["Name"] not in _OF_THE_ENGINE:
            yield f"network {entry['Name']}"
    yield from (f"plugin {entry['Name']}" for entry in plugins)
