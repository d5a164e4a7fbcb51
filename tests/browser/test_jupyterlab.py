"""JupyterLab as a learner gets it: launcher, table of contents, chapters, terminals, both themes."""

import re
from typing import TYPE_CHECKING

import pytest

from labkit.cluster.cluster import Cluster
from labkit.course import exercises, progress, quiz
from labkit.topology import topology
from tests.browser.jupyterlab import JupyterLab

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.engine, pytest.mark.browser]

CHAPTER = "01-create-a-swarm.ipynb"
NODES = [node.name for node in topology.load().nodes]


def test_the_first_start_shows_chapters_nodes_and_the_table_of_contents(jupyterlab: JupyterLab) -> None:
    jupyterlab.open()
    jupyterlab.page.locator("#table-of-contents").wait_for(state="visible")
    for node in NODES:
        jupyterlab.launcher_entry("Terminals on the nodes", node).wait_for()
    jupyterlab.launcher_entry("Chapters", "01 Create a swarm").wait_for()
    jupyterlab.screenshot("launcher")
    jupyterlab.launcher_entry("Chapters", "01 Create a swarm").click()
    jupyterlab.notebook(CHAPTER)
    jupyterlab.page.locator("#table-of-contents").get_by_text("What is a swarm?").wait_for()
    for theme in ("dark", "light"):
        jupyterlab.theme(theme)
        jupyterlab.screenshot(f"chapter-{theme}")


def test_the_launcher_follows_what_the_learner_has_done(jupyterlab: JupyterLab) -> None:
    progress.file().unlink(missing_ok=True)
    journal = progress.of(Cluster("mine"))
    tasks = list(exercises.tasks("create"))
    jupyterlab.open()

    def card(*done: str) -> "Locator":
        """The chapter's card, found as a screen reader reads it."""
        name = re.compile(r"\s+".join(("^01 Create a swarm", *done)) + "$")
        return jupyterlab.page.get_by_role("button", name=name)

    card(f"0 of {len(tasks)} exercises solved", "0 of 5 quiz questions answered").wait_for()
    journal.record("exercise", tasks[0])
    journal.record("quiz", "create.1")
    card(f"1 of {len(tasks)} exercises solved", "1 of 5 quiz questions answered").wait_for()  # the open one

    jupyterlab.open_notebook(CHAPTER)  # with it, there is no launcher
    for name in tasks:
        journal.record("exercise", name)
    for number in range(len(quiz.load("create"))):
        journal.record("quiz", f"create.{number + 1}")
    jupyterlab.execute("launcher:create")
    done = card(f"✓ Done: all {len(tasks)} exercises solved", "and the quiz answered")
    done.wait_for()
    for theme in ("dark", "light"):
        jupyterlab.theme(theme)
        jupyterlab.screenshot(f"launcher-{theme}")
    done.focus()
    jupyterlab.page.keyboard.press("Enter")  # the notebook takes the launcher's place
    jupyterlab.page.wait_for_function(
        "name => jupyterapp.shell.currentWidget.context?.path === name", arg=CHAPTER
    )


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("chapter", [CHAPTER, "04-run-services.ipynb", "07-ship-stacks.ipynb"])
def test_a_chapter_runs_by_run_all(jupyterlab: JupyterLab, chapter: str) -> None:
    notebook = jupyterlab.open_notebook(chapter)
    notebook.run_all(seconds=300)
    assert notebook.counts() == list(range(1, len(notebook.counts()) + 1))
    assert len(notebook.counts()) > 20
    deliberate = {
        index for index in range(len(notebook.counts())) if "raises-exception" in notebook.tags(index)
    }
    assert notebook.failures().keys() == deliberate
    notebook.output(len(notebook.counts()) // 2)
    jupyterlab.screenshot(f"ran-{chapter[:2]}")


def test_the_kernel_restarts_and_forgets(jupyterlab: JupyterLab) -> None:
    notebook = jupyterlab.open_cells(["seen = 'seen'", "print(seen)"])
    notebook.run_all()
    assert notebook.output_text(1) == "seen\n"
    notebook.restart_kernel()
    assert notebook.run(1) == "name 'seen' is not defined"
    assert notebook.failures() == {1: "NameError: name 'seen' is not defined"}


def test_a_fault_in_the_page_is_noticed(jupyterlab: JupyterLab) -> None:
    jupyterlab.open()
    with jupyterlab.page.expect_event("pageerror"):
        jupyterlab.page.evaluate("console.error('seen to fail')")
        jupyterlab.page.evaluate("(setTimeout(() => { throw new Error('not caught') }), null)")
    assert jupyterlab.errors == ["seen to fail", "uncaught: not caught"]
    jupyterlab.errors.clear()
