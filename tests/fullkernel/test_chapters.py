"""The chapters about publishing and networks, with nothing skipped."""

from pathlib import Path

import pytest

from labkit import Lab
from labkit.util.console import ProgressReporter
from tests.notebooks.run import nbval, passes

pytestmark = pytest.mark.fullkernel

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("name", ["04-run-services", "05-connect-overlays"])
def test_a_chapter_runs_and_skips_nothing(full_lab: Lab, name: str, tmp_path: Path) -> None:
    full_lab.up(reporter=ProgressReporter(quiet=True))
    try:
        assert full_lab.supports("mesh") and full_lab.supports("encryption")
        notebook = NOTEBOOKS / f"{name}.ipynb"
        passes(notebook, nbval(notebook, tmp_path, full_lab.name))
    finally:
        full_lab.down()
