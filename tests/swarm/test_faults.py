"""Faults on real nodes: they have their effect, so have the commands that are shown, and all is undone."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from labkit import Lab, checks
from labkit.cluster import faults
from labkit.cluster.faults import Fault
from labkit.cluster.node import Node
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from tests.helpers import eventually, service

pytestmark = pytest.mark.engine

every_fault = pytest.mark.parametrize("fault", faults.CATALOGUE, ids=lambda fault: fault.name)
REFUSED, SILENT = 7, 28  # what curl exits with: a machine is there, or nothing comes back
CURL = "curl --silent --output /dev/null --max-time 1"


def from_outside(lab: Lab, address: str) -> int:
    """What curl exits with from a place on the nodes' network that is no node."""
    code: int = service(lab, "registry").exec_run(f"{CURL} http://{address}").exit_code
    return code


def from_node(node: Node, address: str) -> int:
    return node.run(f"{CURL} http://{address}", check=False, quiet=True).exit_code


@contextmanager
def counted(node: Node, source: Node) -> Iterator[Callable[[], int]]:
    """Counts the packets of another node that reach this one."""
    rule = f"INPUT --source {source.address}"
    node.run(f"iptables --insert {rule}", quiet=True)
    yield lambda: int(node.run("iptables -nvxL INPUT 1", quiet=True).stdout.split()[0])
    node.run(f"iptables --delete {rule}", quiet=True)


def test_no_packet_passes_a_cut(lab: Lab) -> None:
    node, other = lab.node("worker1"), lab.node("worker2")
    with counted(node, other) as heard, counted(other, node) as sent:
        assert from_node(other, f"{node.address}:1") == from_node(node, f"{other.address}:1") == REFUSED
        before = heard(), sent()
        assert min(before) > 0
        node.cut_off()
        assert from_node(other, f"{node.address}:1") == from_node(node, f"{other.address}:1") == SILENT
        assert (heard(), sent()) == before


def test_a_node_that_is_cut_off_neither_hears_nor_is_heard(lab: Lab) -> None:
    node, other = lab.node("worker1"), lab.node("worker2")
    node.run("docker run -d --name task --publish 8080:80 web:1", quiet=True)
    ask_from_task = f"docker exec task nc -w 1 {other.address} 1"
    said = node.run(ask_from_task, check=False, quiet=True).stderr
    assert "refused" in said
    assert eventually(lambda: from_outside(lab, f"{node.address}:8080") == 0, "an answer of the task")
    assert from_node(node, f"{other.address}:1") == from_node(other, f"{node.address}:1") == REFUSED

    node.cut_off()
    node.cut_off()

    assert from_node(node, f"{other.address}:1") == from_node(other, f"{node.address}:1") == SILENT
    assert from_outside(lab, f"{node.address}:8080") == SILENT
    assert "refused" not in node.run(ask_from_task, check=False, quiet=True).stderr
    assert node.run("docker ps --format {{.Names}}", quiet=True).stdout == "task\n"  # its own engine works on

    node.reconnect()
    node.reconnect()

    assert from_node(node, f"{other.address}:1") == REFUSED
    assert from_outside(lab, f"{node.address}:8080") == 0


def test_the_swarm_heals_round_a_node_that_is_cut_off_and_takes_it_back(swarm: Lab) -> None:
    manager, node = swarm.node("manager1"), swarm.node("worker2")
    manager.run("docker service create -d --name web --replicas 3 web:1", quiet=True)
    swarm.wait(checks.running("web", 3), timeout=90)
    assert node.run("docker ps -q", quiet=True).stdout

    node.cut_off()
    snapshot = swarm.wait(checks.node_down("worker2"), checks.running("web", 3), timeout=90)
    runs = {task.node for task in snapshot.tasks if task.desired_state == "running"}
    assert runs == {"manager1", "worker1"}
    assert node.run("docker ps -q", quiet=True).stdout  # nobody could tell it to stop its task

    node.reconnect()
    swarm.wait(checks.nodes_ready(3), timeout=90)
    eventually(lambda: not node.run("docker ps -q", quiet=True).stdout, "the end of the stale task")


