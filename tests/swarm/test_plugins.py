"""Storage and plugins: installed by plain commands, and what they keep follows the tasks."""

import re

import pytest

from labkit import Lab, checks
from labkit.transport.commands import Result
from labkit.util.console import ProgressReporter
from labkit.util.parallel import in_parallel
from tests.helpers import eventually

pytestmark = pytest.mark.engine

RCLONE = "docker plugin install --grant-all-permissions --alias rclone registry:5000/rclone:1"
LOGS = "docker plugin install --grant-all-permissions --alias webdav-log registry:5000/webdav-log"
COUNTER = """
docker service create --quiet --update-monitor 1s --name counter --constraint node.role==worker \\
    --network data --endpoint-mode dnsrr \\
    --mount type=volume,target=/data,source=numbers,volume-driver=rclone,volume-opt=remote=storage:numbers \\
    counter
"""
WRITES = 1000
# One number after the other until each is acknowledged; a refused or lost one is sent again.
WRITER = r"""
n=1
while [ $n -le %d ]; do
    if curl --silent --show-error --fail --max-time 5 --output /dev/null --data $n http://counter/; then
        echo $n
        n=$((n + 1))
    else
        sleep 0.1
    fi
done
"""


def on(lab: Lab, node: str, command: str, timeout: float = 60) -> str:
    return lab.node(node).run(command, quiet=True, timeout=timeout).stdout.strip()


def on_all(lab: Lab, command: str) -> list[Result]:
    results: list[Result] = []
    in_parallel(lambda node: results.append(node.run(command, quiet=True)), lab.nodes.values())
    return results


def stored(lab: Lab, path: str) -> str:
    """What the storage holds at a path, read as anybody reads it: over HTTP."""
    return on(
        lab, "manager1", f"curl --silent --fail --retry 9 --retry-all-errors http://storage:8080/{path}"
    )


def form(lab: Lab, plugin: str) -> Lab:
    """Make a swarm of nodes that have a plugin: of later ones it learns only after some 20 s (swarmkit)."""
    on_all(lab, plugin)
    return lab.up(swarm=True, reporter=ProgressReporter(quiet=True))


@pytest.fixture
def counter(lab: Lab) -> Lab:
    """A swarm with a service `counter` on a worker that writes to a volume of the storage."""
    form(lab, RCLONE)
    on(lab, "manager1", "docker network create --driver overlay --attachable data")
    on(lab, "manager1", COUNTER)
    return lab


def written(lab: Lab) -> int:
    """How many writes the writer has had acknowledged."""
    return int(on(lab, "manager1", "docker logs writer 2>/dev/null | wc -l"))


def home(lab: Lab) -> str:
    """The node where the counter's task runs."""
    [node] = on(
        lab,
        "manager1",
        "docker service ps counter --filter desired-state=running --format '{{.Node}}'",
    ).splitlines()
    return node


def test_a_plugin_lives_as_on_any_docker(lab: Lab) -> None:
    worker = lab.node("worker1")
    refused = worker.run("docker plugin install registry:5000/rclone:1 </dev/null", check=False, quiet=True)
    assert refused.exit_code
    assert "[CAP_SYS_ADMIN]" in refused.stdout  # the privileges that it wants are shown

    assert "Installed plugin" in worker.run(RCLONE, quiet=True).stdout
    listed = "docker plugin ls --no-trunc --format '{{.Name}} {{.Description}} {{.Enabled}}'"
    assert on(lab, "worker1", listed) == "rclone:latest Volumes on anything rclone reaches (version 1) true"

    busy = worker.run("docker plugin set rclone RCLONE_VERBOSE=1", check=False, quiet=True)
    assert "cannot set on an active plugin" in busy.stderr
    on(lab, "worker1", "docker plugin disable rclone; docker plugin set rclone RCLONE_VERBOSE=1")
    assert on(lab, "worker1", listed).endswith("false")
    upgrade = (
        "docker plugin upgrade --skip-remote-check --grant-all-permissions rclone registry:5000/rclone:2"
    )
    on(lab, "worker1", f"{upgrade}; docker plugin enable rclone")
    assert on(lab, "worker1", listed) == "rclone:latest Volumes on anything rclone reaches (version 2) true"
    inspected = on(
        lab, "worker1", "docker plugin inspect rclone --format '{{.Settings.Env}} {{.PluginReference}}'"
    )
    assert "RCLONE_VERBOSE=1" in inspected  # settings outlive the upgrade
    assert inspected.endswith("registry:5000/rclone:2")

    on(lab, "worker1", "docker plugin disable rclone; docker plugin rm rclone")
    assert on(lab, "worker1", "docker plugin ls --quiet") == ""


