"""The routing mesh: tasks share requests, and join and leave the rotation."""

import time
from collections import Counter

import pytest

from labkit import Lab, checks, plots
from labkit.observe.traffic.answers import Answer
from labkit.observe.traffic.load import Load
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Snapshot, Task
from tests.fullkernel.swarm.services import HEALTH, PATIENCE, TELL, ask, container, deploy, on
from tests.helpers import eventually
from tests.pictures import texts

pytestmark = pytest.mark.fullkernel

PORT = 8080
TASKS = {"web.1", "web.2", "web.3"}
REQUESTS = 12  # to each node: every task's turn comes as often


@pytest.fixture(scope="module")
def web(swarm: Lab) -> Lab:
    """A service `web` of three tasks on the two workers, published, and on a network `inner`."""
    on(swarm.node("manager1"), "docker network create --driver overlay inner")
    where = f"--replicas 3 --constraint node.role==worker --network inner --publish {PORT}:80"
    deploy(swarm, "web", 3, f"{where} {TELL} {HEALTH} web:1")
    all_answer(swarm)
    return swarm


@pytest.fixture(scope="module")
def answers(web: Lab) -> list[Answer]:
    """What came of a round of requests."""
    return ask(web, PORT, REQUESTS)


def all_answer(lab: Lab) -> None:
    """Wait until every node answers, by exactly the three tasks. Nodes hear of changes from each other."""
    wanted = {(entered, task) for entered in lab.nodes for task in TASKS}

    def asked() -> set[tuple[str, str]]:
        return {(answer.entered, answer.answered) for answer in ask(lab, PORT, len(TASKS))}

    eventually(lambda: asked() == wanted, "an answer of every task at every node", seconds=60)


def running(lab: Lab) -> list[Task]:
    return [task for task in lab.snapshot().tasks if task.service == "web" and task.state == "running"]


def in_turn(lab: Lab) -> Counter[Answer]:
    """A round of requests that the tasks that run have answered equally often."""
    return Counter(
        {
            Answer(entered, task.name, task.node): REQUESTS // len(TASKS)
            for task in running(lab)
            for entered in lab.nodes
        }
    )


def test_every_node_lets_every_task_answer_in_turn(web: Lab, answers: list[Answer]) -> None:
    assert Counter(answers) == in_turn(web)


def test_a_node_without_a_task_answers_too(web: Lab, answers: list[Answer]) -> None:
    assert "manager1" not in {task.node for task in running(web)}
    assert {answer.answered for answer in answers if answer.entered == "manager1"} == TASKS


def test_the_picture_shows_that_every_node_answered(answers: list[Answer]) -> None:
    picture = plots.mesh(answers)
    assert plots.describe(picture).startswith(
        "Every node answered; 36 requests spread evenly over 3 tasks.\nEntered at manager1, answered by web."
    )
    assert texts(picture).count("4") == 9


def test_a_task_that_is_killed_leaves_the_rotation_and_its_replacement_joins_it(web: Lab) -> None:
    """A task that was dead and still in the rotation would cost one request in four."""
    killed = next(task for task in running(web) if task.name == "web.2")
    node = web.node(killed.node)
    on(node, f"docker kill {container(node, killed.name)}")
    eventually(lambda: killed.id not in {task.id for task in running(web)}, "the end of the task")
    web.wait(checks.running("web", 3))
    all_answer(web)
    assert Counter(ask(web, PORT, REQUESTS)) == in_turn(web)


def updated(snapshot: Snapshot) -> Verdict:
    """The update is completed, and no task of the version before runs."""
    service = snapshot.service("web")
    old = [task for task in snapshot.tasks if task.image == "web:1" and task.state == "running"]
    words = f"{len(old)} of web:1 run; the update is {service.update if service else 'gone'}"
    return Verdict(bool(service and service.update == "completed" and not old), words)


def test_a_rolling_update_loses_no_request(web: Lab) -> None:
    """`start-first` waits until the new task is healthy before the old one goes.

    That one leaves the rotation, and is told to stop 2 s later, when the nodes have heard of it (`Shutdown`
    and `defaultGossipConvergeDelay` in moby: daemon/cluster/executor/container/controller.go). nginx, stopped
    by SIGQUIT, then finishes the answers that it has begun; for that there is the grace period.
    """
    seen: list[tuple[float, Answer]] = []
    begun = time.monotonic()
    with Load(
        list(web.nodes.values()),
        PORT,
        every=0.2,
        patience=PATIENCE,
        sink=lambda answer: seen.append((time.monotonic() - begun, answer)),
    ):
        how = "--update-order start-first --update-parallelism 1 --update-delay 2s --stop-grace-period 20s"
        on(web.node("manager1"), f"docker service update --quiet --detach {how} --image web:2 web")
        web.wait(updated, timeout=60)
        so_far = len(seen)
        eventually(lambda: len(seen) > so_far + len(web.nodes) * len(TASKS), "answers after the update")
    assert [(f"{after:.1f} s", answer) for after, answer in seen if answer.error] == []
    assert {answer.entered for _, answer in seen} == set(web.nodes)
    assert {task.image for task in running(web)} == {"web:2"}
