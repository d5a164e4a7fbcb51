"""The entries in JupyterLab's launcher: chapters, with what is done of each, and node terminals."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.course import report
from labkit.swarm.model import Json
from labkit.util.errors import LabError

if TYPE_CHECKING:
    from tornado.web import Application

# The key in the page's configuration under which extension/swarm-lab finds the entries.
PAGE_CONFIG_KEY = "swarmLab"
# Where it asks for `progress`, below the server's base URL.
PROGRESS_PATH = "swarm-lab/progress"

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def install(web_app: "Application", notebooks: Path, nodes: Iterable[str]) -> None:
    """Add the entries to the pages of a Jupyter server, and the address where a page asks for `progress`."""
    from labkit.jupyter.handlers import ProgressHandler  # imports the whole server

    web_app.settings.setdefault("page_config_data", {})[PAGE_CONFIG_KEY] = entries(notebooks, nodes)
    address = web_app.settings["base_url"] + PROGRESS_PATH
    web_app.add_handlers(".*$", [(address, ProgressHandler, {"read": progress})])


def entries(notebooks: Path, nodes: Iterable[str]) -> list[dict[str, Any]]:
    """The launcher's entries in order, each with the JupyterLab command that it runs.

    A chapter's entry names the `chapter`, which is its key in `progress`.
    """
    chapters = [
        _entry("Chapters", _numbered(path), "ui-components:notebook", "docmanager:open", path=path.name)
        | {"chapter": path.stem[3:]}
        for path in sorted(notebooks.glob("[0-9][0-9]-*.ipynb"))
    ]
    terminals = [
        _entry("Terminals on the nodes", name, "ui-components:terminal", "terminal:open", name=name)
        for name in nodes
    ]
    return chapters + terminals


def progress() -> dict[str, str]:
    """How much of each chapter is done, in two lines; nothing if the records can't be read.

    Every check and `labkit progress` report why they can't, so the launcher needn't.
    """
    try:
        return {chapter["name"]: _done(chapter) for chapter in report.summary()["chapters"]}
    except LabError:
        return {}


def _done(chapter: Json) -> str:
    """The two lines for a chapter of `report.summary`, such as `2 of 5 exercises solved`."""
    exercises, quiz = chapter["exercises"], chapter["quiz"]
    noun = "scenarios" if chapter["name"] == "prove-it" else "exercises"
    solved = sum(1 for exercise in exercises if exercise["solved"] is not None)
    if solved == len(exercises) and quiz["answered"] == quiz["questions"]:
        return f"✓ Done: all {solved} {noun} solved\nand the quiz answered"
    answered = f"{quiz['answered']} of {quiz['questions']} quiz questions answered"
    return f"{solved} of {len(exercises)} {noun} solved\n{answered}"


def title(notebook: Path) -> str:
    """A notebook's H1, or its file name if it has none."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    except (OSError, ValueError, KeyError, TypeError):  # a learner may have broken it; JupyterLab says so
        texts = []
    return next((match[1] for text in texts if (match := _TITLE.search(text))), notebook.stem)


def _numbered(notebook: Path) -> str:
    name = title(notebook)
    return name if name == notebook.stem else f"{notebook.stem[:2]} {name}"


def _entry(category: str, label: str, icon: str, command: str, **args: str) -> dict[str, Any]:
    return {"category": category, "label": label, "icon": icon, "command": command, "args": args}
