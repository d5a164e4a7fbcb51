"""Docker Hub answers, or falls silent: nodes get what it has, once fetched; then what was kept; else the bank's.

A registry on the lab's network plays the Hub. Its `nginx` is another one than the bank's stand-in.
"""

import io
import re
import uuid
from collections.abc import Iterator

import pytest
from docker.models.containers import Container

from labkit import Lab, bank, bringup, engine, images
from labkit.console import Story
from labkit.deadline import Deadline
from tests.helpers import eventually, inside, log, service

pytestmark = pytest.mark.engine
QUIET = Story(quiet=True)
# The loop in lab-registry asks every 15 s and gives an answer 5 s.
SEEN_WITHIN = 30.0


class Hub:
    """A stand-in for Docker Hub with its own `nginx` and `redis:7`, and a lab that takes it for the Hub."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab, self.client = lab, engine.client()
        self.name = f"{lab.name}-hub"
        monkeypatch.setenv("LABKIT_HUB", "http://hub:5000")
        monkeypatch.setenv("LABKIT_CACHE", f"{lab.name}-cache")
        wanted = bringup.choose_topology(self.client, lab.name)
        self.network = bringup.create_network(self.client, wanted).network
        self.container = self._serve()
        self._push("nginx", "redis:7")
        lab.up(story=QUIET)
        self.wait("yes")

    def _serve(self, **environment: str) -> Container:
        """Start the program of the bank's `registry` image, with an access log, at http://hub:5000."""
        container = self.client.containers.create(
            images.content_tag("docker-registry"),
            name=self.name,
            ports={"5000/tcp": ("127.0.0.1", None)},  # type: ignore[dict-item]
            environment={"REGISTRY_LOG_ACCESSLOG_DISABLED": "false", **environment},
        )
        self.client.networks.get(self.network).connect(container, aliases=["hub"])
        container.start()
        container.reload()
        return container

    def _push(self, *references: str) -> None:
        port = self.container.attrs["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"]
        recipe = f"FROM {images.content_tag('busybox')}\nLABEL from=hub\nCMD sleep infinity\n"
        for reference in references:
            target = f"127.0.0.1:{port}/library/{reference}"
            self.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=target, rm=True)
            answer = self.client.images.push(target)
            self.client.images.remove(target)
            assert "errorDetail" not in answer, answer

    def wait(self, answers: str) -> None:
        """Wait until the lab's registry has noticed."""

        def last() -> str:
            return re.findall(r"Docker Hub answers: (\w+)", log(service(self.lab, "registry")))[-1:]

        eventually(lambda: last() == [answers], f"Docker Hub answers: {answers}", SEEN_WITHIN)
        inside(service(self.lab, "registry"), "timeout", "10", "registry-ready")

    def fetched(self) -> list[str]:
        """What was downloaded from the Hub, in the order of its access log."""
        return re.findall(r'"GET /v2/library/(\S+/blobs/\S+) HTTP/1.1" 200', log(self.container))

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
    assert fetched
    assert origin(hub.lab, "nginx") == {"hub"}
    assert hub.fetched() == fetched


def test_debug(hub: Hub) -> None:
    before = len(hub.fetched())
    from labkit.running import run_on
    run_on(list(hub.lab.nodes.values()), "docker pull -q redis:7", sink=None)
    print(*hub.fetched(), before, sep="\n")
    print(log(hub.container)[-6000:])
    print(log(service(hub.lab, "registry"))[-3000:])
