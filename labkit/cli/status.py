"""What `labkit status` shows, as data and as a table."""

import contextlib
from collections.abc import Mapping
from typing import Any

from labkit.cluster import hub, provision
from labkit.cluster.cluster import Cluster
from labkit.cluster.node import ask
from labkit.engine import doctor, vm_lifecycle
from labkit.engine.selection import ERRORS
from labkit.images import catalog
from labkit.images.engines import DEFAULT, DOCKER_LABEL
from labkit.swarm.model import Snapshot
from labkit.swarm.parse import plain_version
from labkit.util import command_hint
from labkit.util.console import table
from labkit.util.errors import LabError, LabNotRunning

Report = dict[str, Any]


def report(lab: Cluster) -> Report:
    """The lab's state with stable keys.

    `lab`, `running` (whether every node is running), `engine` (the outer engine's address), `machine` (None,
    or the lab's virtual machine: `home`, `accelerator`, `memory_mib`, `resumed`), `quorum` (None without a
    manager), `nodes` (each with `name`, `container`, `image`, `address`, `swarm`, `role`, `availability`,
    `status`, `manager_status`, and `docker`, its engine's version; None if there's no such value yet),
    `services` (each with `name`, `container`, `image`, `address`), `cache` (what's kept when labs are
    removed), and `other_labs`.
    """
    try:
        client = lab.context.client()
        snapshot = lab.snapshot()
        nodes = provision.node_entries(client, lab.name)
        services = provision.service_entries(client, lab.name)
        docker = _docker_versions(lab, nodes, snapshot)
        engine: Report = {"engine": lab.context.endpoint().url, "machine": vm_lifecycle.report(lab.context)}
    except LabNotRunning:  # its virtual machine isn't running either
        snapshot, nodes, services, docker = Snapshot(engines={}), {}, {}, {}
        engine = {"engine": None, "machine": None}
    return {
        "lab": lab.name,
        "running": bool(nodes) and all(entry["State"] == "running" for entry in nodes.values()),
        **engine,
        "quorum": snapshot.quorum,
        "nodes": [{**_node(name, entry, snapshot), "docker": docker[name]} for name, entry in nodes.items()],
        "services": [_container(name, entry) for name, entry in services.items()],
        "cache": provision.kept(lab.context),
        "other_labs": [name for name in provision.all_labs(lab.context) if name != lab.name],
    }


def render(report: Report) -> str:
    """The report as a table."""
    lines = []
    if report["nodes"]:
        keys = ["name", "container", "docker", "address", "swarm", "role", "status", "availability"]
        keys.append("manager_status")
        header = ("NODE", *(key.replace("_", " ").upper() for key in keys[1:]))
        rows = [[node[key] or "–" for key in keys] for node in report["nodes"]]
        vm = report["machine"]
        home = f", in a virtual machine ({vm['home']}, {vm['accelerator']})" if vm else ""
        lines += [f"Lab '{report['lab']}' on {report['engine']}{home}", table(rows, header)]
        services = (f"{item['name']} {item['container']}" for item in report["services"])
        lines.append(f"Services: {', '.join(services)}")
    else:
        up = command_hint.command("up", lab=report["lab"])
        lines.append(f"Lab '{report['lab']}' is not running; to start it:  {up}")
    if report["quorum"] is False:
        lines.append("The managers have lost their quorum, so the swarm can be neither changed nor listed.")
    if report["cache"]:
        remove = command_hint.command("down", "--all", "--cache")
        lines.append(f"Kept: {', '.join(report['cache'])}; to remove it:  {remove}")
    if report["other_labs"]:
        lines.append(f"Other labs: {', '.join(report['other_labs'])}")
    return "\n".join(lines)


def stand_ins(lab: Cluster) -> doctor.Probe:
    """The line of `labkit doctor` that lists the stand-in images on the nodes."""
    found: dict[str, str] = {}
    nodes = lab.nodes
    for node in nodes.values():
        with contextlib.suppress(LabError, *ERRORS):  # a node that isn't running doesn't matter here
            for image in node.api.images(filters={"label": catalog.STAND_IN_LABEL}):
                found[image["Labels"][catalog.REFERENCE_LABEL]] = image["Labels"][catalog.STAND_IN_LABEL]
    ok: bool | None = None
    state, advice = "the lab is not running", ""
    if found:
        state = "; ".join(f"{name} is {really}" for name, really in sorted(found.items()))
        advice = (
            "nothing to do for the course; to get the real images, connect to the internet and pull again"
        )
        if answer := _hub_answer(lab):
            advice += f" (Docker Hub answers the lab's registry: {answer})"
    elif nodes:
        ok, state = True, "none on the nodes"
    return doctor.Probe("stand_ins", "Stand-in images", ok, state, "no chapter", advice)


def _hub_answer(lab: Cluster) -> str:
    with contextlib.suppress(LabError, *ERRORS):
        client = lab.context.client()
        if registry := provision.service_entries(client, lab.name).get("registry"):
            return hub.answer(client, registry["Id"])
    return ""


def _container(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    addresses = [network["IPAddress"] for network in entry["NetworkSettings"]["Networks"].values()]
    return {
        "name": name,
        "container": entry["State"],
        "image": entry["Image"],
        "address": next(iter(addresses), None) or None,
    }


def _docker_versions(
    lab: Cluster, entries: Mapping[str, dict[str, Any]], snapshot: Snapshot
) -> dict[str, str]:
    """Each engine's version as it says itself, otherwise the one that the node's image was built for."""
    answering = [
        node
        for name, node in lab.nodes.items()
        if (seen := snapshot.engines.get(name)) and seen.swarm != "unknown"
    ]
    told = ask(answering, "/version")
    built = {name: entry["Labels"].get(DOCKER_LABEL, DEFAULT) for name, entry in entries.items()}
    said = {name: answers[0].body["Version"] for name, answers in told.items() if answers}
    return built | {name: plain_version(version) for name, version in said.items()}


def _node(name: str, entry: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    member, engine = snapshot.node(name), snapshot.engines.get(name)
    keys = ("role", "availability", "status", "manager_status")
    return {
        **_container(name, entry),
        "swarm": engine.swarm if engine else "unknown",
        **{key: getattr(member, key, None) or None for key in keys},
    }
