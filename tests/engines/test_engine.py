"""The engine that `--outer` has chosen is what its name says, and the lab takes it for that."""

import json

import docker
import pytest
from docker.errors import APIError

from labkit.engine.selection import DOCKER, EngineContext
from labkit.transport import api_version
from labkit.util.text import version_number
from tests.engines.outer import Outer
from tests.helpers import labkit

pytestmark = [pytest.mark.engine, pytest.mark.core, pytest.mark.matrix]


@pytest.fixture
def context() -> EngineContext:
    return EngineContext("test-engines", DOCKER)


def test_it_has_the_version_and_the_image_store_that_its_name_says(
    outer_engine: Outer, context: EngineContext
) -> None:
    info = context.client().info()
    assert info["ServerVersion"].startswith(f"{outer_engine.version}.")
    assert info["Driver"] == ("overlayfs" if outer_engine.containerd else "overlay2")
    snapshotter = ["driver-type", "io.containerd.snapshotter.v1"]
    assert (snapshotter in info["DriverStatus"]) is outer_engine.containerd


def test_it_is_asked_in_the_highest_version_that_it_knows(context: EngineContext) -> None:
    client = context.client()
    assert client.api.api_version == client.version()["ApiVersion"]
    assert version_number(client.api.api_version) <= version_number(api_version.NEWEST)


def test_it_refuses_what_is_older_than_its_minimum(outer_engine: Outer, context: EngineContext) -> None:
    below = docker.DockerClient(base_url=context.endpoint().url, version="1.43")
    if outer_engine.strict:
        with pytest.raises(APIError, match=r"client version 1\.43 is too old"):
            below.containers.list()
    elif version_number(context.endpoint().api_version) >= (1, 43):
        assert isinstance(below.containers.list(), list)
    else:
        with pytest.raises(APIError, match=r"client version 1\.43 is too new"):
            below.containers.list()


def test_doctor_finds_that_it_can_run_a_lab(outer_engine: Outer) -> None:
    done = labkit("doctor", "--json", "--lab", "test-engines")
    told = json.loads(done.stdout)
    assert told["ready"], told
    [engine] = [probe for probe in told["probes"] if probe["key"] == "engine"]
    assert engine["found"].startswith(f"{outer_engine.version}.")
    assert not [probe for probe in told["probes"] if "not probed" in probe["found"]]
