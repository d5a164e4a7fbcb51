"""What the lab's services cost: seconds of `labkit up`, memory, and how fast nodes have their first image.

    .venv/bin/python bench/services.py [REPEATS]

`labkit up` runs as a whole process, in turn with the topology file and with the same file without its
services. The images are there already (warm).
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from labkit import Lab
from labkit.cluster import provision
from labkit.engine.selection import EngineContext
from labkit.topology import topology
from labkit.transport.commands import run_on

LABKIT = str(Path(sys.executable).parent / "labkit")
LAB = "bench"


def without_services(folder: str) -> str:
    """The topology file with its nodes alone, which then pull from Docker Hub itself."""
    document: dict[str, Any] = yaml.safe_load(topology.default_path().read_text())
    wanted = topology.load()
    for service in wanted.services:
        if not service.is_node:
            del document["services"][service.name]
            continue
        node = document["services"][service.name]
        del node["command"], node["dns"]
        node["volumes"] = [mount for mount in node["volumes"] if not mount.startswith("trust:")]
    used = {mount.split(":")[0] for node in document["services"].values() for mount in node["volumes"]}
    document["volumes"] = {name: body for name, body in document["volumes"].items() if name in used}
    file = Path(folder) / topology.FILE_NAME
    file.write_text(yaml.safe_dump(document))
    return str(file)


def seconds_of_up(file: str) -> float:
    started = time.monotonic()
    subprocess.run(
        [LABKIT, "--lab", LAB, "up"],
        env={**os.environ, "LABKIT_TOPOLOGY": file},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    return time.monotonic() - started


def mebibytes(container_id: str) -> float:
    """A container's memory without the files that the kernel could drop, as `docker stats` counts."""
    usage: dict[str, Any] = EngineContext(LAB).client().api.stats(container_id, stream=False)["memory_stats"]
    droppable = usage["stats"].get("total_inactive_file", usage["stats"].get("inactive_file", 0))
    return float((usage["usage"] - droppable) / 2**20)


def memory_of_services() -> float:
    entries = provision.service_entries(EngineContext(LAB).client(), LAB).values()
    return sum(mebibytes(entry["Id"]) for entry in entries)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    lab = Lab(LAB)
    measured: dict[str, list[float]] = {"with": [], "without": [], "pull": [], "idle": [], "used": []}
    with tempfile.TemporaryDirectory() as folder:
        whole, bare = str(topology.default_path()), without_services(folder)
        try:
            lab.up()  # makes what is missing
            for _ in range(repeats):
                lab.down()
                measured["without"].append(seconds_of_up(bare))
                lab.down()
                measured["with"].append(seconds_of_up(whole))
                measured["idle"].append(memory_of_services())
                started = time.monotonic()
                run_on(list(lab.nodes.values()), "docker pull -q web:1", sink=None)
                measured["pull"].append(time.monotonic() - started)
                measured["used"].append(memory_of_services())
        finally:
            lab.down()
    added = [a - b for a, b in zip(measured["with"], measured["without"], strict=True)]
    for title, values, unit, goal in (
        ("labkit up", measured["with"], "s", None),
        ("labkit up, no services", measured["without"], "s", None),
        ("services add to it", added, "s", 0.5),
        ("first pull on all nodes at once", measured["pull"], "s", 3),
        ("memory of the services", measured["idle"], "MiB", 60),
        ("the same after the pull", measured["used"], "MiB", None),
    ):
        told = f"{title:<32} median {statistics.median(values):6.2f} {unit:<4} "
        told += f"{min(values):.2f}–{max(values):.2f}"
        print(told + (f"   goal: at most {goal} {unit}" if goal else ""))


if __name__ == "__main__":
    main()
