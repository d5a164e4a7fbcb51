"""Widgets in a real JupyterLab: by mouse and keyboard, in both themes, in cells that are run again."""

import re
from typing import TYPE_CHECKING

import pytest

from labkit import Lab, checks
from labkit.course import quiz
from tests.browser.jupyterlab import JupyterLab, Notebook
from tests.helpers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.engine, pytest.mark.browser]

SETUP = "from labkit import Lab, widgets\nlab = Lab()"
THREADS = "import threading\n[thread.name for thread in threading.enumerate() if 'labkit' in thread.name]"
PLACE = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"


@pytest.fixture
def web(swarm: Lab) -> Lab:
    """A swarm with a service `web` of three tasks."""
    swarm.node("manager1").run(
        f"docker service create --quiet --update-monitor 1s --name web --replicas 3 {PLACE} web:1", quiet=True
    )
    return swarm


def show(jupyterlab: JupyterLab, *cells: str) -> "Locator":
    """Run the cells; the output of the first one after the set-up."""
    jupyterlab.page.set_viewport_size({"width": 1280, "height": 1000})
    notebook = jupyterlab.open_cells([SETUP, *cells])
    notebook.run_all()
    assert not notebook.failures()
    return notebook.output(1)


def keep(jupyterlab: JupyterLab, name: str) -> None:
    """Screenshots in both themes, without the side bar."""
    for theme in ("dark", "light"):
        jupyterlab.theme(theme)
        jupyterlab.screenshot(f"widget-{name}-{theme}")


def sleeping(lab: Lab, seconds: str) -> str:
    """The processes on manager1 that sleep so long."""
    return lab.node("manager1").run(f"pgrep -f '[s]leep {seconds}' || true", quiet=True).stdout


def see(output: "Locator", text: str, seconds: float = 60) -> None:
    output.get_by_text(text).first.wait_for(timeout=seconds * 1000)


