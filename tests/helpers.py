"""What several tests need: labkit as a process, and what a lab has left on the engine."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import docker

from labkit import engine
from labkit.topology import LAB_LABEL

LABKIT = str(Path(sys.executable).parent / "labkit")


def labkit(
    *arguments: str, stdin: str = "", timeout: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command `labkit` to its end."""
    return subprocess.run(
        [LABKIT, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **env},
    )


def spawn(*arguments: str, **env: str) -> "subprocess.Popen[str]":
    """Start the command `labkit`; its output is read by the caller."""
    return subprocess.Popen(
        [LABKIT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **env},
    )


def wait_for_line(process: "subprocess.Popen[str]", pattern: str, seconds: float = 60) -> re.Match[str]:
    """Read the process's output up to a line that holds `pattern`, and return the match."""
    seen = []
    deadline = threading.Timer(seconds, process.kill)
    deadline.start()
    try:
        for line in process.stdout or ():
            seen.append(line)
            if found := re.search(pattern, line):
                return found
    finally:
        deadline.cancel()
    raise AssertionError(f"no line with '{pattern}' within {seconds:g} s:\n{''.join(seen)}")


def leftovers(lab: str, client: docker.DockerClient | None = None) -> list[str]:
    """The names of every container, volume and network that carries the lab's label."""
    client = client or engine.client()
    mine = {"label": f"{LAB_LABEL}={lab}"}
    return [
        *(entry["Names"][0] for entry in client.api.containers(all=True, filters=mine)),
        *(entry["Name"] for entry in client.api.volumes(filters=mine)["Volumes"] or []),
        *(entry["Name"] for entry in client.api.networks(filters=mine)),
    ]
