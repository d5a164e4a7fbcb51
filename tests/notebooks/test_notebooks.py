"""Every chapter runs from top to bottom, alone, twice in a row, and says what its committed outputs say."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat import NotebookNode

from labkit import Lab
from labkit.console import Story

pytestmark = pytest.mark.engine

LAB = "labkit-test-notebooks"
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SANITIZE = Path(__file__).with_name("sanitize.cfg")
STRICT = "nbval-check-output"

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module", autouse=True)
def _lab() -> Iterator[None]:
    lab = Lab(LAB)
    lab.down()  # what a killed run has left
    lab.up(story=Story(quiet=True))
    yield
    lab.down()


def code_cells(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def nbval(notebook: Path, folder: Path) -> dict[int, str]:
    """Run a notebook by nbval; what became of each code cell: `passed`, or the text that says why not."""
    settings, report = folder / "pytest.ini", folder / "report.xml"
    settings.write_text("[pytest]\n")  # none of this project's own
    command = [sys.executable, "-m", "pytest", "-c", str(settings), "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", "180"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "--color", "no", "--junitxml", str(report), str(notebook)],
        cwd=folder,
        env={**env, "LABKIT_LAB": LAB},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # others: pytest itself had trouble
    cells = ElementTree.parse(report).iter("testcase")
    return {int(cell.attrib["name"].removeprefix("Cell ")): _outcome(cell) for cell in cells}


def _outcome(case: ElementTree.Element) -> str:
    # skipped and xfailed cells have a child element too
    return "\n".join(f"{child.tag}: {child.text}" for child in case) or "passed"


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("run", [1, 2])
@each_notebook
def test_runs_and_says_what_was_committed(notebook: Path, run: int, tmp_path: Path) -> None:
    outcomes = nbval(notebook, tmp_path)
    cells = code_cells(nbformat.read(notebook, as_version=4))
    failed = {number: outcome for number, outcome in outcomes.items() if outcome != "passed"}
    assert not failed, f"run {run}:\n" + "\n\n".join(failed.values())
    assert list(outcomes) == list(range(len(cells)))  # nbval has really seen every one of them


@each_notebook
def test_a_wrong_committed_output_is_noticed(notebook: Path, tmp_path: Path) -> None:
    book = nbformat.read(notebook, as_version=4)
    strict = next(index for index, cell in enumerate(book.cells) if STRICT in tags(cell))
    del book.cells[strict + 1 :]
    for output in book.cells[strict].outputs:
        output.text = output.text.replace("manager1", "manager7")
    copy = tmp_path / "wrong.ipynb"
    nbformat.write(book, copy)
    *before, last = nbval(copy, tmp_path).values()
    assert set(before) == {"passed"}
    assert "Cell outputs differ" in last
    assert "manager7" in last


@each_notebook
def test_checks_fail_without_the_solutions(notebook: Path, tmp_path: Path) -> None:
    book = nbformat.read(notebook, as_version=4)
    book.cells = [cell for cell in book.cells if "solution" not in tags(cell)]
    while not is_check(book.cells[-1]):
        book.cells.pop()
    copy = tmp_path / "unsolved.ipynb"
    nbformat.write(book, copy)
    outcomes = nbval(copy, tmp_path)
    checks = [number for number, cell in enumerate(code_cells(book)) if is_check(cell)]
    assert len(checks) >= 2
    for number in checks:
        assert "NotSolved" in outcomes[number], outcomes[number]


def is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.source.startswith("lab.check(")
