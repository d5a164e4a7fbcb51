"""What testcontainers makes a lab of: on the lab's engine, whatever the user has set, which stays."""

import os
from pathlib import Path
from typing import Any

import docker
import pytest
from testcontainers.core.docker_client import get_docker_host

from labkit.cluster.containers import LabContainer, LabNetwork
from labkit.topology import topology
from tests.docker_contexts import make_context

MINE, ELSEWHERE = "unix:///lab.sock", "tcp://elsewhere.test:2375"
TOPOLOGY = topology.load()


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))


SETTINGS = {
    "a context": {},
    "a host": {"DOCKER_HOST": ELSEWHERE},
    "a host that docker-py does not take": {"DOCKER_HOST": "ssh://user@elsewhere.test/var/run/docker.sock"},
    "certificates that are gone": {
        "DOCKER_HOST": ELSEWHERE,
        "DOCKER_CERT_PATH": "/nowhere",
        "DOCKER_TLS_VERIFY": "1",
    },
}


def make_all(client: docker.DockerClient) -> list[Any]:
    """The clients of a lab's network and of its containers."""
    made = [LabContainer(client, TOPOLOGY, service, "image") for service in TOPOLOGY.services]
    return [LabNetwork(client, TOPOLOGY)._docker, *(one.get_docker_client() for one in made)]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_environment_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str]
) -> None:
    make_context(tmp_path / "config", "class", ELSEWHERE)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert get_docker_host()  # which testcontainers exports
    before = dict(os.environ)
    client = docker.DockerClient(base_url=MINE, version="1.41")
    assert {made.client for made in make_all(client)} == {client}
    assert dict(os.environ) == before


def test_without_any_setting_none_is_made() -> None:
    assert get_docker_host() is None
    make_all(docker.DockerClient(base_url=MINE, version="1.41"))
    assert not [name for name in os.environ if name.startswith("DOCKER_") and name != "DOCKER_CONFIG"]


def test_the_environment_stays_as_it_was_when_testcontainers_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(**_: object) -> None:
        assert os.environ["DOCKER_HOST"] == ELSEWHERE  # it has been exported
        raise OSError

    make_context(tmp_path / "config", "class", ELSEWHERE)
    monkeypatch.setattr("docker.from_env", fail)
    with pytest.raises(OSError):
        LabNetwork(docker.DockerClient(base_url=MINE, version="1.41"), TOPOLOGY)
    assert "DOCKER_HOST" not in os.environ
