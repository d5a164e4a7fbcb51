"""Commands that are killed, run twice at once, or meet what others left: all end well."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import Lab, checks
from labkit.util.console import ProgressReporter
from labkit.util.errors import EngineUnsuitable
from tests.helpers import A_LAB, labkit, leftovers, spawn, wait_for_line

pytestmark = [pytest.mark.engine, pytest.mark.alone]
NewLab = Callable[[], Lab]

STEPS = ("Docker engine", "Image labkit/node", "Network and volumes", "Nodes and services")


@pytest.mark.parametrize("step", STEPS)
def test_up_killed_after_any_step_is_finished_by_the_next_up(new_lab: NewLab, step: str) -> None:
    lab = new_lab()
    kill_after(step, lab)
    done = labkit("up", "--swarm", "--lab", lab.name)
    assert done.returncode == 0, done.stderr
    lab.wait(checks.nodes_ready(3))


@pytest.mark.parametrize("step", STEPS)
def test_up_killed_after_any_step_is_removed_by_down(new_lab: NewLab, step: str) -> None:
    lab = new_lab()
    kill_after(step, lab)
    done = labkit("down", "--lab", lab.name)
    assert done.returncode == 0, done.stderr
    assert leftovers(lab.name) == []


def test_up_killed_while_containers_start_is_removed_by_down(new_lab: NewLab) -> None:
    lab = new_lab()
    starts = {"label": f"org.labkit.lab={lab.name}", "event": "start"}
    events = lab.context.client().events(decode=True, filters=starts)
    process = spawn("up", "--lab", lab.name)
    next(events)  # one container has started, the others have not
    process.kill()
    process.communicate()
    events.close()
    assert leftovers(lab.name)
    assert labkit("down", "--lab", lab.name).returncode == 0
    assert leftovers(lab.name) == []


def test_interrupted_first_up_removes_what_it_started(new_lab: NewLab) -> None:
    lab = new_lab()
    process = spawn("up", "--lab", lab.name)
    wait_for_line(process, "Network and volumes")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert leftovers(lab.name) == []


def test_interrupted_second_up_leaves_the_running_lab_alone(new_lab: NewLab) -> None:
    lab = new_lab().up(reporter=ProgressReporter(quiet=True))
    before = sorted(leftovers(lab.name))
    process = spawn("up", "--swarm", "--lab", lab.name)
    wait_for_line(process, "Docker engine")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert sorted(leftovers(lab.name)) == before


def test_two_ups_at_once_end_in_one_healthy_lab(new_lab: NewLab) -> None:
    lab = new_lab()
    both = [spawn("up", "--swarm", "--lab", lab.name) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert any("Waiting for " in output for output in outputs), outputs
    lab.wait(checks.nodes_ready(3))
    assert len(leftovers(lab.name)) == A_LAB


def test_up_and_down_at_once_do_not_fight(new_lab: NewLab) -> None:
    lab = new_lab()
    up, down = spawn("up", "--lab", lab.name), spawn("down", "--lab", lab.name)
    outputs = [process.communicate(timeout=120)[0] for process in (up, down)]
    assert [up.returncode, down.returncode] == [0, 0], outputs
    assert len(leftovers(lab.name)) in (0, A_LAB)


def test_down_all_finds_labs_by_their_labels_alone(new_lab: NewLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.cli import main
    from labkit.cluster import provision

    first, second = (
        new_lab().up(reporter=ProgressReporter(quiet=True)),
        new_lab().up(reporter=ProgressReporter(quiet=True)),
    )
    mine = {first.name, second.name}
    everything = provision.labs(first.context.client())
    assert mine <= set(everything)
    # Only these two: other labs on this machine are somebody's.
    monkeypatch.setattr(
        provision, "labs", lambda client: [name for name in everything if name in mine and client]
    )
    assert main.main(["down", "--all"]) == 0
    assert leftovers(first.name) + leftovers(second.name) == []


def test_no_free_subnet_is_told_with_the_engines_words(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new_lab().up(reporter=ProgressReporter(quiet=True))
    taken = first.node("manager1").run("hostname -i", quiet=True).stdout.rpartition(".")[0]
    monkeypatch.setenv("LABKIT_NET", taken)
    second = new_lab()
    with pytest.raises(EngineUnsuitable, match="no free subnet") as caught:
        second.up(reporter=ProgressReporter(quiet=True))
    assert "overlaps" in caught.value.evidence[0]
    assert leftovers(second.name) == []


@pytest.mark.parametrize(
    "command", [("exec", "manager1", "--", "true"), ("shell", "manager1"), ("logs", "manager1")]
)
def test_refusals_print_three_parts_and_exit_1(command: tuple[str, ...]) -> None:
    done = labkit("--lab", "no-such-lab", *command)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "LabNotRunning: lab 'no-such-lab' is not running",
        "Try: labkit up --lab no-such-lab",
    ]


def test_unknown_node_exits_1_with_a_suggestion(lab: Lab) -> None:
    done = labkit("exec", "--lab", lab.name, "worker", "--", "true")
    assert done.returncode == 1
    assert "did you mean worker" in done.stderr


def test_an_engine_that_is_not_there_exits_1(tmp_path: Path) -> None:
    done = labkit("status", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert done.stderr.startswith("EngineNotFound: no Docker engine answered\n  DOCKER_HOST")
    assert "Try: " in done.stderr


def test_doctor_tells_without_an_engine_too(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/none.sock"
    done = labkit("doctor", "--json", DOCKER_HOST=nowhere)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["ready"] is False
    assert [(probe["key"], probe["ok"]) for probe in told["probes"]] == [("engine", False)]
    assert "✗ Docker engine" in labkit("doctor", DOCKER_HOST=nowhere).stdout


def test_every_port_taken_is_an_error_in_three_parts(lab: Lab) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = labkit("start", "--no-browser", "--port", port, "--lab", lab.name, JUPYTER_PORT_RETRIES="0")
    assert done.returncode == 1
    assert f"PortTaken: JupyterLab found no free port from {port} on" in done.stderr


def kill_after(step: str, lab: Lab) -> None:
    """Start `up` and kill it, without a chance to clean up, as soon as it says that the step is done."""
    process = spawn("up", "--swarm", "--lab", lab.name)
    wait_for_line(process, f"✓ {step}")
    process.kill()
    process.communicate()
