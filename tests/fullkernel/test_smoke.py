"""The full kernel in short: a resumed virtual machine with routing mesh, virtual addresses and encryption."""

from collections import Counter
from collections.abc import Iterator

import pytest

from labkit import Lab, load
from labkit.engine import vm_lifecycle
from labkit.util.console import ProgressReporter
from tests.fullkernel.conftest import LAB
from tests.fullkernel.swarm.services import PATIENCE, TELL, deploy, on
from tests.helpers import eventually

pytestmark = [pytest.mark.fullkernel, pytest.mark.smoke]

QUIET = ProgressReporter(quiet=True)
PORT = 8080
TASKS = {"web.1", "web.2"}
NO_PROBES = "--no-healthcheck --constraint node.role==worker"  # each costs an emulated processor seconds


@pytest.fixture(scope="module")
def swarm() -> Iterator[Lab]:
    """A swarm that goes on from where an earlier `up --swarm` was saved."""
    lab = Lab(f"{LAB}-smoke", engine="vm")
    lab.up(swarm=True, reporter=QUIET)
    lab.down()
    yield lab.up(swarm=True, reporter=QUIET)
    lab.down()
    for machine in lab.context.vms():
        machine.home.delete_state()


def test_a_resumed_machine_has_mesh_virtual_addresses_and_encryption(swarm: Lab) -> None:
    found = vm_lifecycle.report(swarm.context)
    assert found and found["resumed"] == "swarm"
    assert swarm.supports("mesh") and swarm.supports("encryption")
    on(swarm.node("manager1"), "docker network create --driver overlay --opt encrypted sealed")
    deploy(swarm, "web", 2, f"--replicas 2 --network sealed --publish {PORT}:80 {NO_PROBES} {TELL} web:1")
    deploy(swarm, "client", 1, "--network sealed --constraint node.role==manager toolbox")

    # The mesh: every node answers, the one without a task too, and by every task.
    wanted = {(node, task) for node in swarm.nodes for task in TASKS}

    def answers() -> set[tuple[str, str]]:
        nodes = list(swarm.nodes.values())
        return {(a.entered, a.answered) for a in load.send(nodes, PORT, len(TASKS), patience=PATIENCE)}

    eventually(lambda: answers() == wanted, "an answer of every task at every node", seconds=60)

    # The virtual address: one name, one address, both tasks in turn.
    ask = "docker exec $(docker ps --quiet --filter name=client) curl --silent --max-time 30 http://web/json"
    said = [on(swarm.node("manager1"), ask) for _ in range(4)]
    counted = Counter(line.split('"slot":')[1].split(",")[0].strip(' "') for line in said)
    assert counted == {"1": 2, "2": 2}, said

    # Encryption: packets to both workers went through ESP.
    states = on(swarm.node("manager1"), "ip -statistics xfrm state")
    assert states.count("proto esp") >= 4, states  # a way out and a way in for each worker
