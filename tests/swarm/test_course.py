"""Chapters begin, exercises are graded, on a real swarm; nothing of a learner's is taken away untold."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import Lab, checks, widgets
from labkit.cluster.node import Node
from labkit.course import exercises, grading, progress
from labkit.course.user_resources import user_resources
from labkit.util.errors import NotSolved, WouldRemove
from tests.helpers import eventually, labkit

pytestmark = pytest.mark.engine

# What a learner makes, and how it is told.
MADE = {
    "docker service create -d --name shop --replicas 0 web:1": "service shop",
    "docker network create -d overlay back": "network back",
    "echo x | docker secret create password -": "secret password",
    "echo x | docker config create settings -": "config settings",
    "docker node update --label-add disk=ssd worker2": "label disk=ssd of worker2",
    "docker node update --availability drain worker1": "availability drain of worker1",
    "docker node promote worker1": "role manager of worker1",
    "docker volume create data": "volume data on manager1",
    "docker network create local": "network local on manager1",
    "docker create --name box busybox": "container box on manager1",
    "touch /lab/notes": "in the folder /lab: notes",
}


def test_a_swarm_that_labkit_formed_holds_nothing_of_a_learner(swarm: Lab) -> None:
    assert user_resources(swarm) == []
    assert user_resources(swarm.reset()) == []


def test_all_that_a_learner_made_is_told_and_left(swarm: Lab) -> None:
    manager = swarm.node("manager1")
    manager.run("\n".join(MADE), quiet=True)
    assert sorted(user_resources(swarm)) == sorted(MADE.values())
    with pytest.raises(WouldRemove, match="holds what you have made") as caught:
        swarm.begin("join-and-manage-nodes")
    assert set(MADE.values()) <= set(caught.value.evidence)
    assert 'lab.begin("join-and-manage-nodes", yes=True)' in caught.value.next_step
    assert sorted(user_resources(swarm)) == sorted(MADE.values())
    swarm.begin("join-and-manage-nodes", yes=True)
    assert user_resources(swarm) == []
    assert checks.nodes_ready(1)(swarm.snapshot())


def test_nodes_that_a_learner_joined_are_told(lab: Lab) -> None:
    lab.begin("join-and-manage-nodes")
    assert user_resources(lab) == []
    token = lab.node("manager1").api.inspect_swarm()["JoinTokens"]["Worker"]
    lab.node("worker1").run(f"docker swarm join --token {token} manager1:2377", quiet=True)
    assert user_resources(lab) == ["membership of worker1"]


def _by_hand(manager: Node) -> None:
    manager.run("docker swarm leave --force && docker swarm init --advertise-addr eth0", quiet=True)


def _locked(manager: Node) -> None:
    manager.run("docker swarm update --autolock", quiet=True)
    manager.stop()
    manager.start()


def _without_quorum(manager: Node) -> None:
    manager.run("docker node promote worker1 worker2", quiet=True)
    Lab(manager.lab).wait(checks.managers(3))
    for name in ("worker1", "worker2"):
        Lab(manager.lab).node(name).kill()


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (_by_hand, "which labkit has not formed"),
        (lambda manager: manager.kill(), "everything on manager1, which cannot be seen"),
        (_locked, "no manager answers for"),
        (_without_quorum, "lost their quorum"),
    ],
)
def test_a_swarm_of_the_learners_own_is_one_of_their_things(
    swarm: Lab, break_it: Callable[[Node], None], told: str
) -> None:
    break_it(swarm.node("manager1"))
    eventually(lambda: [words for words in user_resources(swarm) if told in words], told)
    with pytest.raises(WouldRemove):
        swarm.begin("create-a-swarm")
    swarm.begin("create-a-swarm", yes=True)
    assert checks.swarm_inactive()(swarm.snapshot())


def test_the_command_line_asks_too(swarm: Lab) -> None:
    swarm.node("manager1").run("docker volume create data", quiet=True)
    refused = labkit("begin", "create-a-swarm", "--lab", swarm.name)
    assert refused.returncode == 1
    assert "volume data on manager1" in refused.stderr
    assert f"labkit begin create-a-swarm --yes --lab {swarm.name}" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = labkit("begin", "create", "--yes", "--lab", swarm.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert user_resources(swarm) == []


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_no_check_accepts_an_empty_swarm(_empty_swarm: Lab, name: str) -> None:
    assert not grading.grade(_empty_swarm, name, exercises.find(_empty_swarm, name), settle=0)


@pytest.fixture(scope="module")
def _empty_swarm(_shared_lab: Lab) -> Lab:
    return _shared_lab.reset(swarm=True)


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_no_check_accepts_bare_engines(_bare_engines: Lab, name: str) -> None:
    assert not grading.grade(_bare_engines, name, exercises.find(_bare_engines, name), settle=0)


@pytest.fixture(scope="module")
def _bare_engines(_shared_lab: Lab) -> Lab:
    return _shared_lab.reset()


def test_a_check_says_what_is_missing_and_why_it_matters(swarm: Lab) -> None:
    with pytest.raises(NotSolved, match=r"create\.1 is not solved yet") as caught:
        swarm.check("create.1")
    assert "✗ there is no file /lab/worker-token yet" in caught.value.evidence
    assert any(line.startswith("Why it matters: ") for line in caught.value.evidence)
    assert 'lab.hint("create.1")' in caught.value.next_step
    swarm.node("manager1").run("docker swarm join-token -q worker > /lab/worker-token", quiet=True)
    grade = swarm.check("create.1")
    assert grade.solved
    assert repr(grade).startswith("✓ create.1 solved\n  ✓ /lab/worker-token holds the current worker token")
    assert "create.1" in progress.solved()


def test_hints_come_in_steps_and_look_at_the_swarm(swarm: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    progress.of(swarm).record("chapter", "join-and-manage-nodes")
    given = []
    for _ in range(4):
        swarm.hint("join.3")
        given.append(capsys.readouterr().out)
    assert given[0].startswith("Hint 1 of 3: ")
    assert "worker1 itself believes that its swarm is active" in given[1]
    assert given[3].startswith("That was the last hint.")


def test_the_exercise_ticks_itself_off_as_the_learner_works(swarm: Lab) -> None:
    manager = swarm.node("manager1")
    manager.run("rm -f /lab/worker2-version", quiet=True)
    widget = widgets.Exercise(swarm, "join.2")
    widget._view_count = 1  # a page shows it
    try:
        assert "Not solved yet" in widget.points.value
        manager.run("docker node update --label-add disk=ssd worker2", quiet=True)
        eventually(lambda: "✓ Solved" in widget.points.value, "the tick")
        eventually(lambda: "join.2" in progress.solved(), "the record")
        widget.hint.click()
        assert "Hint 1 of 3" in widget.hints.value
    finally:
        widget.close()


def test_a_click_begins_the_chapter(swarm: Lab) -> None:
    swarm.node("manager1").run("docker volume create data", quiet=True)
    widget = widgets.Begin(swarm, lambda: swarm.begin("create-a-swarm", yes=True))
    widget.run()
    widget.close()
    assert checks.swarm_inactive()(swarm.snapshot())
    assert user_resources(swarm) == []


def test_a_solution_runs_only_while_it_is_needed(swarm: Lab, magic: Callable[[str, str], str]) -> None:
    write = "docker swarm join-token -q worker > /lab/worker-token"
    assert "exit 0" in magic("manager1 --unless create.1", write)
    assert progress.records("solution")[-1].name == "create.1"
    printed = magic("manager1 --unless create.1", "touch /lab/ran-again")
    assert printed == "create.1 is solved already: the solution was not run.\n"
    assert "ran-again" not in swarm.node("manager1").run("ls /lab", quiet=True).stdout


def test_progress_is_shown_on_the_command_line(
    swarm: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    swarm.node("manager1").run("docker swarm join-token -q worker > /lab/worker-token", quiet=True)
    assert labkit("check", "create.1", "--lab", swarm.name).returncode == 0
    failed = labkit("check", "create.2", "--lab", swarm.name)
    assert failed.returncode == 1
    assert "✗ there is no file /lab/leaked-token" in failed.stderr
    chapters = json.loads(labkit("progress", "--json").stdout)["chapters"]
    create = next(entry for entry in chapters if entry["name"] == "create-a-swarm")
    assert [entry["name"] for entry in create["exercises"] if entry["solved"]] == ["create.1"]


def test_explain_speaks_of_services_and_nodes(swarm: Lab) -> None:
    swarm.node("manager1").run(
        "docker service create -d --name web --constraint node.labels.disk==ssd web:1", quiet=True
    )
    eventually(
        lambda: "node.labels.disk==ssd: no node fits" in labkit("explain", "web", "--lab", swarm.name).stdout,
        "the reason",
    )
    assert "worker1: a worker, ready" in labkit("explain", "worker1", "--lab", swarm.name).stdout
    unknown = labkit("explain", "wep", "--lab", swarm.name)
    assert unknown.returncode == 1
    assert "neither a service nor a node 'wep'" in unknown.stderr
