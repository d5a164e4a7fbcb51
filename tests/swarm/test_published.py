"""An image goes to a real registry and comes back from it, instead of being built."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import ImageNotFound

from labkit.engine.selection import EngineContext
from labkit.images import builder, published, store
from labkit.transport.attach import put_file
from labkit.util.console import ProgressReporter
from labkit.util.errors import ImageUnavailable
from tests.helpers import eventually

pytestmark = pytest.mark.engine

QUIET = ProgressReporter(quiet=True)
HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # bcrypt of "secret"
NAME = "hello-world"  # small, and no lab uses it by this tag


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return EngineContext("test-published").own_client(timeout=300)


@contextmanager
def running(client: docker.DockerClient, htpasswd: str = "") -> Iterator[str]:
    """A registry on loopback, where engines need no TLS; with `htpasswd` it wants a password. Its address."""
    container = client.containers.create(
        builder.ensure(client, "docker-registry", print),
        ports={"5000/tcp": ("127.0.0.1", None)},  # type: ignore[dict-item]
        labels=["labkit-test"],
        environment={
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "lab",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/htpasswd",
        }
        if htpasswd
        else {},
    )
    try:
        put_file(container, "/etc/htpasswd", htpasswd.encode())
        container.start()
        container.reload()
        address = f"127.0.0.1:{container.attrs['NetworkSettings']['Ports']['5000/tcp'][0]['HostPort']}"

        def answers() -> bool:
            try:
                return requests.get(f"http://{address}/v2/", timeout=5).status_code in (200, 401)
            except requests.ConnectionError:
                return False

        eventually(answers, "an answer of the registry")
        yield address
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def registry(client: docker.DockerClient) -> Iterator[str]:
    with running(client) as address:
        yield f"{address}/me/swarm-lab"


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
    assert not store.has(client, tag)


def test_a_release_pushes_with_what_docker_login_has_stored(
    client: docker.DockerClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(client, HTPASSWD) as address:
        target = f"{address}/me/swarm-lab"
        with pytest.raises(ImageUnavailable) as refused:
            published.push(client, target, [NAME], QUIET)
        assert refused.value.next_step.startswith(f"docker login {address},")

        # `docker login` writes this when no credential helper is configured.
        stored = {"auths": {address: {"auth": base64.b64encode(b"me:secret").decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(stored))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        logged_in = EngineContext("test-published").own_client(timeout=300)
        published.push(logged_in, target, [NAME], QUIET)
        client.images.remove(tag, force=True)
        published.pull(logged_in, target, [NAME], QUIET)
        assert store.has(client, tag)
