"""Widgets on a real swarm: headless, and as a page drives them, by clicks and moved controls."""

import re
import threading
from collections.abc import Iterator

import pytest
import requests

from labkit import Lab, checks, widgets
from labkit.cluster import faults
from labkit.util.errors import (
    CommandFailed,
    CommandInterrupted,
    CommandTimedOut,
    LabBusy,
    LabError,
    NoSuchNode,
)
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
    create = f"docker service create --quiet --update-monitor 1s --name {name} {words} {image}"
    lab.node("manager1").run(create, quiet=True)


def finished(panel: Panel) -> None:
    """Wait for the end of what a click has started."""
    eventually(lambda: not panel.runner.busy and not panel.runner.next, "the end of the command", 60)


def shown(panel: Panel) -> str:
    """All the HTML that the widget shows below its controls."""
    parts = (panel.runner._line, panel.runner._status, panel.runner._output, panel.runner._error)
    return "\n".join(part.value for part in parts)


def processes(lab: Lab, node: str, word: str) -> str:
    return lab.node(node).run(f"pgrep -af -- '{word[0]}[{word[1]}]{word[2:]}' || true", quiet=True).stdout


# -- the command runner ---------------------------------------------------------------------------


def test_command_returns_the_result_and_shows_it(swarm: Lab) -> None:
    command = widgets.Command(swarm, "docker node ls", node="manager1")
    assert repr(command).startswith("`docker node ls` on manager1\n[In JupyterLab, this cell shows a field")
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


def test_two_moves_of_the_slider_end_at_the_last(swarm: Lab) -> None:
    service(swarm)
    scale = widgets.Scale(swarm, "web")
    for replicas in (3, 4, 5):
        scale.slider.value = replicas
    finished(scale)
    assert "docker service scale web=5" in shown(scale)
    swarm.wait(checks.running("web", 5))
    assert scale.slider.value == 5
    assert not processes(swarm, "manager1", "docker service scale")


# -- availability ---------------------------------------------------------------------------------


def test_availability_drains_by_toggle_and_follows(swarm: Lab) -> None:
    availability = widgets.Availability(swarm)
    assert {name: toggle.value for name, toggle in availability.toggles.items()} == dict.fromkeys(
        ("manager1", "worker1", "worker2"), "active"
    )
    availability._view_count = 1
    toggle = availability.toggles["worker1"]
    toggle.value = "drain"
    finished(availability)
    assert swarm.wait(checks.availability("worker1", "drain"))
    assert "docker node update --availability drain worker1" in shown(availability)
    assert toggle.value == "drain" and toggle.icons == ("", "", "check")
    swarm.node("manager1").run("docker node update --availability pause worker1", quiet=True)
    eventually(lambda: toggle.value == "pause", "the toggle at pause")
    assert not availability.runner.busy
    availability.close()


def test_a_refused_availability_is_raised_and_the_toggle_goes_back(swarm: Lab) -> None:
    availability = widgets.Availability(swarm)
    assert availability.run("worker2", "pause").exit_code == 0
    with pytest.raises(CommandFailed):
        availability.run("worker9", "drain")
    assert "worker9 not found" in shown(availability)
    assert availability.toggles["worker2"].value == "pause"


def test_commands_go_to_the_manager_that_is_left(swarm: Lab) -> None:
    run = swarm.node("manager1").run
    run("docker node promote worker1 worker2", quiet=True)
    swarm.wait(checks.managers(3))
    swarm.node("manager1").kill()
    swarm.wait(checks.node_down("manager1"))
    availability = widgets.Availability(swarm)
    assert availability.run("manager1", "drain").node in ("worker1", "worker2")


def test_without_a_manager_there_is_an_error_in_three_parts(lab: Lab) -> None:
    availability = widgets.Availability(lab)
    assert availability.toggles == {} and "there is no swarm yet" in availability._note.value
    with pytest.raises(LabError, match="no manager answers"):
        availability.run("worker1", "drain")
    assert "docker swarm init" in shown(availability)


# -- rolling update -------------------------------------------------------------------------------


def test_update_rolls_out_and_back(swarm: Lab) -> None:
    service(swarm)
    rolling = widgets.RollingUpdate(swarm, "web")
    rolling._view_count = 1
    rolling.image.value, rolling.parallelism.value = "web:3", 2
    rolling.start.click()
    eventually(lambda: rolling.progress.value == 2 and "web:3" in rolling._note.value, "the new image")
    assert rolling.runner.busy and rolling.start.disabled and not rolling.back.disabled
    rolling.back.click()  # the wait for the update ends, the rollback begins
    eventually(lambda: "docker service rollback web" in shown(rolling), "the rollback")
    finished(rolling)
    assert rolling.runner.error is None
    back = "web:1 runs in 2 of 2 tasks; the update was rolled back"
    eventually(lambda: back in rolling._note.value, back)
    rolling._view_count = 0


