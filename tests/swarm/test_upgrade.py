"""Nodes of other Docker versions: choosing, upgrading, and what an interrupted upgrade leaves."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from labkit import Lab, checks
from labkit.cluster.node import Node
from labkit.images.engines import ALLOW_EXPIRED
from labkit.observe.traffic import client_host
from labkit.topology import topology
from labkit.transport.attach import Execution
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from tests.helpers import eventually, labkit, spawn, wait_for_line

pytestmark = [pytest.mark.engine, pytest.mark.alone]

QUIET = ProgressReporter(quiet=True)
REPLICAS = 4
# Each node's way in, as an operator has one beside Swarm's tasks: it stays while the node is drained.
ENTRY = r"""
docker rm --force entry >/dev/null 2>&1 || :
docker run --detach --name entry --network shop --publish 8080:80 nginx:latest sh -c '
cat >/etc/nginx/conf.d/default.conf <<END
server {
    listen 80;
    resolver 127.0.0.11 valid=1s ipv6=off;
    location / {
        set \$web web;
        proxy_pass http://\$web;
        proxy_connect_timeout 1s;
        proxy_next_upstream error timeout;
    }
}
END
exec nginx -g "daemon off;"' >/dev/null
"""
# A line for each request, at the nodes of the rotation in turn; each change of the rotation has a number.
ASK = r"""
exec 3<&0
{ cat >/dev/null; kill 0; } <&3 &
while read -r change nodes </tmp/rotation; do
    for node in $nodes; do
        answer=$(curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' http://${node#*=}:8080/json)
        echo "$change ${node%=*} $answer"
    done
done
"""


class Rotation:
    """Requests from outside, at the nodes that are in the rotation in turn."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.answers = lab, list[tuple[int, str, str]]()
        self._names, self._change, self._rest = list(lab.nodes), 0, b""
        self._write()
        self._process: Execution = client_host.start(lab.context, ASK)
        self._process.settimeout(30)

    def _write(self) -> None:
        self._change += 1
        nodes = " ".join(f"{name}={self.lab.node(name).address}" for name in self._names)
        write = f"echo {self._change} {nodes} >/tmp/new && mv /tmp/new /tmp/rotation"
        client_host.start(self.lab.context, write).read_frame()

    def settled(self) -> None:
        """Take the answers up to three rounds of the rotation as it is now, and some that were sent later."""
        self._read(len(self.answers) + 3 * len(self._names))
        while sum(change == self._change for change, _, _ in self.answers) < 3 * len(self._names):
            self._read(len(self.answers) + 1)

    def _read(self, count: int) -> None:
        while len(self.answers) < count:
            frame = self._process.read_frame()
            assert frame, "the client that sends the requests has ended"
            *lines, self._rest = (self._rest + frame[1]).split(b"\n")
            for line in lines:
                change, name, answer = line.decode().split()
                self.answers.append((int(change), name, answer))

    def leave(self, name: str) -> None:
        self._names.remove(name)
        self._write()
        self.settled()

    def back(self, name: str) -> None:
        self._names.append(name)
        self._write()
        self.settled()
        assert name in {node for change, node, _ in self.answers if change == self._change}

    @property
    def lost(self) -> list[tuple[int, str, str]]:
        return [answer for answer in self.answers if answer[2] != "200"]

    def close(self) -> None:
        self._process.close()


@pytest.fixture(autouse=True)
def _expired_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror may be a copy whose Release file has expired, which is fine for tests."""
    monkeypatch.setenv(ALLOW_EXPIRED, "1")


@pytest.fixture
def one_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes new labs have one node, with these options for its engine."""

    def use(*options: str) -> None:
        document = yaml.safe_load(topology.default_path().read_text())
        for name in ("worker1", "worker2"):
            del document["services"][name], document["volumes"][name]
        document["services"]["manager1"]["command"] += options
        (tmp_path / "lab.yml").write_text(yaml.safe_dump(document))
        monkeypatch.setenv("LABKIT_TOPOLOGY", str(tmp_path / "lab.yml"))

    return use


def versions(lab: Lab) -> dict[str, str]:
    """The engines' versions without their last number, in their own words."""
    report = json.loads(labkit("status", "--json", "--lab", lab.name).stdout)
    return {node["name"]: node["docker"].rpartition(".")[0] for node in report["nodes"]}


def on(node: Node, command: str) -> str:
    return node.run(command, quiet=True, timeout=120).stdout.strip()


STORES = {
    "overlay2": ("26.1", (), "overlay2"),
    "vfs": ("26.1", ("--storage-driver=vfs",), "vfs"),
    "containerd": ("28.5", ("--feature=containerd-snapshotter=true",), "overlayfs"),
}
STORE_MARKS = {"containerd": (pytest.mark.engines,)}
USED = r"""
docker network create own >/dev/null
docker volume create own >/dev/null
for name in one two; do
    docker run --detach --restart always --network own --volume own:/data --volume /more \
        --name $name web:1 >/dev/null
done
docker run --name ended web:1 true
docker create --name created web:1 >/dev/null
docker exec one sh -c 'head -c 3000000 /dev/zero >/data/file; head -c 8000000 /dev/zero >/file'
docker swarm init >/dev/null
docker service create --quiet --detach --name s --replicas 2 web:1 >/dev/null
"""


# An engine without the plugin waits 15 s for it when it finds a container with such a volume.
PLUGGED = """
docker plugin install --grant-all-permissions --alias rclone registry:5000/rclone:1 >/dev/null
docker volume create --driver rclone --opt remote=storage:plugged plugged >/dev/null
docker run --detach --restart always --volume plugged:/data web:1 >/dev/null
"""


@pytest.mark.parametrize(
    ("version", "options", "driver"),
    [pytest.param(*store, marks=STORE_MARKS.get(name, ()), id=name) for name, store in STORES.items()],
)
def test_reset_leaves_nothing_but_images_whatever_the_storage(
    one_node: Callable[..., None],
    new_lab: Callable[[], Lab],
    version: str,
    options: tuple[str, ...],
    driver: str,
) -> None:
    one_node(*options)
    lab = new_lab().up(docker=version, reporter=QUIET)
    node = lab.node("manager1")
    assert node.api.info()["Driver"] == driver
    on(node, "docker pull --quiet web:1 && docker pull --quiet nginx:latest")
    images = {image["Id"] for image in node.api.images()}
    on(node, PLUGGED)
    sizes = []
    for _ in range(5):
        on(node, USED)
        eventually(lambda: len(node.api.containers()) >= 4, "four running containers")
        started = node.container.attrs["State"]["StartedAt"]
        lab.reset()
        assert node.container.attrs["State"]["StartedAt"] > started  # cleaned, not created again
        assert node.api.containers(all=True) == []
        assert node.api.volumes()["Volumes"] in (None, [])
        assert {network["Name"] for network in node.api.networks()} == {"bridge", "host", "none"}
        assert node.api.plugins() == []
        assert node.api.info()["Swarm"]["LocalNodeState"] == "inactive"
        assert {image["Id"] for image in node.api.images()} == images
        assert on(node, "ls /var/lib/docker/containers") == ""
        sizes.append(int(on(node, "du -sk /var/lib/docker").split()[0]))
    assert max(sizes) - min(sizes) < 512, sizes  # KiB; each round has written more than 11,000


@pytest.mark.engines
def test_a_node_is_upgraded_in_place_and_never_goes_back(
    one_node: Callable[..., None], new_lab: Callable[[], Lab]
) -> None:
    one_node()
    lab = new_lab().up(swarm=True, docker="20.10", reporter=QUIET)
    node = lab.node("manager1")
    identity, address = on(node, "docker info --format '{{.Swarm.NodeID}}'"), node.address
    on(node, "docker config create kept - <<<text && docker volume create kept && docker pull --quiet web:1")
    assert versions(lab) == {"manager1": "20.10"}
    with pytest.raises(LabError, match=r"exists and runs Docker 20\.10") as refused:
        lab.up(docker="26.1", reporter=QUIET)
    assert "upgrade manager1 --docker 26.1" in refused.value.next_step

    # Killed when the old container is gone, or nearly; then completed.
    process = spawn("upgrade", "manager1", "--docker", "26.1", "--lab", lab.name)
    wait_for_line(process, "starting it with the new engine|shutting the node down", 120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    done = labkit("upgrade", "manager1", "--docker", "26.1", "--lab", lab.name)
    assert done.returncode == 0, done.stderr
    assert versions(lab) == {"manager1": "26.1"}

    node = lab.node("manager1")
    node.upgrade("28.5")
    assert versions(lab) == {"manager1": "28.5"}
    assert on(node, "docker info --format '{{.Swarm.NodeID}}'") == identity  # the object follows its node
    assert node.address == address
    assert on(node, "docker config ls --format '{{.Name}}'; docker volume ls --quiet") == "kept\nkept"
    assert "web" in on(node, "docker images --format '{{.Repository}}'")

    refusal = labkit("upgrade", "manager1", "--docker", "26.1", "--lab", lab.name)
    assert refusal.returncode == 1
    assert "runs Docker 28.5, and a node can't go back to 26.1" in refusal.stderr
    assert "--fresh" in refusal.stderr
    lab.reset()
    assert versions(lab) == {"manager1": "28.5"}  # `reset` keeps the choice


@pytest.mark.engines
def test_a_wiped_node_may_be_older_and_rejoins_its_swarm(new_lab: Callable[[], Lab]) -> None:
    lab = new_lab().up(swarm=True, docker="28.5", reporter=QUIET)
    on(lab.node("worker1"), "docker volume create gone")
    before = {node.name: node.id for node in lab.snapshot().nodes}
    done = labkit("upgrade", "worker1", "--docker", "26.1", "--fresh", "--lab", lab.name)
    assert done.returncode == 0, done.stderr
    assert versions(lab) == {"manager1": "28.5", "worker1": "26.1", "worker2": "28.5"}
    after = lab.wait(checks.nodes_ready(3), timeout=60).nodes
    assert sorted(node.name for node in after) == sorted(before)  # its old entry is gone
    assert [node.name for node in after if node.id != before[node.name]] == ["worker1"]
    assert on(lab.node("worker1"), "docker volume ls --quiet") == ""


@pytest.mark.engines
def test_a_swarm_is_upgraded_node_by_node_and_loses_no_request(new_lab: Callable[[], Lab]) -> None:
    lab = new_lab().up(swarm=True, docker="20.10", reporter=QUIET)
    manager = lab.node("manager1")
    on(manager, "docker node promote worker1 worker2")
    lab.wait(checks.managers(3), timeout=60)
    on(manager, "docker network create --driver overlay --attachable shop")
    web = f"--name web --replicas {REPLICAS} --endpoint-mode dnsrr --network shop"
    on(manager, f"docker service create --detach {web} web:1")
    lab.wait(checks.running("web", REPLICAS), timeout=120)
    for node in lab.nodes.values():
        on(node, ENTRY)
    for name in lab.nodes:
        _answers(lab, name)
    rotation = Rotation(lab)
    try:
        rotation.settled()
        for version in ("26.1", "28.5"):
            for name in _leader_last(lab):
                _upgrade(lab, name, version, rotation)
        rotation.settled()
    finally:
        rotation.close()
    print(f"{len(rotation.answers)} requests, {len(rotation.lost)} lost")
    assert versions(lab) == dict.fromkeys(lab.nodes, "28.5")
    assert len(rotation.answers) >= 500
    assert rotation.lost == []


def _upgrade(lab: Lab, name: str, version: str, rotation: Rotation) -> None:
    helper = next(other for other in lab.nodes.values() if other.name != name)
    on(helper, f"docker node update --availability drain {name}")
    _while_asking(rotation, lambda: _drained(lab, name))
    rotation.leave(name)  # no request is on its way to it any more
    lab.node(name).upgrade(version)
    lab.wait(checks.managers(3), timeout=60)
    on(helper, f"docker node update --availability active {name}")
    on(lab.node(name), ENTRY)
    _answers(lab, name)
    rotation.back(name)


def _drained(lab: Lab, name: str) -> bool:
    snapshot = lab.snapshot()
    running = snapshot.running("web")
    return len(running) == REPLICAS and all(task.node != name for task in running)


def _while_asking(rotation: Rotation, done: Callable[[], bool]) -> None:
    for _ in rotation.lab.context.deadline(120).attempts():
        rotation.settled()
        if done():
            return
    raise AssertionError(f"{rotation.lab.snapshot().tasks}")


def _answers(lab: Lab, name: str) -> None:
    """Wait until requests that enter at a node are answered."""
    ask = f"curl --silent --fail --max-time 3 --output /dev/null http://{lab.node(name).address}:8080/json"
    node = next(other for other in lab.nodes.values() if other.name != name)
    eventually(lambda: node.run(ask, check=False, quiet=True).exit_code == 0, f"an answer at {name}", 60)


def _leader_last(lab: Lab) -> Iterator[str]:
    """The nodes, with the one last that leads now."""
    leader = next(node.name for node in lab.snapshot().nodes if node.manager_status == "leader")
    yield from (name for name in lab.nodes if name != leader)
    yield leader
