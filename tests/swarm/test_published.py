"""An image goes to a real registry and comes back from it, instead of being built."""

from collections.abc import Iterator

import docker
import pytest
import requests
from docker.errors import ImageNotFound

from labkit.engine.selection import EngineContext
from labkit.images import builder, published
from labkit.util.console import ProgressReporter
from labkit.util.errors import ImageUnavailable
from tests.helpers import eventually

pytestmark = pytest.mark.engine

QUIET = ProgressReporter(quiet=True)
NAME = "hello-world"  # small, and no lab uses it by this tag


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return EngineContext("test-published").own_client(timeout=300)


@pytest.fixture(scope="module")
def registry(client: docker.DockerClient) -> Iterator[str]:
    """A registry on loopback, where engines need no TLS."""
    image = builder.ensure(client, "docker-registry", print)
    container = client.containers.run(
        image, detach=True, ports={"5000/tcp": ("127.0.0.1", None)}, labels=["labkit-test"]
    )
    try:
        container.reload()
        address = f"127.0.0.1:{container.attrs['NetworkSettings']['Ports']['5000/tcp'][0]['HostPort']}"

        def answers() -> bool:
            try:
                return requests.get(f"http://{address}/v2/", timeout=5).ok
            except requests.ConnectionError:
                return False

        eventually(answers, "an answer of the registry")
        yield f"{address}/me/swarm-lab"
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def tag(client: docker.DockerClient) -> Iterator[str]:
    tag = builder.content_tag(NAME)
    yield tag
    for present in (tag, f"labkit/{NAME}:latest"):
        try:
            client.images.remove(present, force=True)
        except ImageNotFound:
            continue


def test_what_was_pushed_is_pulled_and_not_built(
    client: docker.DockerClient, registry: str, tag: str
) -> None:
    published.push(client, registry, [NAME], QUIET)
    pushed = client.images.get(tag).id
    client.images.remove(f"labkit/{NAME}:latest")
    client.images.remove(tag)
    published.pull(client, registry, [NAME], QUIET)
    image = client.images.get(tag)
    assert image.id == pushed
    assert sorted(image.tags) == sorted([tag, f"labkit/{NAME}:latest"])  # and no name of the registry's


def test_a_registry_that_has_nothing_says_so(client: docker.DockerClient, registry: str, tag: str) -> None:
    with pytest.raises(ImageUnavailable) as refused:
        published.pull(client, f"{registry}/other", [NAME], QUIET)
    assert f"{registry}/other/{NAME}:" in refused.value.what
    assert refused.value.next_step.endswith("labkit images build")
    assert not builder.has(client, tag)