def test_two_types_of_plugins_stand_side_by_side(lab: Lab) -> None:
    on(lab, "worker1", f"{RCLONE}; {LOGS}")
    types = on(
        lab, "worker1", "docker plugin inspect rclone webdav-log --format '{{.Config.Interface.Types}}'"
    )
    assert types.split() == ["[docker.volumedriver/1.0]", "[docker.logdriver/1.0]"]
    listed = on(lab, "worker1", "docker plugin ls --format '{{.Name}} {{.Enabled}}'")
    assert sorted(listed.splitlines()) == ["rclone:latest true", "webdav-log:latest true"]


@pytest.mark.core
def test_a_volume_is_one_for_all_nodes(lab: Lab) -> None:
    on_all(lab, RCLONE)
    on_all(lab, "docker volume create --driver rclone --opt remote=storage:shared shared")
    on(lab, "worker1", "docker run --rm -v shared:/data alpine sh -c 'echo from worker1 >/data/note'")
    assert on(lab, "worker2", "docker run --rm -v shared:/data alpine cat /data/note") == "from worker1"
    assert stored(lab, "shared/note") == "from worker1"


def test_data_follows_its_task(counter: Lab) -> None:
    """1,000 numbered writes while nodes are drained under them: every acknowledged one is kept."""
    on(counter, "manager1", f"docker run -d --name writer --network data toolbox sh -c '{WRITER % WRITES}'")
    drained: list[str] = []
    for at in (WRITES // 4, WRITES // 2):
        eventually(lambda at=at: written(counter) >= at, f"write {at}", 120)
        if drained:
            on(counter, "manager1", f"docker node update --availability active {drained[-1]}")
        drained.append(home(counter))
        on(counter, "manager1", f"docker node update --availability drain {drained[-1]}")
    assert on(counter, "manager1", "docker wait writer", timeout=120) == "0"
    assert drained[0] != drained[1]
    assert home(counter) not in drained[-1]
    acknowledged = on(counter, "manager1", "docker logs writer 2>/dev/null").split()
    assert len(acknowledged) == WRITES
    kept = on(counter, "manager1", "docker run --rm --network data toolbox curl -s http://counter/").split()
    assert set(acknowledged) - set(kept) == set()
    assert stored(counter, "numbers/lines").split() == kept


def test_a_node_that_lost_power_mounts_its_volumes_again(counter: Lab) -> None:
    def write(line: str) -> str:
        return on(
            counter,
            "manager1",
            f"docker run --rm --network data toolbox curl -sS --retry 9 -d {line} counter",
        )

    assert write("before") == "1"
    node = counter.node(home(counter))
    node.kill()
    node.start()
    assert on(counter, node.name, "docker plugin ls --format '{{.Enabled}}'") == "true"
    counter.wait(checks.nodes_ready(3), checks.running("counter", 1))
    assert int(write("after")) >= 2
    assert stored(counter, "numbers/lines").splitlines()[0] == "before"


def test_logs_of_a_service_reach_the_storage(lab: Lab) -> None:
    swarm = form(lab, LOGS)
    on(
        swarm,
        "manager1",
        "docker service create --quiet --name talker --replicas 3 --restart-condition none --detach "
        "--log-driver webdav-log alpine sh -c 'for n in $(seq 200); do echo line $n; done; sleep infinity'",
    )
    swarm.wait(checks.running("talker", 3))

    def complete() -> list[str]:
        files = re.findall(r'href="([^"/]+\.log)"', stored(swarm, "logs/talker/"))
        texts = [stored(swarm, f"logs/talker/{file}") for file in files]
        return texts if len(texts) == 3 and all("line 200" in text for text in texts) else []

    for text in eventually(complete, "three whole logs"):
        assert re.findall(r"line (\d+)$", text, re.MULTILINE) == [str(n) for n in range(1, 201)]
    logs = on(swarm, "manager1", "timeout 20 docker service logs --raw talker")
    assert logs.count("line 200") == 3  # the engine's own cache answers docker logs


@pytest.mark.core
def test_reset_leaves_no_plugin_no_volume_no_stored_file(counter: Lab) -> None:
    on(counter, "manager1", "docker run --rm --network data toolbox curl -sS -d 1 counter")
    counter.reset()
    for result in on_all(counter, "docker plugin ls -q; docker volume ls -q; docker ps -aq; ls -A /lab"):
        assert result.stdout == ""
    assert "numbers" not in stored(counter, "")