def test_a_command_streams_is_copied_and_stopped(lab: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.Command(lab, "hostname; sleep 4725", node="worker1")')
    jupyterlab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    output.get_by_role("button", name="copy").click()
    see(output, "copied")
    assert jupyterlab.page.evaluate("navigator.clipboard.readText()") == "hostname; sleep 4725"
    output.get_by_role("button", name="Run").click()
    output.locator("pre", has_text="worker1").wait_for()  # while it runs
    keep(jupyterlab, "command-runs")
    output.get_by_role("button", name="Stop").click()
    see(output, "■ stopped")
    assert not lab.node("worker1").run("pgrep -f '[s]leep 4725' || true", quiet=True).stdout
    output.locator("textarea").fill("docker node ls")
    output.get_by_role("button", name="Run").click()
    see(output, "Try:")
    keep(jupyterlab, "command-fails")


def test_the_slider_scales_to_six_by_the_keyboard(web: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.Scale(lab, "web", maximum=6)')
    handle = output.locator(".noUi-handle")
    handle.focus()
    for _ in range(3):
        handle.press("ArrowRight")
    see(output, "docker service scale web=6")
    see(output, "✓ exit 0")
    see(output, "6 of 6 tasks of web run")
    web.wait(checks.running("web", 6))
    assert output.locator(".widget-readout").inner_text() == "6"
    keep(jupyterlab, "scale")


def test_a_toggle_drains_a_node(web: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, "widgets.Availability(lab)")
    output.get_by_role("button", name="drain").nth(1).click()
    see(output, "docker node update --availability drain worker1")
    see(output, "✓ exit 0")
    web.wait(checks.availability("worker1", "drain"))
    keep(jupyterlab, "availability")
    web.node("manager1").run("docker node update --availability active worker1", quiet=True)
    eventually(
        lambda: (
            "mod-active" in (output.get_by_role("button", name="active").nth(1).get_attribute("class") or "")
        ),
        "the toggle at active",
    )


def test_an_update_shows_its_progress(web: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.RollingUpdate(lab, "web")')
    output.get_by_role("button", name="Update").click()
    see(output, "the update is in progress")
    keep(jupyterlab, "update-runs")
    see(output, "web:2 runs in 3 of 3 tasks; the update is completed")
    see(output, "✓ exit 0")
    assert {task.image for task in web.snapshot().tasks if task.wanted} == {"web:2"}


@pytest.mark.usefixtures("swarm")
def test_the_fault_deck_cuts_a_node_off_and_back(jupyterlab: JupyterLab, lab: Lab) -> None:
    output = show(jupyterlab, "widgets.Faults(lab)")
    output.get_by_role("button", name="worker2").click()
    output.get_by_role("button", name="cut off").click()
    see(output, "The network cable is pulled")
    output.get_by_role("button", name="Do it").click()
    see(output, "worker2 cut off")
    see(output, "✓ done")
    keep(jupyterlab, "faults")
    output.get_by_role("button", name=re.compile("Undo$")).click()
    see(output, "worker2 is back")
    assert lab.node("worker2").fault is None


def test_a_published_port_opens_in_the_browser_and_requests_are_drawn(
    swarm: Lab, jupyterlab: JupyterLab
) -> None:
    port = "--mode global --publish mode=host,published=8081,target=80"
    create = f"docker service create --quiet --update-monitor 1s --name web {port} {PLACE} web:1"
    swarm.node("manager1").run(create, quiet=True)
    output = show(jupyterlab, "widgets.Ports(lab)")
    with jupyterlab.page.context.expect_page() as opened:
        output.get_by_role("link", name="worker1:8081").click()
    opened.value.get_by_text("worker1").first.wait_for()
    opened.value.close()
    output.get_by_role("button", name="Send requests").click()
    output.locator(".labkit-picture").wait_for()
    keep(jupyterlab, "ports")


@pytest.mark.usefixtures("lab")
def test_outputs_stay_folded_until_a_prediction_is_committed(jupyterlab: JupyterLab) -> None:
    cells = [SETUP, 'widgets.Predict(lab, "why.two", "two", "three")', "print(1 + 1)"]
    cells += ['lab.outcome("why.two", "two")', "print(2 + 2)"]
    notebook = jupyterlab.open_cells(cells)
    notebook.run_all()
    assert hidden(notebook) == [False, False, True, True, False]
    assert jupyterlab.page.get_by_text("What happened: two").is_hidden()
    keep(jupyterlab, "predict")
    notebook.output(1).get_by_role("button", name="three").press("Enter")
    see(notebook.output(1), "You predict: three")
    assert hidden(notebook) == [False] * 5
    assert notebook.run(3).strip() == "You predicted: three\nWhat happened: two"
    assert hidden(notebook) == [False] * 5


def hidden(notebook: Notebook) -> list[bool]:
    """Whether the outputs of each cell are folded."""
    found: list[bool] = notebook.ask("cells.map(cell => !!cell.outputHidden)")
    return found


def test_a_button_opens_a_terminal_on_the_node(lab: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, "widgets.Terminals(lab)")
    output.get_by_role("button", name="Terminal on worker2").click()
    jupyterlab.terminal("worker2").wait_for_text("worker2")
    output.get_by_text("In a terminal of your own").click()
    see(output, f"labkit shell worker1 --lab {lab.name}")
    keep(jupyterlab, "terminals")


def test_a_cell_that_is_run_again_leaves_no_thread_and_no_process(web: Lab, jupyterlab: JupyterLab) -> None:
    jupyterlab.open()
    notebook = jupyterlab.open_cells(
        [SETUP, 'widgets.Command(lab, "echo begun; sleep 4726")', 'widgets.Scale(lab, "web")', THREADS]
    )
    notebook.run_all()
    notebook.output(1).get_by_role("button", name="Run").click()
    see(notebook.output(1), "begun")
    assert "labkit-follow" in notebook.run(3) and "labkit-widget" in notebook.run(3)
    for index in (1, 2):
        notebook.ask("(cells[wanted].model.sharedModel.setSource('0'), true)", index)
        notebook.run(index)
    eventually(lambda: notebook.run(3).strip() == "[]", "the end of the threads")
    assert not sleeping(web, "4726")


def test_a_kernel_that_is_restarted_leaves_no_process(lab: Lab, jupyterlab: JupyterLab) -> None:
    notebook = jupyterlab.open_cells([SETUP, 'widgets.Command(lab, "echo begun; sleep 4727")'])
    notebook.run_all()
    notebook.output(1).get_by_role("button", name="Run").click()
    eventually(lambda: sleeping(lab, "4727"), "the process")  # "begun" is part of the shown command, too
    notebook.restart_kernel()
    eventually(lambda: not sleeping(lab, "4727"), "the end of the process")


def test_an_exercise_is_ticked_off_and_gives_hints(swarm: Lab, jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.Exercise(lab, "join.2")')
    see(output, "Not solved yet")
    output.get_by_role("button", name="Hint").press("Enter")
    see(output, "Hint 1 of 3")
    swarm.node("manager1").run("docker node update --label-add disk=ssd worker2", quiet=True)
    see(output, "✓ Solved")
    keep(jupyterlab, "exercise")


def test_a_quiz_answers_by_the_keyboard(jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, 'widgets.Quiz("create")')
    question = quiz.load("create")[1]
    output.get_by_label(question.choices[question.answer], exact=True).check()
    second = output.get_by_role("button", name="Answer").nth(1)
    second.press("Enter")
    see(output, "✓ Right.")
    keep(jupyterlab, "quiz")


def test_a_chapter_that_would_remove_something_begins_by_a_click(swarm: Lab, jupyterlab: JupyterLab) -> None:
    swarm.node("manager1").run("docker volume create data", quiet=True)
    notebook = jupyterlab.open_cells([SETUP, "%load_ext labkit", 'lab.begin("create-a-swarm");', "1"])
    jupyterlab.menu("Run", "Run All Cells")
    notebook.wait_for("cells[2].model.executionCount && idle()")
    assert "WouldRemove" in notebook.failures()[2]
    assert notebook.counts()[3] is None  # Run All has stopped there
    output = notebook.output(2)
    see(output, "volume data on manager1")
    keep(jupyterlab, "begin")
    output.get_by_role("button", name="Remove all this and begin").click()
    see(output, "this is where it starts")
    assert checks.swarm_inactive()(swarm.snapshot())


@pytest.mark.usefixtures("swarm")
def test_an_exam_is_sat_by_the_keyboard(jupyterlab: JupyterLab) -> None:
    output = show(jupyterlab, "widgets.Exam(lab, minutes=30, count=1)")
    assert output.get_by_role("button", name="Grade this one").is_disabled()
    output.get_by_role("button", name="Start an exam").press("Enter")
    see(output, "minutes left", seconds=120)
    see(output, "1 scenario, 30 minutes")
    keep(jupyterlab, "exam")
    output.get_by_role("button", name="Grade this one").press("Enter")  # nothing was repaired
    see(output, "its one check is used up")
    see(output, "0 of 1 scenarios solved")
    keep(jupyterlab, "exam-over")
