"""`labkit support` of a real lab: everything about its nodes, and none of the swarm's secrets."""

import json
import tarfile
from pathlib import Path

import pytest

from labkit import Lab
from tests.helpers import labkit

pytestmark = pytest.mark.engine


def read(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name.partition("/")[2]: content.read().decode() for name, content in found.items() if content}


def test_the_archive_has_every_nodes_log_and_no_join_token(swarm: Lab, tmp_path: Path) -> None:
    node = swarm.node("manager1")
    token = node.run("docker swarm join-token --quiet worker", quiet=True).stdout.strip()
    assert token.startswith("SWMTKN-1-")
    node.run(f"echo 'joining with {token}' >/proc/1/fd/1")
    assert token in node.logs()
    state = tmp_path / "state"
    (state / "engine").mkdir(parents=True)
    (state / "engine/dockerd.log").write_text(token)
    file = tmp_path / "report.tar.gz"
    swarm.node("worker2").pause()
    try:
        done = labkit("support", str(file), "--lab", swarm.name, LABKIT_STATE_DIR=str(state))
    finally:
        swarm.node("worker2").unpause()
    assert (done.returncode, done.stderr) == (0, "")
    files = read(file)
    assert "joining with SWMTKN-1-…" in files["logs/manager1.log"]
    assert {
        f"logs/{name}.log" for name in ("manager1", "worker1", "worker2", "registry", "storage")
    } <= files.keys()
    assert json.loads(files["containers.json"])["worker2"]["State"]["Paused"] is True
    assert json.loads(files["nodes/manager1.json"])["version"]["Version"]
    assert {node["name"] for node in json.loads(files["status.json"])["nodes"]} == {
        "manager1",
        "worker1",
        "worker2",
    }
    assert json.loads(files["swarm.json"])["nodes"]
    assert json.loads(files["doctor.json"])["probes"]
    assert "Keys:[[" in node.logs()  # the engine's own: what encrypts the gossip between the nodes
    assert not [name for name, text in files.items() if token in text or "Keys:[[" in text]
