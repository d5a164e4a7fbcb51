"""Runs chapters on a real lab and keeps their outputs as they are committed.

    LABKIT_LAB=mine python -m tests.notebooks.execute [notebooks/01-create-a-swarm.ipynb …]

All chapters when none is named. Committed outputs are for who has not run the cells yet: on a code host, or in
JupyterLab, which trusts only what was run here. Neither shows widgets or inline SVG. So a widget leaves its text,
and a picture is a PNG beside its text. Tokens are cut short.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from labkit.errors import redact

FOLDER = Path(__file__).parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"

# What the kernel hears before the first cell. 32 colours are enough, and a quarter of the bytes.
_PICTURES_AS_PNG = """
def _as_png(picture, **_):
    import io
    from PIL import Image
    drawn, png = io.BytesIO(), io.BytesIO()
    picture.savefig(drawn, format="png", dpi=144)
    Image.open(drawn).convert("RGB").quantize(32).save(png, "PNG", optimize=True)
    data = {"text/plain": picture.description, "image/png": png.getvalue()}
    return data, {"image/png": {"width": int(picture.size[0])}}

get_ipython().display_formatter.mimebundle_formatter.for_type("labkit.plots.picture.Picture", _as_png)
"""


def execute(path: Path) -> None:
    """Run a notebook from top to bottom and write it back. Raises CellExecutionError for a failing cell."""
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book,
        timeout=180,
        coalesce_streams=True,  # a token may have come in two parts
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": FOLDER}},
    )
    with client.setup_kernel():
        client.kc.execute(_PICTURES_AS_PNG, silent=True)
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
    path.write_text(redact(nbformat.writes(tidied(book))) + "\n", encoding="utf-8")


def tidied(book: NotebookNode) -> NotebookNode:
    """The notebook, with widgets reduced to their texts and each cell's stderr first: it comes at any time."""
    for cell in book.cells:
        cell.get("outputs", []).sort(key=lambda output: output.get("name") != "stderr")
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return book


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(FOLDER.glob("*.ipynb")):
        execute(Path(name))
