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

from labkit import Lab, bringup, engine, topology
from labkit.running import run_on

LABKIT = str(Path(sys.executable).parent / "labkit")
LAB = "bench"
GOALS = {"up": 0.5, "memory": 60, "pull": 3}


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
    usage: dict[str, Any] = engine.client().api.stats(container_id, stream=False)["memory_stats"]
    droppable = usage["stats"].get("total_inactive_file", usage["stats"].get("inactive_file", 0))
    return float((usage["usage"] - droppable) / 2**20)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    lab = Lab(LAB)
    measured: dict[str, list[float]] = {"with": [], "without": [], "pull": []}
    memory: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        whole, bare = str(topology.default_path()), without_services(folder)
        try:
            lab.up()  # makes what is missing
            for _ in range(repeats):
                lab.down()
                measured["without"].append(seconds_of_up(bare))
                lab.down()
                measured["with"].append(seconds_of_up(whole))
                started = time.monotonic()
                run_on(list(lab.nodes.values()), "docker pull -q web:1", sink=None)
                measured["pull"].append(time.monotonic() - started)
                for name, entry in bringup.service_entries(engine.client(), LAB).items():
                    memory.setdefault(name, []).append(mebibytes(entry["Id"]))
        finally:
            lab.down()
    for title, name in (
        ("labkit up", "with"),
        ("labkit up, no services", "without"),
        ("first pull of web:1, all nodes", "pull"),
    ):
        times = measured[name]
        print(f"{title:<32} median {statistics.median(times):5.2f} s   {min(times):.2f}–{max(times):.2f}")
    for name, sizes in memory.items():
        print(f"{name:<32} median {statistics.median(sizes):5.1f} MiB")
    added = [a - b for a, b in zip(measured["with"], measured["without"], strict=True)]
    total = [sum(sizes) for sizes in zip(*memory.values(), strict=True)]
    for title, values, unit, goal in (
        ("services add to `labkit up`", added, "s", GOALS["up"]),
        ("memory of the services", total, "MiB", GOALS["memory"]),
        ("first pull on all nodes at once", measured["pull"], "s", GOALS["pull"]),
    ):
        print(f"{title:<32} median {statistics.median(values):5.2f} {unit}   goal: at most {goal} {unit}")


if __name__ == "__main__":
    main()
