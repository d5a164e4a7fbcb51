"""Runs a notebook by nbval in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
from nbformat import NotebookNode

from labkit.engine.selection import EngineContext
from labkit.util import command_hint

SANITIZE = Path(__file__).with_name("sanitize.cfg")


def cell_seconds() -> int:
    """How long a cell may take; a virtual machine may have to emulate its processors."""
    return 1500 if EngineContext(command_hint.default_lab()).wants_vm else 180


def code_cells(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def prediction(cell: NotebookNode) -> str | None:
    """The name of the prediction that a cell asks for."""
    found = re.match(r'widgets\.Predict\(\s*lab,\s*"([^"]+)"', cell.source)
    return found[1] if found and cell.cell_type == "code" else None


def outcome(cell: NotebookNode) -> str | None:
    """The name of the prediction that a cell compares with what happened."""
    found = re.search(r'^lab\.outcome\("([^"]+)"', cell.source, re.MULTILINE)
    return found[1] if found and cell.cell_type == "code" else None


def answers(book: NotebookNode) -> list[NotebookNode]:
    """The code cells that answer predictions: those after the question, up to the comparison with it."""
    found: list[NotebookNode] = []
    for index, cell in enumerate(book.cells):
        if name := prediction(cell):
            ends = [at for at, end in enumerate(book.cells) if outcome(end) == name]
            found += [after for end in ends for after in book.cells[index + 1 : end + 1]]
    return [cell for cell in found if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def nbval(notebook: Path, folder: Path, lab: str) -> dict[int, str]:
    """Run a notebook by nbval on a lab; what became of each code cell: `passed`, or why not.

    `folder` is for what it leaves.
    """
    seconds = cell_seconds()
    settings, report = folder / "pytest.ini", folder / "report.xml"
    settings.write_text("[pytest]\n")  # none of this project's own
    command = [sys.executable, "-m", "pytest", "-c", str(settings), "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", str(seconds)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "--color", "no", "--junitxml", str(report), str(notebook)],
        cwd=folder,
        env={**env, "LABKIT_LAB": lab, "LABKIT_DATA_DIR": str(folder / "progress")},
        capture_output=True,
        text=True,
        timeout=5 * seconds,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # others: pytest itself had trouble
    cells = ElementTree.parse(report).iter("testcase")
    return {int(cell.attrib["name"].removeprefix("Cell ")): _outcome(cell) for cell in cells}


def _outcome(case: ElementTree.Element) -> str:
    # skipped and xfailed cells have a child element too
    return "\n".join(f"{child.tag}: {child.text}" for child in case) or "passed"


def passes(notebook: Path, outcomes: dict[int, str]) -> None:
    """Assert that nbval has seen every cell, and that each passed."""
    failed = {number: outcome for number, outcome in outcomes.items() if outcome != "passed"}
    assert not failed, "\n\n".join(failed.values())
    cells = code_cells(nbformat.read(notebook, as_version=4))
    assert list(outcomes) == list(range(len(cells)))
