"""The entries in JupyterLab's launcher: the chapters, and a terminal on each node."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# The key in the page's configuration under which extension/swarm-lab finds the entries.
PAGE_CONFIG_KEY = "swarmLab"

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def entries(notebooks: Path, nodes: Iterable[str]) -> list[dict[str, Any]]:
    """The launcher's entries in order, each with the JupyterLab command that it runs."""
    chapters = [
        _entry("Chapters", title(path), "ui-components:notebook", "docmanager:open", path=path.name)
        for path in sorted(notebooks.glob("[0-9][0-9]-*.ipynb"))
    ]
    terminals = [
        _entry("Terminals on the nodes", name, "ui-components:terminal", "terminal:open", name=name)
        for name in nodes
    ]
    return chapters + terminals


def title(notebook: Path) -> str:
    """A notebook's H1, or its file name if it has none."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    except (OSError, ValueError, KeyError, TypeError):  # a learner may have broken it; JupyterLab says so
        texts = []
    return next((match[1] for text in texts if (match := _TITLE.search(text))), notebook.stem)


def _entry(category: str, label: str, icon: str, command: str, **args: str) -> dict[str, Any]:
    return {"category": category, "label": label, "icon": icon, "command": command, "args": args}
