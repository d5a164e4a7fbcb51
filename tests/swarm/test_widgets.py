"""Widgets on a real swarm: headless, and as a page drives them, by clicks and moved controls."""

import threading
from collections.abc import Iterator

import pytest

from labkit import Lab, checks, widgets
from labkit.errors import CommandFailed, CommandInterrupted, CommandTimedOut, LabBusy, NoSuchNode
from labkit.widgets.panel import Panel
from tests.helpers import eventually

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    eventually(lambda: not labkit_threads(), f"the end of {labkit_threads()}")


def labkit_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit-")]


def service(lab: Lab, *options: str, name: str = "web", image: str = "web:1") -> None:
    """A service on the swarm, once its tasks run; `--replicas 2` by default."""
    words = " ".join(options or ["--replicas 2"])
    lab.node("manager1").run(f"docker service create --quiet --name {name} {words} {image}", quiet=True)


def finished(panel: Panel) -> None:
    """Wait for the end of what a click has started."""
    panel.runner.join(60)
    assert not panel.runner.busy


def shown(panel: Panel) -> str:
    """All the HTML that the widget shows below its controls."""
    parts = (panel.runner._line, panel.runner._status, panel.runner._output, panel.runner._error)
    return "\n".join(part.value for part in parts)


def processes(lab: Lab, node: str, word: str) -> str:
    return lab.node(node).run(f"pgrep -af -- '{word[0]}[{word[1]}]{word[2:]}' || true", quiet=True).stdout


# -- the command runner ---------------------------------------------------------------------------


def test_command_returns_the_result_and_shows_it(swarm: Lab) -> None:
    command = widgets.Command(swarm, "docker node ls", node="manager1")
    assert repr(command) == "<Command: `docker node ls` on manager1>"
    result = command.run()
    assert result.exit_code == 0 and "worker2" in result.stdout
    assert "worker2" in shown(command) and "✓ exit 0 · " in shown(command)


def test_command_raises_and_shows_the_three_parts(swarm: Lab) -> None:
    command = widgets.Command(swarm, "docker node ls", node="worker1")
    with pytest.raises(CommandFailed):
        command.run()
    assert "✗ exit 1 · " in shown(command)
    for part in ("CommandFailed: on worker1", "not a swarm manager", "Try: run it on a manager"):
        assert part in shown(command)


def test_command_refuses_a_node_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(NoSuchNode):
        widgets.Command(lab, "true", node="worker9")


def test_a_click_runs_without_blocking_and_output_comes_as_it_is_said(lab: Lab) -> None:
    command = widgets.Command(
        lab, "echo first; until [ -e /tmp/go-on ]; do sleep 0.01; done; echo last", node="worker1"
    )
    command.button.click()
    eventually(lambda: "first" in shown(command), "the first line")
    assert command.runner.busy and command.button.disabled and command.command.disabled
    assert command.runner._stop.layout.display is None
    with pytest.raises(LabBusy):
        command.run()
    command.button.click()  # the second of two clicks does nothing
    lab.node("worker1").run("touch /tmp/go-on", quiet=True)
    finished(command)
    assert command.runner.result.stdout == "first\nlast\n"  # type: ignore[attr-defined]
    assert not command.button.disabled and not command.command.disabled


def test_a_click_that_fails_shows_its_error_and_gives_the_controls_back(lab: Lab) -> None:
    command = widgets.Command(lab, "ls /nowhere", node="worker1")
    command.button.click()
    finished(command)
    assert isinstance(command.runner.error, CommandFailed)
    assert "CommandFailed: on worker1" in shown(command) and "✗ exit 2" in shown(command)
    assert not command.button.disabled


def test_a_deadline_is_told(lab: Lab) -> None:
    command = widgets.Command(lab, "sleep 4720", node="worker1", timeout=0.5)
    with pytest.raises(CommandTimedOut):
        command.run()
    assert "still ran after 0.5 s" in shown(command)
    assert not processes(lab, "worker1", "sleep 4720")


@pytest.mark.parametrize("leave", ["stop", "close", "hide"])
def test_stopping_closing_and_rerunning_the_cell_end_the_command_on_the_node(lab: Lab, leave: str) -> None:
    command = widgets.Command(lab, "echo begun; sleep 4721", node="worker2")
    command._view_count = 1  # as a page sets it that shows the widget
    command.button.click()
    eventually(lambda: "begun" in shown(command), "the command's beginning")
    match leave:
        case "stop":
            command.runner._stop.click()
        case "close":
            command.close()
        case _:
            command._view_count = 0
    finished(command)
    assert isinstance(command.runner.error, CommandInterrupted)
    assert "■ stopped" in shown(command)
    assert not processes(lab, "worker2", "sleep 4721")


def test_much_output_is_cut_in_the_page_only(lab: Lab) -> None:
    command = widgets.Command(lab, "seq 100000", node="worker1")
    assert command.run().stdout.endswith("100000\n")
    assert "earlier characters are not shown" in shown(command)
    assert len(shown(command)) < 30_000


# -- scale ----------------------------------------------------------------------------------------


def test_scale_runs_on_release_and_follows_the_swarm(swarm: Lab) -> None:
    service(swarm)
    scale = widgets.Scale(swarm, "web")
    assert scale.slider.value == 2 and not scale.slider.continuous_update
    assert "docker service scale web=2" in shown(scale)
    scale._view_count = 1
    scale.slider.value = 4
    assert scale.slider.disabled
    assert "docker service scale web=4" in eventually(
        lambda: shown(scale) if "web=4" in shown(scale) else "", "4"
    )
    finished(scale)
    swarm.wait(checks.running("web", 4))
    assert scale.slider.value == 4 and not scale.slider.disabled
    swarm.node("manager1").run("docker service scale --detach web=1", quiet=True)
    eventually(lambda: scale.slider.value == 1, "the slider at 1")
    assert not scale.runner.busy  # the swarm moved it, so nothing runs
    eventually(lambda: "1 of 1 tasks of web run" in scale._note.value, "the task in words")
    swarm.node("manager1").run("docker service rm web", quiet=True)
    eventually(lambda: scale.slider.disabled, "a slider without its service")
    assert "There is no service web" in scale._note.value
    scale._view_count = 0


def test_scale_headless_is_bounded_and_says_what_tasks_wait_for(swarm: Lab) -> None:
    service(swarm, "--replicas 1", "--constraint", "node.hostname==worker1", "--reserve-memory", "64m")
    scale = widgets.Scale(swarm, "web", timeout=20)
    assert scale.run(2).exit_code == 0
    swarm.node("manager1").run("docker node update --availability drain worker1", quiet=True)
    scale.timeout = 2
    with pytest.raises(CommandTimedOut) as caught:
        scale.run(3)
    assert any("no suitable node" in line for line in caught.value.evidence)
    assert "no suitable node" in shown(scale)
    assert swarm.snapshot().service("web").replicas == 3  # type: ignore[union-attr]
    assert scale.slider.value == 3
