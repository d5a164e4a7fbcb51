"""Turns the engine's messages into plain words: why a task waits or failed, and the state of an update."""

import re

# The messages of the scheduler's filters (moby/swarmkit, manager/scheduler/filter.go), in words for when they
# concern all nodes and for when they concern some.
_FILTERS = {
    "scheduling constraints not satisfied": ("no node meets its constraints", "ruled out by its constraints"),
    "insufficient resources": (
        "no node has enough free resources",
        "without enough free resources",
    ),
    "missing plugin": ("no node has its plugin", "without its plugin"),
    "unsupported platform": ("no node has its platform", "with another platform"),
    "host-mode port already in use": ("its port is in use on every node", "with its port in use"),
    "max replicas per node limit": ("every node has its maximum of replicas", "with its maximum of replicas"),
    "cannot fulfill requested CSI volume": ("no node can mount its volume", "unable to mount its volume"),
    "not available for new tasks": ("no node accepts new tasks", "not accepting new tasks"),
}

# What comes before the reason why a port can't be published: the task's endpoint, which always differs.
_ENDPOINT = re.compile(r"^.*programming external connectivity on endpoint \S+ \(\w+\): ")

NO_ADDRESS = "missing network attachments"
"""From a node that got no address on a network (moby: daemon/cluster/executor/container/adapter.go)."""

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
    """The state of a service's last update: `the update is paused`."""
    return _UPDATES[state][0] if state in _UPDATES else f"the update is {state}"


def label_of_update(state: str) -> str:
    """The same in a word or two: `update paused`; empty if there was no update."""
    return _UPDATES[state][1] if state in _UPDATES else state


def why_it_waits(message: str) -> str:
    """Why a task has no node yet; the engine's own message if it isn't known."""
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
    return "no node is suitable: " + ", ".join(f"{_nodes(cause)} {words[1]}" for cause, words in known)


def why_it_failed(message: str) -> str:
    """Why a task ended, in fewer words than the engine's message."""
    message = _ENDPOINT.sub("", message)
    message = re.sub(r"task: non-zero exit \((\d+)\)", r"exit code \1", message)
    return message.replace(": dockerexec: unhealthy container", ": unhealthy").replace("No such", "no such")


def _nodes(cause: str) -> str:
    """How many nodes a cause concerns; the filter for replicas doesn't say."""
    count = re.search(r"(\d+) nodes?", cause)
    return count[1] if count else "others"
