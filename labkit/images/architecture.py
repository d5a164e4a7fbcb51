"""The processor that images are for: the engine's own. Only the virtual machine needs x86-64."""

import platform

import docker

from labkit.util import command_hint
from labkit.util.errors import EngineUnsuitable

VM = "amd64"
"""The only architecture with a virtual machine, under Docker's name."""

# What uname(2) calls an architecture, in Docker's terms, which are Go's (https://go.dev/doc/install/source#environment).
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def of_host() -> str:
    """The architecture of the computer that labkit runs on, under Docker's name: `amd64`, `arm64`."""
    machine = platform.machine().lower()  # Windows says AMD64
    return _GO_NAMES.get(machine, machine)


def of_engine(client: docker.DockerClient) -> str:
    """The architecture of the engine behind `client`, which may be another computer's: `amd64`, `arm64`."""
    return str(client.version()["Arch"])


def vm_obstacle(architecture: str) -> str:
    """Why no virtual machine can run on this architecture; empty if one can."""
    if architecture == VM:
        return ""
    return f"this processor is {architecture}, and the virtual machine is for x86-64 ({VM}) only"


def require_vm(client: docker.DockerClient) -> None:
    """Raise EngineUnsuitable if no virtual machine can run on this engine's processor."""
    if obstacle := vm_obstacle(of_engine(client)):
        raise EngineUnsuitable(
            "a virtual machine cannot run on this Docker engine", evidence=[obstacle], next_step=without_vm()
        )


def without_vm() -> str:
    """What to do if no virtual machine can run."""
    return f"run the lab on the Docker engine itself: {command_hint.command('up', engine='docker')}"
