"""Why a task waits or failed, and how an update stands, in plain words, from what the engine says."""

import re

# What the scheduler's filters say (moby/swarmkit, manager/scheduler/filter.go): in words for when it is so on
# all nodes, and on some.
_FILTERS = {
    "scheduling constraints not satisfied": ("no node fits its constraints", "outside its constraints"),
    "insufficient resources": ("no node has the room it asks for", "without the room it asks for"),
    "missing plugin": ("no node has its plugin", "without its plugin"),
    "unsupported platform": ("no node is of its platform", "of another platform"),
    "host-mode port already in use": ("its port is taken on every node", "with its port taken"),
    "max replicas per node limit": ("every node has its maximum of replicas", "with its maximum of replicas"),
    "cannot fulfill requested CSI volume": ("no node can mount its volume", "that cannot mount its volume"),
    "not available for new tasks": ("no node takes new tasks", "closed to new tasks"),
}

# What stands before the reason why a port can't be published: the task's own endpoint, other in each message.
_ENDPOINT = re.compile(r"^.*programming external connectivity on endpoint \S+ \(\w+\): ")

NO_ADDRESS = "missing network attachments"
"""What a node says that got no address on a network (moby: daemon/cluster/executor/container/adapter.go)."""

# The states of a rolling update (Docker Engine API, "UpdateStatus"): a sentence, and a label for pictures.
_UPDATES = {
    "updating": ("the update is in progress", "updating"),
    "paused": ("the update is paused", "update paused"),
    "completed": ("the update is completed", "updated"),
    "rollback_started": ("the update is being rolled back", "rolling back"),
    "rollback_paused": ("the rollback is paused", "rollback paused"),
    "rollback_completed": ("the update was rolled back", "rolled back"),
}


def describe_update(state: str) -> str:
    """How a service's last update stands: `the update is paused`."""
    return _UPDATES[state][0] if state in _UPDATES else f"the update is {state}"


def label_of_update(state: str) -> str:
    """The same in a word or two: `update paused`; empty where there was no update."""
    return _UPDATES[state][1] if state in _UPDATES else state


def why_it_waits(message: str) -> str:
    """Why a task has no node yet; the engine's own words where they are unknown."""
    if message in ("", "created", "pending task scheduling"):
        return "about to be scheduled"
    found = re.fullmatch(r"no suitable node(?: \((.*)\))?", message)
    if found is None:
        return message
    causes = (found[1] or "").split("; ")
    known = [(cause, words) for cause in causes for said, words in _FILTERS.items() if said in cause]
    if len(known) < len(causes):
        return found[1] or "no node is suitable"
    if len(known) == 1:
        return known[0][1][0]
    return "no node is left: " + ", ".join(f"{_nodes(cause)} {words[1]}" for cause, words in known)


def why_it_failed(message: str) -> str:
    """Why a task ended, shorter than the engine says it."""
    message = _ENDPOINT.sub("", message)
    message = re.sub(r"task: non-zero exit \((\d+)\)", r"exit code \1", message)
    return message.replace(": dockerexec: unhealthy container", ": unhealthy").replace("No such", "no such")


def _nodes(cause: str) -> str:
    """How many nodes a cause is about; the filter of replicas does not say."""
    count = re.search(r"(\d+) nodes?", cause)
    return count[1] if count else "others"
