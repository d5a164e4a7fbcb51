"""Swarm Lab's helper package: a real three-node Docker swarm to learn on, in containers.

In a notebook: `%load_ext labkit`, then `lab = Lab().up()`, then `%%on manager1` cells.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lab import Lab

__version__ = "0.1.0"
__all__ = ["Lab", "load_ipython_extension"]


def __getattr__(name: str) -> Any:
    """Import `Lab` on first use: it stands on everything else, and `labkit --help` needs none of it."""
    if name == "Lab":
        from labkit.lab import Lab

        return Lab
    raise AttributeError(f"module 'labkit' has no attribute '{name}'")


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext labkit`: adds the cell magic `%%on`."""
    from labkit import magics

    magics.register(shell)
