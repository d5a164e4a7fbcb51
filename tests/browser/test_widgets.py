"""Widgets in a real JupyterLab: controls by mouse and keyboard, both themes, cells that are run again."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from labkit import Lab, checks
from labkit.widgets.predict import placed
from tests.browser.jupyterlab import JupyterLab, Notebook
from tests.helpers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.engine, pytest.mark.browser]

SETUP = "from labkit import Lab, widgets\nlab = Lab()"
PLACE = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"


@pytest.fixture
def web(swarm: Lab) -> Lab:
    """A swarm with a service `web` of three tasks."""
    swarm.node("manager1").run(
        f"docker service create --quiet --name web --replicas 3 {PLACE} web:1", quiet=True
    )
    return swarm


def show(jupyterlab: JupyterLab, *cells: str) -> Notebook:
    notebook = jupyterlab.open_cells([SETUP, *cells])
    notebook.run_all()
    return notebook


def in_both_themes(jupyterlab: JupyterLab, name: str) -> None:
    for theme in ("dark", "light"):
        jupyterlab.theme(theme)
        jupyterlab.screenshot(f"widget-{name}-{theme}")


def said(output: "Locator", text: str, seconds: float = 60) -> None:
    output.get_by_text(text).first.wait_for(timeout=seconds * 1000)


def test_scale_by_the_keyboard_spreads_six_tasks(web: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.Scale(lab, "web")').output(1)
    handle = output.locator(".noUi-handle")
    handle.focus()
    for _ in range(3):
        handle.press("ArrowRight")
    said(output, "exit 0")
    print(web.snapshot())
    in_both_themes(jupyterlab, "scale")


def test_all(web: Lab, jupyterlab: JupyterLab) -> None:
    notebook = show(
        jupyterlab,
        'widgets.Command(lab, "docker node ls", node="manager1")',
        "widgets.Availability(lab)",
        'widgets.RollingUpdate(lab, "web")',
        "widgets.Faults(lab)",
        "widgets.Ports(lab)",
        "widgets.Terminals(lab)",
        'widgets.Predict(lab, "Where do six tasks run?", "docker service scale web=6", service="web")',
    )
    jupyterlab.page.set_viewport_size({"width": 1440, "height": 1800})
    first = notebook.output(1)
    first.get_by_role("button", name="Run").click()
    said(first, "exit 0")
    in_both_themes(jupyterlab, "all1")
    notebook.output(7)
    in_both_themes(jupyterlab, "all2")
