"""How JupyterLab looks and works in a lab, wherever its server runs: from `labkit start`, or behind a hub."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.util.paths import state_dir

# No news pop-up over the notebook's corner, outputs that scrolling does not lose, long commands that are
# wrapped, terminals below the notebook. They are JupyterLab's defaults here: what users have set themselves
# goes before them.
SETTINGS = Path(__file__).parent / "settings"
EXTENSIONS = Path(__file__).parent / "extension"

_FIRST_WORKSPACE = "first.jupyterlab-workspace"
# How JupyterLab names the file of its workspace "default" (jupyterlab_server.workspaces_handler.slugify).
_DEFAULT_WORKSPACE = "default-37a8.jupyterlab-workspace"


def settings(lab: str, folder: Path, nodes: Sequence[str]) -> dict[str, Any]:
    """The settings of JupyterLab and its server for a lab, by the names that Jupyter gives them.

    `folder` is the one to serve, `nodes` are those that terminals can be opened on.
    """
    return {
        "ServerApp.root_dir": str(folder),
        "ServerApp.allow_root": True,
        "TerminalsExtensionApp.terminal_manager_class": "labkit.jupyter.terminals.NodeTerminals",
        "NodeTerminals.lab": lab,
        "NodeTerminals.nodes": list(nodes),
        "LabApp.app_settings_dir": str(SETTINGS),
        "LabApp.extra_labextensions_path": [str(EXTENSIONS)],
        "LabApp.workspaces_dir": str(workspaces(lab)),
    }


def as_arguments(values: dict[str, Any]) -> list[str]:
    """Settings as command-line arguments; a list becomes one argument for each entry."""
    return [
        f"--{name}={entry}"
        for name, value in values.items()
        for entry in (value if isinstance(value, list) else [value])
    ]


def workspaces(lab: str) -> Path:
    """The folder where JupyterLab keeps what is open in this lab: at first, the table of contents.

    The user's own workspaces are of other folders: their tabs would find no files here.
    """
    folder = state_dir() / "workspaces" / lab
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DEFAULT_WORKSPACE).exists():
        shutil.copyfile(SETTINGS / _FIRST_WORKSPACE, folder / _DEFAULT_WORKSPACE)
    return folder
