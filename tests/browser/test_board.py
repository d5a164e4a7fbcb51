"""The live board in a browser: docked once, follows the swarm, ends with its tab, returns after a restart."""

import pytest
from playwright.sync_api import Locator

from labkit import Lab, checks
from tests.browser.jupyterlab import JupyterLab, Notebook
from tests.helpers import eventually

pytestmark = [pytest.mark.engine, pytest.mark.browser]

CONTROLS = ('widgets.Scale(lab, "web")', "widgets.Availability(lab)", "widgets.Faults(lab)")
SET_UP = "%load_ext labkit\nfrom labkit import Lab, widgets\n\nlab = Lab()\nlab.board()"
ASK = "import threading\n[thread.name for thread in threading.enumerate() if 'follow' in thread.name]"


def boards(jupyterlab: JupyterLab) -> Locator:
    """The tabs of boards."""
    return jupyterlab.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text="Swarm")


def board(jupyterlab: JupyterLab) -> Locator:
    """What the board shows."""
    return jupyterlab.page.locator(".jupyterlab-sidecar .labkit-picture").last


def placed(jupyterlab: JupyterLab) -> dict[str, set[str]]:
    """The tasks of `web` that the board draws as running, by the node in whose column they are."""
    words = (
        board(jupyterlab)
        .locator("svg text")
        .evaluate_all("found => found.map(text => [text.textContent, text.getBoundingClientRect().left])")
    )
    heads = sorted((left, word) for word, left in words if word in ("manager1", "worker1", "worker2"))
    found: dict[str, set[str]] = {name: set() for _, name in heads}
    for word, left in words:
        if word.startswith("web."):
            found[[name for head, name in heads if head - 1 <= left][-1]].add(word)
    return found


def close_tab(jupyterlab: JupyterLab, notebook: Notebook) -> None:
    """Close the board's tab, and wait until nothing in the kernel follows the swarm."""
    boards(jupyterlab).locator(".lm-TabBar-tabCloseIcon").click()
    boards(jupyterlab).wait_for(state="detached")
    eventually(lambda: notebook.run(1).strip() == "[]", "the end of the follower's threads")


@pytest.fixture
def docked(swarm: Lab, jupyterlab: JupyterLab) -> Notebook:
    assert swarm.snapshot().quorum
    notebook = jupyterlab.open_cells([SET_UP, ASK])
    notebook.run(0)
    board(jupyterlab).wait_for()
    return notebook


def test_one_board_that_ends_with_its_tab(docked: Notebook, jupyterlab: JupyterLab) -> None:
    first = boards(jupyterlab).element_handle()
    docked.run(0)
    first.wait_for_element_state("hidden")  # the second `Lab` has a board of its own, in its place
    board(jupyterlab).wait_for()
    assert boards(jupyterlab).count() == 1
    assert "follow" in docked.run(1)
    close_tab(jupyterlab, docked)
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
    close_tab(jupyterlab, jupyterlab.notebook(docked.name))


@pytest.mark.usefixtures("docked")
def test_follows_the_swarm(swarm: Lab, jupyterlab: JupyterLab) -> None:
    swarm.node("manager1").run(
        "docker service create --quiet --update-monitor 1s --name web --replicas 3 web:1", quiet=True
    )
    for slot in (1, 2, 3):
        board(jupyterlab).get_by_text(f"web.{slot}", exact=True).wait_for()
    swarm.node("manager1").run("docker service scale web=1", quiet=True)
    swarm.wait(checks.running("web", 1))
    board(jupyterlab).get_by_text("web.3", exact=True).wait_for(state="detached")


def test_tasks_spread_leave_and_heal_before_the_learners_eyes(swarm: Lab, jupyterlab: JupyterLab) -> None:
    swarm.node("manager1").run(
        "docker service create --quiet --update-monitor 1s --name web --replicas 3 web:1", quiet=True
    )
    notebook = jupyterlab.open_cells([SET_UP, *CONTROLS])
    notebook.run_all()
    scale, availability, faults = (notebook.output(index) for index in (1, 2, 3))
    assert boards(jupyterlab).count() == 1

    scale.locator(".noUi-base").click(force=True)  # its middle; the handle's layer lies above it
    swarm.wait(checks.running("web", 6))
    eventually(
        lambda: [len(tasks) for tasks in placed(jupyterlab).values()] == [2, 2, 2], "six boxes, spread"
    )
    jupyterlab.screenshot("board-spread-light")

    availability.get_by_role("button", name="drain").nth(1).click()
    eventually(lambda: not placed(jupyterlab)["worker1"], "the end of worker1's boxes", 60)
    board(jupyterlab).get_by_text("All 6 tasks run on 2 nodes").first.wait_for(timeout=60_000)
    jupyterlab.theme("dark")
    jupyterlab.screenshot("board-drained-dark")

    availability.get_by_role("button", name="active").nth(1).click()
    faults.get_by_role("button", name="worker2").click()
    faults.get_by_role("button", name="cut off").click()
    faults.get_by_role("button", name="Do it").click()
    board(jupyterlab).get_by_text("down").first.wait_for(timeout=60_000)
    board(jupyterlab).get_by_text("All 6 tasks run on 2 nodes").first.wait_for(timeout=90_000)
    assert checks.node_down("worker2")(swarm.snapshot())
    jupyterlab.screenshot("board-healed-dark")
    faults.get_by_role("button", name="Undo all").click()
    swarm.wait(checks.node_ready("worker2"), timeout=60)


def test_an_exercise_is_ticked_off_as_the_learner_works(lab: Lab, jupyterlab: JupyterLab) -> None:
    begin = 'lab.begin("create-a-swarm", yes=True);'
    notebook = jupyterlab.open_cells([SET_UP, begin, 'widgets.Exercise(lab, "create.6")'])
    notebook.run_all()
    listed = jupyterlab.page.locator(".jupyterlab-sidecar").get_by_label("Exercises").locator("li")
    ticked = listed.filter(has_text="create.6")
    ticked.filter(has_text="·").wait_for()
    lab.node("manager1").run(
        "docker swarm init --advertise-addr eth0; docker swarm update --cert-expiry 2880h", quiet=True
    )
    ticked.filter(has_text="✓").wait_for()
    assert listed.filter(has_text="✓").count() == 1
    jupyterlab.screenshot("board-ticks")
