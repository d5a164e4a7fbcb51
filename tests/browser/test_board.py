"""The live board in a browser: docked once, follows the swarm, ends with its tab, returns after a restart."""

import pytest
from playwright.sync_api import Locator

from labkit import Lab, checks
from tests.browser.jupyterlab import JupyterLab, Notebook

pytestmark = [pytest.mark.engine, pytest.mark.browser]

SET_UP = "%load_ext labkit\nfrom labkit import Lab\n\nlab = Lab()\nlab.board()"
ASK = "import threading\n[thread.name for thread in threading.enumerate() if 'follow' in thread.name]"


def boards(jupyterlab: JupyterLab) -> Locator:
    """The tabs of boards."""
    return jupyterlab.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text="Swarm")


def board(jupyterlab: JupyterLab) -> Locator:
    """What the board shows."""
    return jupyterlab.page.locator(".jupyterlab-sidecar .labkit-picture").last


@pytest.fixture
def docked(swarm: Lab, jupyterlab: JupyterLab) -> Notebook:
    assert swarm.snapshot().quorum
    notebook = jupyterlab.open_cells([SET_UP, ASK])
    notebook.run(0)
    board(jupyterlab).wait_for()
    return notebook


def test_one_board_that_ends_with_its_tab(docked: Notebook, jupyterlab: JupyterLab) -> None:
    docked.run(0)
    assert boards(jupyterlab).count() == 1
    assert "follow" in docked.run(1)
    boards(jupyterlab).locator(".lm-TabBar-tabCloseIcon").click()
    boards(jupyterlab).wait_for(state="detached")
    assert docked.run(1).strip() == "[]"
    docked.run(0)
    board(jupyterlab).wait_for()
    assert boards(jupyterlab).count() == 1


def test_returns_after_a_kernel_restart(docked: Notebook, jupyterlab: JupyterLab) -> None:
    docked.restart_kernel()
    docked.run(0)
    board(jupyterlab).wait_for()
    assert boards(jupyterlab).count() == 1


def test_returns_after_a_reload_of_the_page(docked: Notebook, jupyterlab: JupyterLab) -> None:
    jupyterlab.page.reload()
    board(jupyterlab).wait_for()
    assert boards(jupyterlab).count() == 1
    boards(jupyterlab).locator(".lm-TabBar-tabCloseIcon").click()
    boards(jupyterlab).wait_for(state="detached")
    assert jupyterlab.notebook(docked.name).run(1).strip() == "[]"


@pytest.mark.usefixtures("docked")
def test_follows_the_swarm(swarm: Lab, jupyterlab: JupyterLab) -> None:
    swarm.node("manager1").run("docker service create --quiet --name web --replicas 3 web:1", quiet=True)
    for slot in (1, 2, 3):
        board(jupyterlab).get_by_text(f"web.{slot}", exact=True).wait_for()
    swarm.node("manager1").run("docker service scale web=1", quiet=True)
    swarm.wait(checks.running("web", 1))
    board(jupyterlab).get_by_text("web.3", exact=True).wait_for(state="detached")
