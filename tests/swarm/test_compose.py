"""Compose and labkit read the same file the same way, and each can take over from the other."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import Lab, checks
from labkit.topology import seccomp, topology
from labkit.transport.commands import run_on
from labkit.util.console import ProgressReporter
from tests import compose
from tests.helpers import labkit, leftovers

pytestmark = pytest.mark.engine
NET = "172.30.190"


@pytest.fixture(scope="session")
def docker_compose(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Docker Compose on the topology file for a lab, and returns what it prints."""
    program = compose.binary(tmp_path_factory.mktemp("compose"))

    def run(lab: str, *arguments: str) -> str:
        done = subprocess.run(
            [program, "-f", topology.default_path(), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "LABKIT_LAB": lab, "LABKIT_NET": NET},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def parsed(option: str) -> object:
    """A seccomp profile as data, since Compose spaces its JSON in another way; other options as they are."""
    name, _, value = option.partition("=")
    return json.loads(value) if name == "seccomp" else option


def test_labkit_reads_the_file_as_compose_does(docker_compose: Callable[..., str]) -> None:
    theirs = json.loads(docker_compose("other", "config", "--format", "json"))
    ours = topology.load(env={"LABKIT_LAB": "other", "LABKIT_NET": NET})
    assert ours.lab == theirs["name"]
    assert [str(ours.subnet)] == [config["subnet"] for config in theirs["networks"]["lab"]["ipam"]["config"]]
    assert ours.network == theirs["networks"]["lab"]["name"]
    assert ours.volumes == {entry["name"]: entry["labels"] for entry in theirs["volumes"].values()}
    assert {service.name for service in ours.services} == set(theirs["services"])
    for service in ours.services:
        other = theirs["services"][service.name]
        assert (service.image, service.hostname) == (other["image"], other["hostname"])
        assert service.container_name == other["container_name"]
        assert service.labels == other["labels"]
        assert service.address == other["networks"]["lab"]["ipv4_address"]
        assert list(service.command) == (other["command"] or [])
        assert service.environment == other.get("environment", {})
        assert ["CMD", *service.ready] == other["healthcheck"]["test"]
        for key in ("dns", "cap_add", "cap_drop", "device_cgroup_rules", "tmpfs"):
            assert list(getattr(service, key)) == other.get(key, []), f"{service.name}: {key}"
        folder = (
            topology.default_path().parent
        )  # Compose resolves a profile's path only when it starts something
        assert list(service.security_opt) == [
            seccomp.with_path(option, folder) for option in other["security_opt"]
        ]
        assert service.cgroup == other.get("cgroup")
        assert service.memory == int(other["mem_limit"])
        assert service.pids_limit == other["pids_limit"]
        limits = {name: (each["soft"], each["hard"]) for name, each in other.get("ulimits", {}).items()}
        assert service.ulimits == limits
        assert service.log_driver == other["logging"]["driver"]
        assert str(service.build) == other["build"]["context"]
        assert service.build_args == other["build"].get("args", {})
        assert list(service.volumes) == [
            (
                theirs["volumes"][mount["source"]]["name"] if mount["type"] == "volume" else mount["source"],
                mount["target"],
                "ro" if mount.get("read_only") else "rw",
            )
            for mount in other["volumes"]
        ]


def test_a_lab_that_compose_started_is_labkits_too(
    docker_compose: Callable[..., str], new_lab: Callable[[], Lab], lab: Lab
) -> None:
    theirs = new_lab()
    assert lab.nodes  # the shared lab has built the image; compose would build it from Docker Hub's base
    docker_compose(theirs.name, "up", "-d", "--wait")
    for node in topology.load().nodes:
        made = theirs.node(node.name).container.attrs["HostConfig"]["SecurityOpt"]
        assert list(map(parsed, made)) == list(map(parsed, node.api_security_opt))
    report = json.loads(labkit("status", "--json", "--lab", theirs.name).stdout)
    assert [node["name"] for node in report["nodes"]] == ["manager1", "worker1", "worker2"]
    assert report["running"] is True
    pull = "docker pull -q web:1 && docker pull -q alpine"
    for result in run_on(list(theirs.nodes.values()), pull, sink=None):
        assert result.stdout.split() == ["docker.io/library/web:1", "docker.io/library/alpine:latest"]
    theirs.up(swarm=True, reporter=ProgressReporter(quiet=True))
    theirs.wait(checks.nodes_ready(3))
    assert labkit("down", "--lab", theirs.name).returncode == 0
    assert leftovers(theirs.name) == []


def test_a_typo_is_reported_with_all_other_problems(tmp_path: Path) -> None:
    text = topology.default_path().read_text()
    text = (
        text.replace("pids_limit: 4096", "pids_limt: 4096")
        .replace(".22}", ".21}")
        .replace("mem_limit: 2g", "mem_limit: 2 GB")
    )
    (tmp_path / "typo.yml").write_text(text)
    done = labkit("up", "--lab", "typo", LABKIT_TOPOLOGY=str(tmp_path / "typo.yml"))
    assert done.returncode == 1
    assert "services.worker1.pids_limt: unknown key; did you mean 'pids_limit'?" in done.stderr
    assert "services.worker1.mem_limit: expected a size such as 512m or 2g" in done.stderr
    assert leftovers("typo") == []