def test_a_broken_image_pauses_the_update_and_raises(swarm: Lab) -> None:
    service(swarm)
    rolling = widgets.RollingUpdate(swarm, "web", timeout=60)
    with pytest.raises(CommandFailed):
        rolling.run("toolbox --no-such-command")
    assert "not a valid repository/tag" in shown(rolling)
    assert "toolbox --no-such-command" in rolling.runner._line.value  # what ran, not what would
    rolling.delay.value = 3
    assert "--update-delay 3s" in shown(rolling) and "CommandFailed" not in shown(rolling)
    swarm.node("manager1").run(
        "docker service update --detach --args false --update-monitor 2s web", quiet=True
    )
    with pytest.raises(CommandFailed, match="docker service update"):
        rolling.run("toolbox:latest")
    assert "the update is paused" in rolling._note.value


# -- faults ---------------------------------------------------------------------------------------


def test_each_fault_is_done_shown_and_undone(swarm: Lab) -> None:
    deck = widgets.Faults(swarm)
    for fault in faults.CATALOGUE:
        assert deck.run("worker2", fault.name) == fault.state
        assert f"worker2 {fault.state}" in deck._note.value
        deck.node.value, deck.fault.value = "worker2", fault
        for command in (*fault.commands(swarm.node("worker2")), *fault.undo_commands(swarm.node("worker2"))):
            assert command in deck._about.value
        deck.undo.click()
        finished(deck)
        assert swarm.node("worker2").fault is None
        assert "worker2 runs" in deck._note.value and "worker2 is back" in shown(deck)
    with pytest.raises(LabError, match="no fault 'fire'"):
        deck.run("worker2", "fire")


def test_the_deck_sees_faults_from_elsewhere_and_the_reset(swarm: Lab) -> None:
    deck = widgets.Faults(swarm)
    deck._view_count = 1
    swarm.node("worker1").pause()
    eventually(lambda: "worker1 paused" in deck._note.value, "the fault in words")
    deck.node.value, deck.fault.value = "worker1", faults.STOP
    deck.apply.click()
    finished(deck)
    assert "worker1 is already paused" in shown(deck) and not deck.apply.disabled
    swarm.reset()
    eventually(lambda: "worker1 runs" in deck._note.value, "the end of the fault")
    deck._view_count = 0


# -- ports ----------------------------------------------------------------------------------------


def test_ports_link_to_tasks_and_send_requests(swarm: Lab) -> None:
    place = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"
    service(swarm, f"--mode global --publish mode=host,published=8081,target=80 {place}")
    service(swarm, "--replicas 1", name="hidden")
    links = widgets.Ports(swarm)
    assert "href" not in links._links.value  # no page shows it yet
    links._view_count = 1
    (url, *others) = eventually(lambda: re.findall(r'href="([^"]+)"', links._links.value), "the links")
    assert len(others) == 2
    assert "web" in requests.get(url, timeout=10).text
    answers = links.run("web", requests=2)
    assert sorted({(answer.entered, answer.node) for answer in answers}) == [
        (name, name) for name in ("manager1", "worker1", "worker2")
    ]
    assert "<svg" in links.runner._picture.value
    with pytest.raises(LabError, match="service hidden publishes no TCP port"):
        links.run("hidden")
    links._view_count = 0
    eventually(lambda: not labkit_threads(), "the end of the port forwards")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=2)


def test_requests_without_an_answer_are_explained(swarm: Lab) -> None:
    service(swarm, "--replicas 1 --publish 8080:80")
    links = widgets.Ports(swarm)
    answers = links.run("web", requests=1)
    answered = all(not answer.error for answer in answers)
    assert answered or "The routing mesh needs ip_vs" in shown(links)


def test_sending_requests_is_stopped(swarm: Lab) -> None:
    service(swarm, "--mode global --publish mode=host,published=8081,target=80")
    links = widgets.Ports(swarm, requests=500)
    links.button.click()
    eventually(lambda: "answered" in shown(links), "the first answer")
    links.runner.stop()
    finished(links)
    assert isinstance(links.runner.error, CommandInterrupted)
