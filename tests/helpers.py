"""What several tests need: labkit as a process, and what a lab has left on the engine."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import docker
from docker.models.containers import Container

from labkit import Lab
from labkit.cluster import provision
from labkit.engine.selection import EngineContext
from labkit.topology.topology import LAB_LABEL
from labkit.util.deadline import Deadline

T = TypeVar("T")

A_LAB = 13  # what a lab consists of: five containers, seven volumes of its own, a network
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
    client = client or EngineContext(lab).client()
    mine = {"label": f"{LAB_LABEL}={lab}"}
    return [
        *(entry["Names"][0] for entry in client.api.containers(all=True, filters=mine)),
        *(entry["Name"] for entry in client.api.volumes(filters=mine)["Volumes"] or []),
        *(entry["Name"] for entry in client.api.networks(filters=mine)),
    ]


def eventually(look: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Look until what is seen is true, and return it."""
    for _ in Deadline(seconds).attempts():
        if seen := look():
            return seen
    raise AssertionError(f"{what} did not come about within {seconds:g} s; last seen: {seen!r}")


def service(lab: Lab, name: str) -> Container:
    """The container of one of the lab's services, such as `registry`, as it is now."""
    client = lab.context.client()
    return client.containers.get(provision.service_entries(client, lab.name)[name]["Id"])


def inside(container: Container, *command: str) -> str:
    """What a command in a container prints; it must succeed."""
    code, output = container.exec_run(list(command))
    text = _text(output)
    assert code == 0, f"{' '.join(command)} exited {code}: {text}"
    return text


def log(container: Container, since: float | None = None) -> str:
    """What a container has written to its log, all or since a moment in seconds of the epoch."""
    return _text(container.logs(since=since))


def _text(output: bytes | Iterator[bytes]) -> str:
    return (output if isinstance(output, bytes) else b"".join(output)).decode(errors="replace")
