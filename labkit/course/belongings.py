"""What a learner has made in a lab: what `begin` tells before it takes it away."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from labkit import engine, pipeline
from labkit.deadline import Deadline
from labkit.errors import LabError
from labkit.formation import formed_with
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab

_OF_THE_ENGINE = {"bridge", "host", "none", "docker_gwbridge"}
_TASK_LABEL = "com.docker.swarm.task.id"
_PATIENCE_SECONDS = 3.0
_ANONYMOUS = 64  # characters in the name of a volume that nobody named


def _patience() -> float:
    """Seconds for an answer: more where processors are emulated."""
    return Deadline(_PATIENCE_SECONDS).seconds


def belongings(lab: "Lab") -> list[str]:
    """Each thing in words, such as `service web`; empty where `begin` would destroy nothing of a learner's.

    What cannot be seen, because a node is off or the quorum is lost, is one of them: it may hold anything.
    """
    snapshot = lab.snapshot(timeout=_patience())
    return [*_in_the_swarm(lab, snapshot), *_on_nodes(lab, snapshot)]


def _in_the_swarm(lab: "Lab", snapshot: Snapshot) -> Iterator[str]:
    members = [
        seen.name
        for seen in snapshot.engines.values()
        if seen.swarm != "inactive" and seen.swarm != "unknown"
    ]
    if snapshot.quorum is None:
        if members:
            yield f"the swarm of {', '.join(members)}, which no manager answers for"
        return
    if not snapshot.quorum:
        yield "the swarm, whose managers have lost their quorum: nobody can tell what is in it"
        return
    manager = next(seen.name for seen in snapshot.engines.values() if seen.manager)
    answers = pipeline.ask([lab.node(manager)], "/swarm", "/secrets", "/configs", timeout=_patience())[
        manager
    ]
    swarm, secrets, configs = (answer.body for answer in answers) if answers else ({}, [], [])
    formed = formed_with(swarm)
    if formed is None:
        yield f"the swarm of {', '.join(node.name for node in snapshot.nodes)}, which labkit has not formed"
    yield from (f"service {service.name}" for service in snapshot.services)
    yield from (f"network {network.name}" for network in snapshot.networks if not network.ingress)
    yield from (f"secret {entry['Spec']['Name']}" for entry in secrets)
    yield from (f"config {entry['Spec']['Name']}" for entry in configs)
    for node in snapshot.nodes:
        if formed is not None and node.role != formed.get(node.name):
            yield f"role {node.role} of {node.name}" if node.name in formed else f"membership of {node.name}"
        yield from (f"label {key}={value} of {node.name}" for key, value in node.labels.items())
        if node.availability != "active":
            yield f"availability {node.availability} of {node.name}"


def _on_nodes(lab: "Lab", snapshot: Snapshot) -> Iterator[str]:
    nodes = lab.nodes
    running = [nodes[name] for name, seen in snapshot.engines.items() if seen.container == "running"]
    yield from (
        f"all that is on {name}, which cannot be seen: it is {seen.container}"
        for name, seen in snapshot.engines.items()
        if seen.container != "running"
    )
    paths = ("/containers/json?all=1", "/volumes", "/networks", "/plugins")
    for name, answers in pipeline.ask(running, *paths, timeout=_patience()).items():
        if answers is None:
            yield f"all that is on {name}, whose engine does not answer"
            continue
        yield from (f"{what} on {name}" for what in _made(*(answer.body for answer in answers)))
    for node in running[:1]:  # they share the folder
        try:
            files = node.run("ls -A /lab", quiet=True, timeout=_PATIENCE_SECONDS).stdout.split()
        except (LabError, *engine.ERRORS):
            continue
        if files:
            yield f"in the folder /lab: {' '.join(files)}"


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
