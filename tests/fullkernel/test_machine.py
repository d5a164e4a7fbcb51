"""The virtual machine itself: what it may do, how it ends, how it comes back."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest

from labkit import Lab
from labkit.engine.find import connect, own_engine
from tests.fullkernel.conftest import LAB
from tests.helpers import eventually, labkit, spawn, wait_for_line

pytestmark = [pytest.mark.fullkernel, pytest.mark.engine]

OTHER = f"{LAB}-2"
UP_SECONDS = 400.0


@pytest.fixture(scope="module")
def own() -> Iterator[docker.DockerClient]:
    """A client of the engine that runs the machines."""
    with closing(connect(own_engine())) as client:
        yield client


@pytest.fixture(scope="module")
def machine(full_lab: Lab) -> Iterator[str]:
    """A lab with bare nodes on a machine; the name of its container."""
    up(full_lab.name)
    yield f"{full_lab.name}-machine"
    full_lab.down()


def up(lab: str, *arguments: str) -> str:
    done = labkit("up", "--engine", "vm", "--lab", lab, *arguments, timeout=UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def forget(own: docker.DockerClient, lab: str) -> None:
    labkit("down", "--engine", "vm", "--lab", lab)
    for volume in own.volumes.list(filters={"name": f"{lab}-machine"}):
        volume.remove()


def on_node(command: str, lab: str = LAB) -> str:
    done = labkit("exec", "manager1", "--lab", lab, "--", "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(lab: str = LAB) -> dict[str, Any]:
    done = labkit("status", "--json", "--lab", lab)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_container_has_no_power_over_this_computer(own: docker.DockerClient, machine: str) -> None:
    container = own.containers.get(machine)
    host = container.attrs["HostConfig"]
    assert host["CapAdd"] is None and host["CapDrop"] == ["ALL"]
    assert host["Privileged"] is False
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["NetworkMode"] in ("default", "bridge")
    assert not host["PidMode"] and host["IpcMode"] in ("private", "shareable") and not host["UTSMode"]
    assert {device["PathOnHost"] for device in host["Devices"] or []} <= {"/dev/kvm"}
    assert [(mount["Type"], mount["Name"]) for mount in container.attrs["Mounts"]] == [("volume", machine)]
    (binding,) = host["PortBindings"]["2376/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert host["Memory"] > 0 and host["PidsLimit"] > 0
    _, status = container.exec_run(["cat", "/proc/1/status"])
    capabilities = dict(line.split(":\t") for line in status.decode().splitlines() if line.startswith("Cap"))
    assert {int(value, 16) for name, value in capabilities.items() if name != "CapBnd"} == {0}
    assert int(capabilities["CapBnd"], 16) == 0


def test_its_engine_answers_nobody_without_the_key(own: docker.DockerClient, machine: str) -> None:
    ports = own.containers.get(machine).attrs["NetworkSettings"]["Ports"]
    address = ("127.0.0.1", int(ports["2376/tcp"][0]["HostPort"]))
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(address, timeout=30) as plain,
        unverified.wrap_socket(plain) as line,
        pytest.raises(ssl.SSLError, match="certificate required"),
    ):
        line.sendall(b"GET /_ping HTTP/1.1\r\nHost: machine\r\n\r\n")
        line.recv(1000)


@pytest.mark.usefixtures("machine")
def test_doctor_shows_both_kernels_and_finds_nothing_missing() -> None:
    done = labkit("doctor", "--json", "--lab", LAB)
    probes = {probe["key"]: probe for probe in json.loads(done.stdout)["probes"]}
    outer = connect(own_engine()).info()["KernelVersion"]
    assert "cloud" in probes["kernel"]["found"] and outer in probes["kernel"]["found"]
    assert [key for key, probe in probes.items() if probe["ok"] is False and key != "registry"] == []
    assert probes["ip_vs"]["ok"] and probes["esp"]["ok"]
    assert "the lab is on one" in probes["machine"]["found"]


def test_a_machine_that_was_killed_is_told_and_comes_back_with_its_disk(
    own: docker.DockerClient, machine: str
) -> None:
    on_node("docker swarm init --advertise-addr eth0 && echo kept > /lab/note && sync")
    own.containers.get(machine).kill()
    done = labkit("exec", "manager1", "--lab", LAB, "--", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("EngineUnsuitable: the virtual machine has stopped\n  console:\n"), done
    assert "Try: " in done.stderr and "Traceback" not in done.stderr
    said = up(LAB)
    assert "resumed" not in said
    assert on_node("cat /lab/note; docker node ls --format '{{.Hostname}} {{.Status}}'") == (
        "kept\nmanager1 Ready\n"
    )


@pytest.mark.usefixtures("machine")
def test_a_full_disk_is_told_and_up_goes_on() -> None:
    # What fallocate cannot have it refuses, after it has taken the rest: full is full.
    on_node(
        "fallocate -l $(df --output=avail -B1 /var/lib/docker | tail -1) /var/lib/docker/full || true; sync"
    )
    done = labkit("exec", "manager1", "--lab", LAB, "--", "docker", "pull", "web:1", timeout=200)
    assert "no space left on device" in done.stderr
    doctor = json.loads(labkit("doctor", "--json", "--lab", LAB).stdout)
    (disk,) = [probe for probe in doctor["probes"] if probe["key"] == "disk"]
    assert disk["ok"] is False
    up(LAB)  # what runs, runs on


def test_after_down_it_resumes_as_it_was_saved_with_the_right_time(
    own: docker.DockerClient, machine: str
) -> None:
    assert labkit("down", "--lab", LAB).returncode == 0
    assert own.containers.list(all=True, filters={"name": machine}) == []
    assert machine in report()["cache"]
    assert "resumed" in up(LAB)
    assert report()["machine"]["resumed"] == "nodes"
    assert {node["swarm"] for node in report()["nodes"]} == {"inactive"}
    assert on_node("ls /lab; docker info --format '{{.Swarm.LocalNodeState}}'") == "inactive\n"
    assert abs(float(on_node("date +%s.%N")) - time.time()) < 5


@pytest.mark.usefixtures("machine")
def test_a_machine_stopped_while_it_boots_is_told_and_the_next_up_works(own: docker.DockerClient) -> None:
    """Beside the other one, which goes on."""
    forget(own, OTHER)
    try:
        process = spawn("up", "--engine", "vm", "--lab", OTHER)
        container = eventually(
            lambda: own.containers.list(filters={"name": f"{OTHER}-machine", "status": "running"}), "it runs"
        )[0]
        container.stop(timeout=1)
        wait_for_line(process, "EngineUnsuitable: the virtual machine stopped while booting")
        assert process.wait(60) == 1
        up(OTHER)
        addresses = [report(lab)["engine"] for lab in (LAB, OTHER)]
        assert len(set(addresses)) == 2
        assert on_node("hostname", OTHER) == on_node("hostname", LAB) == "manager1\n"
    finally:
        forget(own, OTHER)
    assert own.containers.list(all=True, filters={"name": f"{OTHER}-machine"}) == []
