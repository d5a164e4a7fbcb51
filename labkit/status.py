"""What `labkit status` says, as data and in words."""

import contextlib
from typing import Any

from labkit import bank, bringup, engine, hint
from labkit.console import table
from labkit.errors import LabError, LabNotRunning
from labkit.lab import Lab
from labkit.model import Snapshot

Report = dict[str, Any]


def report(lab: Lab) -> Report:
    """The lab's state with stable keys.

    `lab`, `running` (every node runs), `engine` (the outer engine's address), `machine`
    (None, or of the virtual machine that carries the lab `home`, `accelerator`, `memory_mib`, `resumed`),
    `quorum` (None without a manager), `nodes` (each `name`, `container`, `image`, `address`, `swarm`, `role`,
    `availability`, `status`, `manager_status`; None where there is no such thing yet), `services` (each
    `name`, `container`, `image`, `address`), `cache` (what stays when labs are removed) and `other_labs`.
    """
    try:
        client = engine.client()
        snapshot = lab.snapshot()
        nodes = bringup.node_entries(client, lab.name)
        services = bringup.service_entries(client, lab.name)
        carrier = {"engine": engine.find().url, "machine": engine.machine_report(lab.name)}
    except LabNotRunning:  # nor does the machine that it is to run on
        snapshot, nodes, services = Snapshot(engines={}), {}, {}
        carrier = {"engine": None, "machine": None}
    return {
        "lab": lab.name,
        "running": bool(nodes) and all(entry["State"] == "running" for entry in nodes.values()),
        **carrier,
        "quorum": snapshot.quorum,
        "nodes": [_node(name, entry, snapshot) for name, entry in nodes.items()],
        "services": [_container(name, entry) for name, entry in services.items()],
        "cache": bringup.kept(),
        "other_labs": [name for name in bringup.all_labs() if name != lab.name],
    }


def words(report: Report) -> str:
    """The report as a table for people."""
    lines = []
    if report["nodes"]:
        header = ("NODE", "CONTAINER", "ADDRESS", "SWARM", "ROLE", "STATUS", "AVAILABILITY", "MANAGER STATUS")
        keys = ("name", "container", "address", "swarm", "role", "status", "availability", "manager_status")
        rows = [[node[key] or "–" for key in keys] for node in report["nodes"]]
        lines += [f"Lab '{report['lab']}' on {report['engine']}{_carrier(report)}", table(rows, header)]
        services = (f"{item['name']} {item['container']}" for item in report["services"])
        lines.append(f"Services: {', '.join(services)}")
    else:
        lines.append(
            f"Lab '{report['lab']}' is not running; to start it:  {hint.command('up', lab=report['lab'])}"
        )
    if report["quorum"] is False:
        lines.append("The managers have lost their quorum: the swarm cannot be changed or listed.")
    if report["cache"]:
        remove = hint.command("down", "--all", "--cache")
        lines.append(f"Kept: {', '.join(report['cache'])}; to remove it:  {remove}")
    if report["other_labs"]:
        lines.append(f"Other labs: {', '.join(report['other_labs'])}")
    return "\n".join(lines)


def _carrier(report: Report) -> str:
    """What the engine runs on, if that is a virtual machine."""
    machine = report["machine"]
    return f", in a virtual machine ({machine['home']}, {machine['accelerator']})" if machine else ""


def stand_ins(lab: Lab) -> engine.Probe:
    """The line of `labkit doctor` that says which images on the nodes are stand-ins, and for what."""
    found: dict[str, str] = {}
    nodes = lab.nodes
    for node in nodes.values():
        with contextlib.suppress(LabError, *engine.ERRORS):  # one that does not run is no news here
            for image in node.api.images(filters={"label": bank.STAND_IN_LABEL}):
                found[image["Labels"][bank.REFERENCE_LABEL]] = image["Labels"][bank.STAND_IN_LABEL]
    title = "Stand-in images"
    if not found:
        state = "none on the nodes" if nodes else "the lab is not running"
        return engine.Probe("stand_ins", title, True if nodes else None, state, "no chapter", "")
    return engine.Probe(
        "stand_ins",
        title,
        None,
        "; ".join(f"{name} is {really}" for name, really in sorted(found.items())),
        "no chapter",
        "nothing to do for the course; for the real ones connect to the internet, then pull again",
    )


def _container(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    addresses = [network["IPAddress"] for network in entry["NetworkSettings"]["Networks"].values()]
    return {
        "name": name,
        "container": entry["State"],
        "image": entry["Image"],
        "address": next(iter(addresses), None) or None,
    }


def _node(name: str, entry: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    member = snapshot.node(name)
    return {
        **_container(name, entry),
        "swarm": snapshot.engines[name].swarm if name in snapshot.engines else "unknown",
        "role": member.role if member else None,
        "availability": member.availability if member else None,
        "status": member.status if member else None,
        "manager_status": member.manager_status or None if member else None,
    }
