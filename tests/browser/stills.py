"""Takes the README's two screenshots, in the light and the dark theme, from a real lab in a real JupyterLab.

    python -m tests.browser.stills [FOLDER]

It needs what the browser tests need (see `./lab test`), and uses the lab of the animation.
"""

import io
import sys
from pathlib import Path

from PIL import Image

from tests.browser import demo

FOLDER = Path(__file__).parents[2] / "docs"
COLORS = 256
CELLS = (
    "%load_ext labkit\nfrom labkit import Lab, checks, plots, widgets\n\nlab = Lab()\nlab.board();",
    "%%on manager1\ndocker service create --quiet --name cache redis\n"
    "docker service create --quiet --name web --replicas 3 web:1",
    'widgets.Scale(lab, "web")',
    'with lab.record() as recording:\n    lab.node("worker2").kill()\n'
    '    lab.wait(checks.node_down("worker2"), checks.running("web", 6))\nplots.timeline(recording)',
)
SLIDER, TIMELINE = 2, 3
END_OF_PICTURE = (
    "(cells[wanted].node.querySelector('.jp-OutputArea svg').scrollIntoView({block: 'end'}),"
    " document.activeElement.blur(), true)"
)


def take(folder: Path) -> None:
    """Scale a service with the slider, cut the power of a node, and take a screenshot in each theme."""
    with demo.session({"width": 1440, "height": 900}, "redis", "web:1") as jupyterlab:
        notebook = jupyterlab.open_cells(CELLS, "explore.ipynb")
        jupyterlab.execute("application:toggle-left-area")
        jupyterlab.execute("statusbar:toggle")  # leaves room for the whole timeline below the slider
        for index in range(SLIDER + 1):
            notebook.run(index, seconds=60)
        slider = notebook.output(SLIDER)
        for _ in range(3):
            slider.locator(".noUi-handle").press("ArrowRight")
        slider.get_by_text("✓ exit 0").wait_for()
        notebook.run(TIMELINE, seconds=120)
        board = jupyterlab.page.locator(".jupyterlab-sidecar")
        board.get_by_text("All 7 tasks run on 2 nodes").first.wait_for()
        for theme in ("dark", "light"):
            jupyterlab.theme(theme)
            notebook.ask(END_OF_PICTURE, TIMELINE)
            drawn = Image.open(io.BytesIO(jupyterlab.page.screenshot())).convert("RGB")
            target = folder / f"jupyterlab-{theme}.png"
            drawn.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
