"""What several tests need: labkit as a process, and what a lab has left on the engine."""

import os
import subprocess
import sys
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


def leftovers(lab: str, client: docker.DockerClient | None = None) -> list[str]:
    """The names of every container, volume and network that carries the lab's label."""
    client = client or engine.client()
    mine = {"label": f"{LAB_LABEL}={lab}"}
    return [
        *(entry["Names"][0] for entry in client.api.containers(all=True, filters=mine)),
        *(entry["Name"] for entry in client.api.volumes(filters=mine)["Volumes"] or []),
        *(entry["Name"] for entry in client.api.networks(filters=mine)),
    ]
