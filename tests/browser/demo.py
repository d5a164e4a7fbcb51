"""Records the README's animation from a real lab in a real JupyterLab.

    python -m tests.browser.demo [FILE.gif]

It needs what the browser tests need (see `./lab test`), and uses a lab of its own.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from labkit import Lab
from labkit.util.paths import state_dir
from tests.browser import chromium
from tests.browser.jupyterlab import JupyterLab, Notebook
from tests.helpers import spawn, wait_for_line

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

LAB = "demo"
TARGET = Path(__file__).parents[2] / "docs" / "demo.gif"
SHOWN = (960, 570)  # pixels of the animation
COLORS = 160
EVERY_MILLISECONDS = 500  # between two looks at a page on which something happens
READ_MILLISECONDS = 2500  # for what has come out of a cell
CELLS = (
    "%load_ext labkit\nfrom labkit import Lab, checks, plots, widgets\n\nlab = Lab()\nlab.board();",
    "%%on manager1\ndocker service create --quiet --name shop --replicas 6 web:1",
    "lab.node('worker2').kill()\nlab.wait(checks.node_down('worker2'), checks.running('shop', 6));",
    "%%on manager1\ndocker service ps --filter desired-state=running shop",
)


class Film:
    """Pictures of a page, each with the time for which it's shown."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self._pictures: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def shoot(self, milliseconds: int) -> None:
        """Take a picture; one that is like the last only prolongs it."""
        drawn = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        picture = drawn.resize(SHOWN, Image.Resampling.LANCZOS).quantize(COLORS)
        if self._pictures and self._pictures[-1].tobytes() == picture.tobytes():
            self._milliseconds[-1] += milliseconds
        else:
            self._pictures.append(picture)
            self._milliseconds.append(milliseconds)

    def save(self, target: Path) -> None:
        first, *others = self._pictures
        first.save(
            target, save_all=True, append_images=others, duration=self._milliseconds, loop=0, optimize=True
        )


def run(notebook: Notebook, index: int, film: Film) -> None:
    """Run a cell as a learner does, and film the page until it's done."""
    page = notebook.lab.page
    notebook.ask(
        "(panel.content.activeCellIndex = panel.content.widgets.indexOf(cells[wanted]), true)", index
    )
    film.shoot(EVERY_MILLISECONDS)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-cell-and-select-next')")
    while not notebook.ask("cells[wanted].model.executionCount && idle()", index):
        page.wait_for_timeout(EVERY_MILLISECONDS)
        film.shoot(EVERY_MILLISECONDS)
    page.wait_for_timeout(EVERY_MILLISECONDS)  # the board follows a moment later
    film.shoot(READ_MILLISECONDS)


@contextlib.contextmanager
def session(size: "ViewportSize", *images: str) -> "Iterator[JupyterLab]":
    """JupyterLab in a window of this size, on a swarm whose nodes have these images; both are removed."""
    lab = Lab(LAB)
    lab.up(swarm=True).preload(*images)
    shutil.rmtree(state_dir() / "workspaces" / LAB, ignore_errors=True)  # what was open the last time
    with tempfile.TemporaryDirectory() as scratch, chromium.launched() as browser:
        folder = Path(scratch) / "notebooks"
        (Path(scratch) / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
        process = spawn(
            *("start", "--no-browser", "--lab", LAB, "--notebooks", str(folder)),
            JUPYTER_CONFIG_DIR=scratch,
            JUPYTER_DATA_DIR=f"{scratch}/data",
            LABKIT_DATA_DIR=f"{scratch}/progress",
        )
        try:
            found = wait_for_line(process, r"(http://127\.0\.0\.1:\d+/)lab\?token=([\w-]{40,})")
            page = browser.new_page(viewport=size)
            jupyterlab = JupyterLab(page=page, base=found[1], token=found[2], folder=folder)
            jupyterlab.open()
            yield jupyterlab
        finally:
            process.terminate()
            process.communicate(timeout=30)
            lab.down()


def record(target: Path) -> None:
    """Start a swarm and JupyterLab, run the cells, and write the animation to `target`."""
    with session({"width": 1280, "height": 760}, "web:1") as jupyterlab:
        notebook = jupyterlab.open_cells(CELLS, "demo.ipynb")
        jupyterlab.execute("application:toggle-left-area")
        film = Film(jupyterlab.page)
        for index in range(len(CELLS)):
            run(notebook, index, film)
        film.save(target)


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
