"""What commands and connections need from a node: its container, and a client of the engine that runs it."""

from contextlib import AbstractContextManager
from typing import Protocol

import docker
from docker.models.containers import Container

from labkit.util.deadline import Deadline


class Target(Protocol):
    """A container to run commands in. `Node` is one."""

    container_id: str
    name: str

    @property
    def client(self) -> docker.DockerClient:
        """This thread's client of the engine that runs the container."""

    @property
    def container(self) -> Container:
        """The container as it is now. Raises LabNotRunning if it is gone."""

    def deadline(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, or later if the container's processors are emulated."""

    def hint(self, *words: str) -> str:
        """`labkit WORDS` for the container's lab."""

    def explained(self) -> AbstractContextManager[None]:
        """Raise the reason for a failure of the engine that runs the container, if it is known."""
