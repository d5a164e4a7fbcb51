"""Runs chapters on a real lab and keeps their outputs as they are committed.

    LABKIT_LAB=mine python -m tests.notebooks.execute [notebooks/01-create-a-swarm.ipynb …]

All chapters when none is named. Committed outputs are for who has not run the cells yet: on a code host, or
in JupyterLab, which trusts only what was run here. Neither shows widgets or inline SVG. So a widget leaves
its text, and a picture is a PNG beside its text, in the typeface Inter, because a PNG can't use the reader's
own. Tokens are cut short. A cell that skips its step on this kernel keeps the output of a kernel that took
it, if one is there: LABKIT_ENGINE=vm brings it about. What answers a prediction is folded, and the minutes at
the top are computed again (`minutes`).
"""

import copy
import math
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from labkit.util.errors import redact
from tests.notebooks.run import answers, cell_seconds, code_cells, outcome

FOLDER = Path(__file__).parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
SKIPPED = "Skipped: "  # so begins what `lab.supports` prints

# What the kernel hears before the first cell. A palette makes a quarter of the bytes. It takes the colors
# that occur most as they are, so a node or a service has exactly the same color in every picture.
_PICTURES_AS_PNG = """
from matplotlib import font_manager
from matplotlib.text import Text
font_manager.findfont("Inter", fallback_to_default=False)  # Debian's package fonts-inter

def _as_png(picture, **_):
    import io
    from PIL import Image
    for words in picture.findobj(Text):
        words.set_fontfamily(["Inter", words.get_fontfamily()[0]])  # for signs that Inter doesn't have
    drawn, png = io.BytesIO(), io.BytesIO()
    picture.savefig(drawn, format="png", dpi=144)
    image = Image.open(drawn).convert("RGB")
    found = sorted(image.getcolors(image.width * image.height), reverse=True)[:96]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, color in found for part in color])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    data = {"text/plain": picture.description, "image/png": png.getvalue()}
    return data, {"image/png": {"width": int(picture.size[0])}}

get_ipython().display_formatter.mimebundle_formatter.for_type("labkit.plots.picture.Picture", _as_png)
"""


def execute(path: Path) -> None:
    """Run a notebook from top to bottom and write it back. Raises CellExecutionError for a failing cell."""
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book,
        timeout=cell_seconds(),
        coalesce_streams=True,  # a token may have come in two parts
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": FOLDER}},
    )
    before = {cell.id: copy.deepcopy(cell) for cell in book.cells if cell.cell_type == "code"}
    began = time.monotonic()
    with client.setup_kernel():
        client.kc.execute(_PICTURES_AS_PNG, silent=True)
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
    keep_what_was_skipped(book, before)
    book.cells[0].source = re.sub(
        r"(?<=\*\*Time:\*\* )\d+", str(minutes(book, time.monotonic() - began)), book.cells[0].source
    )
    path.write_text(redact(nbformat.writes(tidied(book))) + "\n", encoding="utf-8")


def keep_what_was_skipped(book: NotebookNode, before: dict[str, NotebookNode]) -> None:
    """Give cells that skipped their step, and the picture and outcome after, the outputs that they had."""
    lacking = False
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        tells = cell.source.startswith("plots.") or outcome(cell) is not None
        lacking = skipped(cell) or (lacking and tells)
        old = before[cell.id]
        if lacking and not skipped(old) and old.source == cell.source and old.execution_count:
            cell.outputs = old.outputs


def skipped(cell: NotebookNode) -> bool:
    """Whether the cell's output says that its step was skipped."""
    said = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return any(text.startswith(SKIPPED) for text in said)


def minutes(book: NotebookNode, seconds: float) -> int:
    """How long a learner takes, to the next five minutes.

    200 words a minute, two minutes for each exercise, and `seconds`, which the cells themselves took.
    """
    words = sum(len(cell.source.split()) for cell in book.cells if cell.cell_type == "markdown")
    exercises = sum(cell.source.startswith("lab.check(") for cell in code_cells(book))
    return 5 * math.ceil((words / 200 + 2 * exercises + seconds / 60) / 5)


def tidied(book: NotebookNode) -> NotebookNode:
    """The notebook, with widgets reduced to their texts; each cell's stderr first: it comes at any time."""
    for cell in answers(book):
        cell.metadata.setdefault("jupyter", {})["outputs_hidden"] = True
    for cell in book.cells:
        cell.get("outputs", []).sort(key=lambda output: output.get("name") != "stderr")
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return book


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(FOLDER.glob("*.ipynb")):
        execute(Path(name))