def test_another_manager_leads_when_the_leader_is_cut_off(swarm: Lab) -> None:
    swarm.node("manager1").run("docker node promote worker1 worker2", quiet=True)
    swarm.wait(checks.managers(3), checks.manager_status("manager1", "leader"))
    swarm.node("manager1").cut_off()
    other = swarm.node("worker1")
    show_leaders = "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}' | grep Leader"

    def leader() -> str:
        return other.run(show_leaders, check=False, quiet=True).stdout.partition(" ")[0]

    assert eventually(lambda: leader() in ("worker1", "worker2"), "another leader", seconds=90)
    swarm.node("manager1").reconnect()
    swarm.wait(checks.managers(3), checks.nodes_ready(3), timeout=90)


@every_fault
def test_a_fault_is_applied_seen_and_undone(lab: Lab, fault: Fault) -> None:
    node = lab.node("worker1")
    assert node.fault is None
    faults.apply(node, fault)
    assert node.fault == fault.state
    faults.apply(node, fault)  # twice is as good as once
    faults.undo(node)
    assert node.fault is None
    assert node.run("docker info", quiet=True).exit_code == 0
    faults.undo(node)


@every_fault
def test_the_commands_that_are_shown_do_it_and_undo_it(lab: Lab, fault: Fault) -> None:
    node = lab.node("worker1")
    if not fault.on_node and not shutil.which("docker"):
        pytest.skip("no docker command on this machine")

    def type_in(commands: tuple[str, ...]) -> None:
        for command in commands:
            if fault.on_node:
                node.run(command, quiet=True)
            else:
                subprocess.run(command.split(), check=True, capture_output=True, timeout=60)

    type_in(fault.commands(node))
    assert node.fault == fault.state
    type_in(fault.undo_commands(node))
    assert node.fault is None
    node.wait_ready()


def test_a_node_has_one_fault_at_a_time(lab: Lab) -> None:
    node = lab.node("worker1")
    faults.apply(node, faults.PAUSE)
    with pytest.raises(LabError, match="worker1 is already paused") as caught:
        faults.apply(node, faults.STOP)
    assert caught.value.next_step == f"bring it back first: docker unpause {node.container.name}"


def test_undo_takes_what_came_by_hand_too(lab: Lab) -> None:
    node = lab.node("worker1")
    for _ in range(2):
        node.run("iptables -t mangle -A PREROUTING -i eth0 -j DROP", quiet=True)
    assert node.fault == "cut off"
    node.pause()
    assert node.fault == "paused"
    faults.undo(node)
    assert node.fault is None
    assert "DROP" not in node.run("iptables -t mangle -S", quiet=True).stdout


@pytest.mark.parametrize(
    "restore",
    [
        Lab.reset,
        lambda lab: lab.up(reporter=ProgressReporter(quiet=True)),
        lambda lab: lab.begin("join-and-manage-nodes", yes=True),
    ],
    ids=["reset", "up", "begin"],
)
def test_faults_end_by_themselves(lab: Lab, restore: Callable[[Lab], object]) -> None:
    manager, worker1, worker2 = lab.nodes.values()
    manager.cut_off()
    worker1.cut_off()
    worker1.pause()
    faults.apply(worker2, faults.KILL)
    restore(lab)
    assert [node.fault for node in lab.nodes.values()] == [None, None, None]
    assert from_node(worker1, f"{manager.address}:1") == REFUSED


def test_reset_heals_a_member_of_a_swarm(swarm: Lab) -> None:
    node = swarm.node("worker1")
    node.cut_off()
    swarm.reset()
    assert node.fault is None
    assert checks.swarm_inactive()(swarm.snapshot())
