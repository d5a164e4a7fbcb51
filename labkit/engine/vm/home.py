"""Where a virtual machine runs: what the two ways of running it have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from labkit.engine.vm.monitor import Line

FOLDER = Path(__file__).parents[2] / "images" / "vm"
"""The image's folder; the script `machine` in it runs the machine in either home."""


class Home(Protocol):
    """The place of one lab's machine, and of the state that it keeps when it does not run.

    Files and sockets of the state are those of the script `images/vm/machine`.
    """

    title: str

    @property
    def running(self) -> bool:
        """Whether the machine runs."""

    @property
    def port(self) -> int:
        """The port of this computer's loopback address at which the engine answers while it runs."""

    def launch(self, memory: int, snapshots: Sequence[str]) -> None:
        """Start the machine with so many MiB; when it was ended well, from the first snapshot that it has."""

    def console(self, lines: int) -> list[str]:
        """The last lines that the machine has said, also after it has ended."""

    def read(self, name: str) -> bytes | None:
        """A file of the state; None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the state, which is there: the machine runs or has run."""

    def dial(self, name: str) -> Line:
        """Connect to a socket of the state. Raises OSError when nothing listens."""

    def stop(self) -> None:
        """End the machine as a power cut does. Twice is as good as once."""

    @property
    def present(self) -> bool:
        """Whether there is a machine, running or ended, to read the state of."""

    def remove(self) -> list[str]:
        """Remove what an ended machine leaves, all but its state; return what that was, in words."""

    def forget(self) -> list[str]:
        """Remove the state too; return where it was."""
