"""The nodes' engines are what `--inner` says."""

import docker
import pytest

from labkit import Lab
from tests.engines.inner import Inner

pytestmark = [pytest.mark.engine, pytest.mark.core, pytest.mark.matrix]


def test_nodes_have_the_version_the_image_store_and_the_minimum_that_the_name_says(
    inner_engine: Inner, lab: Lab
) -> None:
    for node in lab.nodes.values():
        info, version = node.api.info(), node.api.version()
        assert info["ServerVersion"].startswith(f"{inner_engine.version}.")
        assert info["Driver"] == ("overlayfs" if inner_engine.like_29 else "overlay2")
        assert (version["MinAPIVersion"] == "1.44") is inner_engine.like_29
        assert node.api.api_version == version["ApiVersion"]


def test_old_requests_are_refused_where_the_nodes_are_strict(inner_engine: Inner, swarm: Lab) -> None:
    command = "DOCKER_API_VERSION=1.41 docker node ls"
    done = swarm.node("manager1").run(command, check=False, quiet=True)
    assert ("client version 1.41 is too old" in done.stderr) is inner_engine.like_29
    assert bool(done.exit_code) is inner_engine.like_29


def test_the_swarm_is_seen_by_the_tunnel(inner_engine: Inner, swarm: Lab) -> None:
    assert inner_engine.name
    engines = swarm.snapshot().engines
    assert {name: engine.manager for name, engine in engines.items()} == {
        "manager1": True,
        "worker1": False,
        "worker2": False,
    }
    assert {engine.swarm for engine in engines.values()} == {"active"}
    with pytest.raises(docker.errors.APIError, match="not a swarm manager"):
        swarm.node("worker1").api.nodes()
