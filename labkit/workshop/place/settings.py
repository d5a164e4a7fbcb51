"""The settings of Jupyter's server in a place: labkit's own, the courier, and an end for unused kernels."""

import os
from pathlib import Path
from typing import Any

from traitlets.config import Config

from labkit.jupyter import notebooks, page
from labkit.topology import topology
from labkit.util import command_hint
from labkit.workshop.place import kernels

EXTENSION = "labkit.workshop.place.extension"
NOTEBOOKS = "LABKIT_NOTEBOOKS"
"""The variable that names the folder with the learner's notebooks; by default `notebooks` in their home."""


def configure(config: Config) -> None:
    """Set all settings in a configuration of Jupyter's. Copies the chapters that the learner doesn't have."""
    folder = notebooks.provide(Path(os.environ.get(NOTEBOOKS) or Path.home() / "notebooks"))
    for name, value in values(folder).items():
        owner, _, trait = name.partition(".")
        config[owner][trait] = value
    config.ServerApp.jpserver_extensions = {EXTENSION: True}


def values(folder: Path) -> dict[str, Any]:
    """The settings by the names that Jupyter gives them, for the notebooks in a folder."""
    nodes = [node.name for node in topology.load().nodes]
    return {**page.settings(command_hint.default_lab(), folder, nodes), **kernels.settings()}
