"""Rootless Docker and Podman: recognizes them, and suggests what to use instead.

A node is a Docker engine in a container. It mounts cgroups and sets up networks like root on the host, which
an engine without root privileges can't allow. Podman has no Swarm mode at all.
"""

from collections.abc import Mapping
from typing import Any

import docker

from labkit.engine.endpoints import Endpoint
from labkit.util import command_hint
from labkit.util.errors import EngineUnsuitable

PODMAN = "Podman answered, which has no Swarm mode; Swarm Lab needs Docker"
_OPTION = "name=rootless"
_INSTALL = "https://docs.docker.com/engine/install/"


def is_podman(headers: Mapping[str, str]) -> bool:
    """Whether an answer with these headers is from Podman, which can listen on Docker's socket."""
    return "Libpod-Api-Version" in headers


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether an engine runs rootless, by its answer to `/info` (moby v28.5.2, daemon/info.go)."""
    return any(option.startswith(_OPTION) for option in info.get("SecurityOptions") or ())


def instead() -> str:
    """What to use instead: an engine with root privileges, or no engine at all."""
    return (
        f"use a Docker engine that runs as root ({_INSTALL}), or do without one: "
        f"{command_hint.command('up', engine='vm-direct')} runs the lab in a virtual machine"
    )


def require_root(client: docker.DockerClient, engine: Endpoint) -> None:
    """Raise EngineUnsuitable if the engine runs rootless."""
    if is_rootless(client.info()):
        raise EngineUnsuitable(
            f"the Docker engine at {engine.url} is rootless",
            evidence=[
                f"found by {engine.source}",
                "each node is a Docker engine itself, which needs root on the host",
            ],
            next_step=instead(),
        )
