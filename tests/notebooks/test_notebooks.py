"""Every chapter runs from top to bottom, alone, says what its committed outputs say; wrong answers fail."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from labkit import Lab
from labkit.course import chapters
from labkit.course.exam.registry import SCENARIOS
from labkit.course.exam_state import PREFIX
from labkit.swarm.model import Json
from labkit.util.console import ProgressReporter
from tests.notebooks import wrong
from tests.notebooks.run import code_cells, nbval, passes, tags

pytestmark = pytest.mark.engine

# Each of pytest-xdist's workers has one of its own.
LAB = (
    f"{os.environ.get('LABKIT_TEST_LAB', 'labkit-test')}-notebooks{os.environ.get('PYTEST_XDIST_WORKER', '')}"
)
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
STRICT = "nbval-check-output"


@pytest.fixture(scope="module")
def _lab() -> Iterator[Lab]:
    lab = Lab(LAB)
    lab.down()  # what a killed run has left
    yield lab.up(reporter=ProgressReporter(quiet=True))
    lab.down()


@pytest.fixture(autouse=True)
def _clean_lab(_lab: Lab) -> None:
    """A chapter that failed half-way leaves what the next one would not remove unasked."""
    _lab.reset()


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize(
    "notebook",
    [pytest.param(path, id=path.stem) for path in NOTEBOOKS],
)
def test_runs_says_what_was_committed_and_takes_solutions_alone(notebook: Path, tmp_path: Path) -> None:
    """With cells put in before each solution, which itself runs as it is committed.

    They check that it is refused with nothing done, and with each wrong answer.
    """
    book = nbformat.read(notebook, as_version=4)
    answers = wrong.load(chapters.find(notebook.stem)[1].key)
    cells = []
    facts: Json = {}
    for cell in book.cells:
        if found := re.fullmatch(r'lab\.practice\("(.+)", seed=(\d+)\)', cell.source):
            facts = SCENARIOS[found[1]].facts(found[1], int(found[2]))
        if found := re.search(r"^%%on .+ --unless (\S+)", cell.source):
            cells += map(new_code_cell, wrong.trial(found[1], wrong.filled(answers[found[1]], facts)))
        cells.append(cell)
        if cell.cell_type == "code" and cell.source.startswith("lab.begin("):
            cells.append(new_code_cell(wrong.REFUSED))
    book.cells = cells
    copy = tmp_path / notebook.name
    nbformat.write(book, copy)
    passes(copy, nbval(copy, tmp_path, LAB))
    refused = sum(cell.source.startswith("refused(") for cell in code_cells(book))
    # Most of the exam's scenarios are in no notebook: tests/swarm/test_exam.py tries wrong answers to all.
    assert refused >= (8 if any(name.startswith(PREFIX) for name in answers) else 20 + len(answers))


def test_a_wrong_committed_output_is_noticed(tmp_path: Path) -> None:
    book = nbformat.read(NOTEBOOKS[1], as_version=4)
    strict = next(index for index, cell in enumerate(book.cells) if STRICT in tags(cell))
    del book.cells[strict + 1 :]
    for output in book.cells[strict].outputs:
        output.text = f"wrong {output.text}"
    copy = tmp_path / "wrong.ipynb"
    nbformat.write(book, copy)
    *before, last = nbval(copy, tmp_path, LAB).values()
    assert set(before) == {"passed"}
    assert "Cell outputs differ" in last
    assert "wrong " in last
