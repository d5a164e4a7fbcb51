"""Services as these tests run them, and requests to them from outside the swarm."""

from labkit import Lab, checks, load
from labkit.cluster.node import Node
from labkit.observe.traffic.answers import Answer
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Snapshot
from tests.helpers import eventually

TELL = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"
# In place of the image's probe every 2 s, which costs an emulated processor more than that: often while the
# task starts, seldom after.
HEALTH = "--health-start-interval 1s --health-start-period 1m --health-interval 1m --health-timeout 30s"

# For the answer to a request. A connection that a full backlog or a path that is not there yet has delayed is
# slow, not lost, and an emulated processor that starts tasks meanwhile is slower still.
PATIENCE = 30.0


def on(node: Node, command: str) -> str:
    """What a command on a node prints; the report of a test that fails shows both."""
    print(f"{node.name}$ {command}")
    return node.run(command).stdout


def deploy(lab: Lab, name: str, tasks: int, options: str) -> None:
    """Run a service until `tasks` of it run."""
    on(lab.node("manager1"), f"docker service create --quiet --detach --name {name} {options}")
    lab.wait(checks.running(name, tasks), timeout=60)


def container(node: Node, task: str) -> str:
    """The ID of a task's container, such as that of `web.2`, on its node."""
    return on(node, f"docker ps --quiet --filter name=^{task}\\\\.").strip()


def ask(lab: Lab, port: int, requests: int) -> list[Answer]:
    """Send requests to each node, from outside the swarm."""
    return load.send(list(lab.nodes.values()), port, requests, patience=PATIENCE)


def clear(lab: Lab) -> None:
    """Remove every service and every network of the swarm but its own, and wait until they are gone."""
    manager = lab.node("manager1")
    on(manager, "docker service ls --quiet | xargs --no-run-if-empty docker service rm")
    networks = [network.name for network in lab.wait(_no_tasks).networks if not network.ingress]
    if networks:
        remove = f"docker network rm {' '.join(networks)}"
        eventually(lambda: manager.run(remove, check=False).exit_code == 0, "the end of the networks")


def _no_tasks(snapshot: Snapshot) -> Verdict:
    return Verdict(not snapshot.tasks, f"tasks left: {', '.join(task.name for task in snapshot.tasks)}")
