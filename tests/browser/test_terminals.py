"""JupyterLab's terminals are on the nodes: from the launcher, from a notebook, and after a node was away."""

import re

import pytest

from labkit import Lab
from tests.browser.jupyterlab import JupyterLab
from tests.helpers import eventually

pytestmark = [pytest.mark.engine, pytest.mark.browser]

SECTION = "Terminals on the nodes"
BUTTON = "HTML('<button data-swarm-lab-terminal=\"worker2\">A terminal on worker2</button>')"
LINK = """
from ipywidgets import HTML
HTML('''<button data-commandlinker-command="terminal:open" data-commandlinker-args='{"name": "worker1"}'>
     A terminal on worker1</button>''')
"""
DOCK = f"""
from ipywidgets import HTML
from sidecar import Sidecar
with Sidecar(title="Swarm", anchor="split-right"):
    display({BUTTON})
"""


def shells(lab: Lab, node: str) -> int:
    """How many login shells run on a node."""
    return int(lab.node(node).run("pgrep -fc '^bash -l$' || true", quiet=True).stdout)


def test_the_launcher_opens_a_terminal_on_the_node(swarm: Lab, jupyterlab: JupyterLab) -> None:
    jupyterlab.open()
    jupyterlab.launcher_entry(SECTION, "manager1").click()
    terminal = jupyterlab.terminal("manager1")
    terminal.type("docker node ls | tee /lab/seen; hostname >> /lab/seen")
    terminal.wait_for_text(r"^\S+ +worker2 +Ready +Active")
    seen = eventually(
        lambda: swarm.node("worker1").run("grep -x manager1 /lab/seen; cat /lab/seen", quiet=True).stdout,
        "the file that the terminal wrote",
    )
    assert "Leader" in seen
    jupyterlab.screenshot("terminal")
    jupyterlab.launcher_entry(SECTION, "manager1").click()  # shows the one that is there
    assert jupyterlab.page.locator(".jp-Terminal").count() == 1
    jupyterlab.theme("dark")
    jupyterlab.screenshot("terminal-dark")


def test_a_notebook_opens_a_terminal_beside_itself(lab: Lab, jupyterlab: JupyterLab) -> None:
    notebook = jupyterlab.open_cells([f"from ipywidgets import HTML\n{BUTTON}", LINK])
    notebook.run_all()
    for index, node in enumerate(["worker2", "worker1"]):
        notebook.output(index).get_by_role("button").click()
        terminal = jupyterlab.terminal(node)
        terminal.type("hostname")
        terminal.wait_for_text(f"^{node}$")
        assert shells(lab, node) == 1
    jupyterlab.page.locator(".jp-Notebook").wait_for(state="visible")
    jupyterlab.screenshot("terminal-from-notebook")


def test_a_docked_widget_opens_a_terminal(jupyterlab: JupyterLab) -> None:
    jupyterlab.open_cells([DOCK]).run(0)
    jupyterlab.page.locator(".lm-TabBar-tabLabel", has_text=re.compile("^Swarm$")).wait_for()
    jupyterlab.page.get_by_role("button", name="A terminal on worker2").click()
    jupyterlab.terminal("worker2").wait_for_text("^root@worker2")
    jupyterlab.screenshot("dock")


def test_a_terminal_says_that_its_node_is_away_and_comes_back_with_it(
    lab: Lab, jupyterlab: JupyterLab
) -> None:
    lab.node("worker1").stop()
    jupyterlab.open()
    jupyterlab.launcher_entry(SECTION, "worker1").click()
    terminal = jupyterlab.terminal("worker1")
    terminal.wait_for_text("This terminal is disconnected from worker1. Press Enter")
    print(terminal.text())
    jupyterlab.screenshot("terminal-node-stopped")
    lab.node("worker1").start()
    terminal.type("")
    terminal.wait_for_text("root@worker1")
    terminal.type("exit")
    terminal.wait_for_text(r"logout\n+This terminal is disconnected from worker1")
    terminal.type("")
    terminal.wait_for_text(r"logout\n+This terminal .*reconnect\. *\n(.*\n)*root@worker1")
    lab.node("worker1").stop()
    terminal.wait_for_text(r"(This terminal(.|\n)*){3}")
    assert "Traceback" not in terminal.text()
    print(terminal.text())
    lab.node("worker1").start()


def test_a_terminal_that_is_shut_down_leaves_no_shell_on_the_node(lab: Lab, jupyterlab: JupyterLab) -> None:
    jupyterlab.open()
    jupyterlab.execute("terminal:open", name="manager1")
    jupyterlab.terminal("manager1").wait_for_text("root@manager1")
    assert shells(lab, "manager1") == 1
    jupyterlab.page.evaluate("jupyterapp.serviceManager.terminals.shutdown('manager1')")
    eventually(lambda: shells(lab, "manager1") == 0, "the end of the shell")


def test_any_other_terminal_is_a_plain_shell_where_labkit_knows_the_lab(
    lab: Lab, jupyterlab: JupyterLab
) -> None:
    jupyterlab.open()
    jupyterlab.execute("terminal:open", name="mine")
    terminal = jupyterlab.terminal("mine")
    terminal.type("labkit exec worker1 -- hostname; echo $LABKIT_LAB")
    terminal.wait_for_text(f"^worker1\n{lab.name}$")
