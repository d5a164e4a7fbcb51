"""Requests to published ports: who answered them, and in words why nobody did."""

import subprocess
import sys
import threading
from collections import Counter

import pytest

from labkit import Lab, checks, load
from labkit.observe.traffic.answers import Answer
from labkit.observe.traffic.load import Load
from labkit.util.errors import LabError, LabNotRunning
from tests.helpers import eventually, inside, service

pytestmark = pytest.mark.engine

TELL = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"
PUBLISH = "--publish mode=host,published=8080,target=80"
REFUSED = "refused: nothing listens on this port of the node"


def serve(lab: Lab, options: str, tasks: int) -> None:
    """Run a service `web` on port 8080 of the nodes that have a task of it."""
    lab.node("manager1").run(f"docker service create -d --name web {PUBLISH} {TELL} {options}", quiet=True)
    lab.wait(checks.running("web", tasks), timeout=90)
    eventually(lambda: any(answer.answered for answer in ask(lab, 1)), "an answer")


def ask(lab: Lab, requests: int) -> list[Answer]:
    return load.send(list(lab.nodes.values()), 8080, requests)


def left_running(lab: Lab) -> list[str]:
    """What of a load still runs where the requests come from."""
    processes = inside(service(lab, "registry"), "ps", "-o", "args").splitlines()
    return [line for line in processes if "labkit" in line or line.startswith("curl")]


def test_in_host_mode_each_node_answers_by_its_own_task_and_others_refuse(swarm: Lab) -> None:
    serve(swarm, "--replicas 2 web:1", 2)
    tasks = {task.node: f"web.{task.slot}" for task in swarm.snapshot().tasks}
    expected = Counter(
        {
            Answer(name, tasks[name], name) if name in tasks else Answer(name, error=REFUSED): 20
            for name in swarm.nodes
        }
    )
    assert Counter(ask(swarm, 20)) == expected
    assert left_running(swarm) == []


def test_a_node_that_is_cut_off_gives_no_answer(swarm: Lab) -> None:
    serve(swarm, "--mode global web:1", 3)
    swarm.node("worker1").cut_off()
    assert set(ask(swarm, 2)) == {
        Answer("manager1", "web.manager1", "manager1"),
        Answer("worker1", error="no answer within 2 s"),
        Answer("worker2", "web.worker2", "worker2"),
    }


def test_a_service_that_does_not_tell_counts_by_its_answer(swarm: Lab) -> None:
    serve(swarm, "--mode global nginx", 3)
    assert set(ask(swarm, 1)) == {Answer(name, "?") for name in swarm.nodes}


def test_a_load_runs_beside_other_work_until_it_is_stopped(swarm: Lab) -> None:
    serve(swarm, "--mode global web:1", 3)
    seen: list[Answer] = []
    with Load(list(swarm.nodes.values()), 8080, every=0.02, sink=seen.append) as running:
        assert eventually(lambda: len(running.answers) > 10, "answers")
        assert not any(answer.error for answer in running.answers)
        swarm.node("manager1").run("docker service rm web", quiet=True)
        refused = {Answer(name, error=REFUSED) for name in swarm.nodes}
        assert eventually(lambda: refused <= set(running.answers), "requests that nobody answers")
        assert running.running
    assert not running.running
    assert seen == running.stop() == running.answers
    assert left_running(swarm) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "labkit-load"]


def test_a_load_may_be_stopped_by_its_own_sink(lab: Lab) -> None:
    stopped = threading.Event()

    def stop(_: Answer) -> None:
        running.stop()
        stopped.set()

    running = Load([lab.node("worker1")], 8080, every=0.5, sink=stop)
    assert stopped.wait(30)
    assert eventually(lambda: not left_running(lab), "the end of the load")


def test_a_load_ends_with_the_python_that_started_it(lab: Lab) -> None:
    code = (
        "from labkit import Lab; from labkit.observe.traffic.load import Load; "
        f"Load([Lab({lab.name!r}).node('worker1')], 1).wait()"
    )
    python = subprocess.Popen([sys.executable, "-c", code])
    assert eventually(lambda: left_running(lab), "the load's processes")
    python.kill()
    python.wait()
    assert eventually(lambda: not left_running(lab), "the end of the load")


def test_what_cannot_be_asked_says_so(lab: Lab) -> None:
    with pytest.raises(LabError, match="no node was given to send the requests to"):
        load.send([], 8080)
    service(lab, "registry").stop()
    with pytest.raises(LabNotRunning, match="does not run, and requests to the nodes come from there"):
        ask(lab, 1)
