"""Docker Hub answers, or does not: nodes get what it has, fetched once; then what was kept; else the bank's.

A registry on the lab's network plays the Hub. Its `nginx` is another one than the bank's stand-in.
"""

import io
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from docker.models.containers import Container

from labkit import Lab
from labkit.cluster import provision
from labkit.images import builder
from labkit.util.console import ProgressReporter
from tests.helpers import eventually, inside, log, service

pytestmark = pytest.mark.engine
QUIET = ProgressReporter(quiet=True)
# The loop in lab-registry asks every 15 s and gives an answer 5 s.
SEEN_WITHIN = 30.0


class Hub:
    """A stand-in for Docker Hub with its own `nginx` and `redis:7`, and a lab that takes it for the Hub."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab, self.client = lab, lab.context.client()
        monkeypatch.setenv("LABKIT_HUB", "http://hub:5000")
        monkeypatch.setenv("LABKIT_CACHE", f"{lab.name}-cache")
        wanted = provision.choose_topology(self.client, lab.name)
        self.network = provision.create_network(lab.context, wanted).network
        self.container = self._serve("hub")
        self._push("nginx", "redis:7")
        lab.up(reporter=QUIET)
        self.wait("yes")

    def _serve(self, name: str, **environment: str) -> Container:
        """Start the program of the bank's `registry` image, with an access log, at http://hub:5000."""
        container = self.client.containers.create(
            builder.content_tag("docker-registry"),
            name=f"{self.lab.name}-{name}",
            ports={"5000/tcp": ("127.0.0.1", None)},  # type: ignore[dict-item]
            environment={"REGISTRY_LOG_ACCESSLOG_DISABLED": "false", **environment},
        )
        self.client.networks.get(self.network).connect(container, aliases=["hub"])
        container.start()
        container.reload()
        return container

    def _push(self, *references: str) -> None:
        port = self.container.attrs["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"]
        recipe = f"FROM {builder.content_tag('busybox')}\nLABEL from=hub\nCMD sleep infinity\n"
        for reference in references:
            target = f"127.0.0.1:{port}/library/{reference}"
            self.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=target, rm=True)
            answer = self.client.images.push(target)
            self.client.images.remove(target)
            assert "errorDetail" not in answer, answer

    def wait(self, answers: str) -> None:
        """Wait until the lab's registry, since it was started, has noticed."""
        registry = service(self.lab, "registry")
        started = datetime.fromisoformat(registry.attrs["State"]["StartedAt"]).timestamp()

        def noticed() -> list[str]:
            return re.findall(r"Docker Hub answers: (\w+)", log(registry, since=started))

        eventually(lambda: noticed()[-1:] == [answers], f"Docker Hub answers: {answers}", SEEN_WITHIN)
        inside(registry, "timeout", "10", "registry-ready")

    def fetched(self) -> list[str]:
        """The manifests and layers that were downloaded from the Hub, as its access log says."""
        return re.findall(r'"GET /v2/library/(\S+) HTTP/1.1" 200', log(self.container))

    @contextmanager
    def wanting_a_login(self) -> Iterator[None]:
        """For a while another registry is the Hub, that answers 401 to everything."""
        self.container.stop(timeout=1)
        guarded = self._serve(
            "guarded", REGISTRY_AUTH_HTPASSWD_REALM="hub", REGISTRY_AUTH_HTPASSWD_PATH="/tmp/users"
        )
        try:
            service(self.lab, "registry").restart(timeout=1)
            self.wait("yes")
            yield
        finally:
            guarded.remove(force=True, v=True)
            self.container.start()
            service(self.lab, "registry").restart(timeout=1)

    def close(self) -> None:
        self.container.remove(force=True, v=True)
        self.lab.down()
        self.client.volumes.get(f"{self.lab.name}-cache").remove()


@pytest.fixture(scope="module")
def _hub() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        hub = Hub(Lab(f"test-{uuid.uuid4().hex[:8]}"), monkeypatch)
        yield hub
        hub.close()


@pytest.fixture
def hub(_hub: Hub) -> Hub:
    """A lab whose nodes have no image yet, and a Hub that answers."""
    _hub.container.start()
    _hub.wait("yes")
    for node in _hub.lab.nodes.values():
        node.run("docker system prune --all --force", quiet=True)
    return _hub


def origin(lab: Lab, reference: str, *names: str) -> set[str]:
    """Pull on some nodes, one after the other, and tell whose images these are: `hub` or the bank's label."""
    labels = '{{index .Config.Labels "from"}}{{index .Config.Labels "org.labkit.reference"}}'
    pull = f"docker pull -q {reference} >/dev/null; docker image inspect --format '{labels}' {reference}"
    return {lab.node(name).run(pull, quiet=True).stdout.strip() for name in names or lab.nodes}


def test_nodes_get_what_docker_hub_has_and_it_is_fetched_once(hub: Hub) -> None:
    assert origin(hub.lab, "nginx", "worker1") == {"hub"}
    fetched = hub.fetched()
    assert any("nginx/manifests" in line for line in fetched)
    assert any("nginx/blobs" in line for line in fetched)
    assert origin(hub.lab, "nginx") == {"hub"}
    assert hub.fetched() == fetched


def test_what_docker_hub_does_not_have_comes_from_the_bank(hub: Hub) -> None:
    assert origin(hub.lab, "web:1") == {"web:1"}


def test_docker_hub_that_wants_a_login_is_passed_over(hub: Hub) -> None:
    assert origin(hub.lab, "nginx", "worker1") == {"hub"}
    with hub.wanting_a_login():
        answer = inside(service(hub.lab, "registry"), "curl", "--silent", "--head", "http://hub:5000/v2/")
        assert "401 Unauthorized" in answer
        assert origin(hub.lab, "web:1") == {"web:1"}
        assert origin(hub.lab, "redis:7") == {"redis:7"}
        assert origin(hub.lab, "nginx", "worker2") == {"hub"}


def test_without_docker_hub_nodes_get_what_was_kept_else_the_stand_in(hub: Hub) -> None:
    assert origin(hub.lab, "nginx", "worker1") == {"hub"}
    hub.container.stop(timeout=1)
    hub.wait("no")
    assert origin(hub.lab, "nginx", "worker2") == {"hub"}
    assert origin(hub.lab, "redis:7", "worker2") == {"redis:7"}
    service(hub.lab, "registry").restart(timeout=1)
    hub.wait("no")
    assert origin(hub.lab, "nginx", "manager1") == {"hub"}
    hub.container.start()
    hub.wait("yes")
    assert origin(hub.lab, "redis:7", "manager1") == {"hub"}
