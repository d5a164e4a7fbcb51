"""Why a Docker command on a swarm hasn't finished yet. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator

from labkit.swarm import explain
from labkit.swarm.model import Service, Snapshot, Task
from labkit.util.text import listed

_COMMAND = re.compile(r"\bdocker\s+service\s+(logs|create|update|scale|rollback)\b([^;|&\n]*)")
_LOGS = "logs"
_ID_LENGTH = 4  # the shortest prefix of an ID that people type


def silent_nodes(command: str, snapshot: Snapshot) -> list[str]:
    """Which nodes a shell command's `docker service logs` waits for, and what to do, one line each.

    It waits for every node that has or had a task of the service, even if the node is cut off (moby issue
    37336). Empty if every node answers.
    """
    return _unique(
        line for verb, given in _parts(command) if verb == _LOGS for line in _unheard(snapshot, given)
    )


def reasons(command: str, snapshot: Snapshot) -> list[str]:
    """What kept a shell command from finishing in time, one line each; empty if the swarm shows nothing.

    `docker service create`, `update`, `scale`, and `rollback` wait until all tasks run; for `logs` see
    `silent_nodes`.
    """
    named = (
        service.name
        for verb, given in _parts(command)
        for service in snapshot.services
        if verb != _LOGS and _means(given, service)
    )
    troubles = (line for name in named for line in explain.troubles(snapshot, name))
    return _unique([*silent_nodes(command, snapshot), *troubles])


def _parts(command: str) -> Iterator[tuple[str, set[str]]]:
    """The verb of each `docker service` command that waits, with its arguments."""
    for verb, words in _COMMAND.findall(command.replace("\\\n", " ")):
        yield verb, {word.strip("'\"") for word in re.split(r"[\s=]+", words)}


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _means(given: Collection[str], thing: Service | Task) -> bool:
    """Whether a service or a task is among a command's arguments, by its name or by a prefix of its ID."""
    by_id = any(len(word) >= _ID_LENGTH and thing.id.startswith(word) for word in given)
    return by_id or (isinstance(thing, Service) and thing.name in given)


def _unheard(snapshot: Snapshot, given: Collection[str]) -> Iterator[str]:
    """The nodes that don't answer although the managers ask them for logs of a service or a task."""
    services = {service.name for service in snapshot.services if _means(given, service)}
    tasks = [task for task in snapshot.tasks if task.service in services or _means(given, task)]
    asked = {task.node for task in tasks}
    away = []
    for node in snapshot.nodes:
        engine = snapshot.engines.get(node.name)
        stopped = engine is not None and engine.container != "running"
        if node.name in asked and (stopped or node.status != "ready"):
            away.append(f"{node.name} ({engine.container if engine and stopped else node.status})")
    if away:
        verb = "doesn't" if len(away) == 1 else "don't"
        yield f"docker service logs waits for {listed(away)}, which {verb} answer."
        yield "  what the other nodes had is printed; timeout 10 docker service logs … ends by itself"
        yield "  docker service ps SERVICE lists the tasks; docker service logs TASK asks one node only"
