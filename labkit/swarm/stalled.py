"""Why a Docker command on a swarm hasn't ended yet. Pure."""

import re
from collections.abc import Collection, Iterator

from labkit.swarm import explain
from labkit.swarm.model import Service, Snapshot, Task
from labkit.util.text import listed

_COMMAND = re.compile(r"\bdocker\s+service\s+(logs|create|update|scale|rollback)\b([^;|&\n]*)")
_ID_LENGTH = 4  # the shortest start of an ID that people type


def reasons(command: str, snapshot: Snapshot) -> list[str]:
    """What keeps a shell command from ending, one line each; empty where the swarm shows nothing.

    `docker service logs` waits for every node that has or had a task of the service, also for one that is cut
    off (moby issue 37336). `create`, `update`, `scale`, and `rollback` wait until all tasks run.
    """
    found: dict[str, None] = {}
    for verb, words in _COMMAND.findall(command.replace("\\\n", " ")):
        given = {word.strip("'\"") for word in re.split(r"[\s=]+", words)}
        if verb == "logs":
            lines = _unheard(snapshot, given)
        else:
            named = (service.name for service in snapshot.services if _means(given, service))
            lines = (line for name in named for line in explain.troubles(snapshot, name))
        found.update(dict.fromkeys(lines))
    return list(found)


def _means(given: Collection[str], thing: Service | Task) -> bool:
    """Whether a service or a task is among a command's words, by its name or by the start of its ID."""
    by_id = any(len(word) >= _ID_LENGTH and thing.id.startswith(word) for word in given)
    return by_id or (isinstance(thing, Service) and thing.name in given)


def _unheard(snapshot: Snapshot, given: Collection[str]) -> Iterator[str]:
    """The nodes that don't answer, and that the managers ask for the logs of a service or of a task."""
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
