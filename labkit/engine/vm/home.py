"""The home of a virtual machine: what the two ways of running it have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from labkit.engine.vm.monitor import Line

FOLDER = Path(__file__).parents[2] / "images" / "sources" / "vm"
"""The image's folder; its script `machine` runs the VM in either home."""


class Home(Protocol):
    """Where one lab's VM runs, and where its state is stored while it's stopped.

    The script `images/sources/vm/machine` defines the files and sockets of the state.
    """

    title: str

    @property
    def running(self) -> bool:
        """Whether the VM is running."""

    @property
    def port(self) -> int:
        """The port on the host's loopback address where the engine listens while the VM is running."""

    def launch(self, memory: int, snapshots: Sequence[str]) -> None:
        """Start the VM with `memory` MiB, from the first snapshot it has, if its last run ended cleanly."""

    def console(self, lines: int) -> list[str]:
        """The last lines on the VM's console, even after the VM has stopped."""

    def read(self, name: str) -> bytes | None:
        """Read a file of the state; None if it doesn't exist."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the state. The VM must be running, or have run."""

    def dial(self, name: str) -> Line:
        """Connect to a socket of the state. Raises OSError if nothing is listening."""

    def stop(self) -> None:
        """Stop the VM the way a power cut does. Idempotent."""

    @property
    def present(self) -> bool:
        """Whether there is a VM, running or stopped, whose state can be read."""

    def remove(self) -> list[str]:
        """Remove what a stopped VM left behind, except its state; describe what was removed."""

    def delete_state(self) -> list[str]:
        """Remove the state too; return where it was stored."""
