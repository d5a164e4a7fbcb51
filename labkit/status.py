"""What `labkit status` says, as data and in words."""

from typing import Any

from labkit import bringup, engine, hint
from labkit.console import table
from labkit.lab import Lab
from labkit.model import Snapshot

Report = dict[str, Any]


def report(lab: Lab) -> Report:
    """The lab's state with stable keys.

    `lab`, `running` (every node runs), `engine` (the outer engine's address), `quorum` (None without a
    manager), `nodes` (each `name`, `container`, `image`, `address`, `swarm`, `role`, `availability`,
    `status`, `manager_status`; None where there is no such thing yet) and `other_labs`.
    """
    client = engine.client()
    snapshot = lab.snapshot()
    entries = bringup.node_entries(client, lab.name)
    return {
        "lab": lab.name,
        "running": bool(entries) and all(entry["State"] == "running" for entry in entries.values()),
        "engine": engine.find().url,
        "quorum": snapshot.quorum,
        "nodes": [_node(name, entry, snapshot) for name, entry in entries.items()],
        "other_labs": [name for name in bringup.labs(client) if name != lab.name],
    }


def words(report: Report) -> str:
    """The report as a table for people."""
    lines = []
    if report["nodes"]:
        header = ("NODE", "CONTAINER", "ADDRESS", "SWARM", "ROLE", "STATUS", "AVAILABILITY", "MANAGER STATUS")
        keys = ("name", "container", "address", "swarm", "role", "status", "availability", "manager_status")
        rows = [[node[key] or "–" for key in keys] for node in report["nodes"]]
        lines += [f"Lab '{report['lab']}' on {report['engine']}", table(rows, header)]
    else:
        lines.append(
            f"Lab '{report['lab']}' is not running; to start it:  {hint.command('up', lab=report['lab'])}"
        )
    if report["quorum"] is False:
        lines.append("The managers have lost their quorum: the swarm cannot be changed or listed.")
    if report["other_labs"]:
        lines.append(f"Other labs: {', '.join(report['other_labs'])}")
    return "\n".join(lines)


def _node(name: str, entry: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    member = snapshot.node(name)
    addresses = [network["IPAddress"] for network in entry["NetworkSettings"]["Networks"].values()]
    return {
        "name": name,
        "container": entry["State"],
        "image": entry["Image"],
        "address": next(iter(addresses), None) or None,
        "swarm": snapshot.engines[name].swarm if name in snapshot.engines else "unknown",
        "role": member.role if member else None,
        "availability": member.availability if member else None,
        "status": member.status if member else None,
        "manager_status": member.manager_status or None if member else None,
    }
