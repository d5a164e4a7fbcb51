"""Swarm Lab's helper package: a real three-node Docker swarm to learn on, in containers.

In a notebook: `%load_ext labkit`, then `lab = Lab().up()`, then `%%on manager1` cells.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit import plots, widgets
    from labkit.lab import Lab
    from labkit.observe.traffic import load
    from labkit.swarm import checks
    from labkit.util import errors

__version__ = "0.1.0"
__all__ = ["Lab", "checks", "errors", "load", "load_ipython_extension", "plots", "widgets"]


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for on first use: `labkit --help` needs none of it."""
    match name:
        case "Lab":
            return importlib.import_module("labkit.lab").Lab
        case "checks":
            return importlib.import_module("labkit.swarm.checks")
        case "errors":
            return importlib.import_module("labkit.util.errors")
        case "load":
            return importlib.import_module("labkit.observe.traffic.load")
    raise AttributeError(f"module 'labkit' has no attribute '{name}'")


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext labkit`: adds the cell magic `%%on`."""
    magics = importlib.import_module("labkit.jupyter.magics")
    magics.register(shell)
