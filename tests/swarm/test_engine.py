"""Finding and probing the engine that is really there."""

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from labkit.engine import doctor
from labkit.engine.doctor import LABEL
from labkit.engine.selection import EngineContext
from labkit.util import command_hint

pytestmark = pytest.mark.engine


@pytest.fixture
def context() -> EngineContext:
    return EngineContext(command_hint.DEFAULT_LAB)


@pytest.fixture
def client(context: EngineContext) -> Iterator[docker.DockerClient]:
    client = context.client(timeout=30)
    yield client
    client.close()


@pytest.fixture
def image(client: docker.DockerClient) -> str:
    """Any image with a shell will do: where tools are missing, the probes say so by name."""
    for image in client.images.list():
        if image.id and _has_a_shell(client, image.id):
            return image.id
    pytest.skip("the engine has no image with a shell")


def _has_a_shell(client: docker.DockerClient, image: str) -> bool:
    container = client.containers.create(
        image, entrypoint=["sh", "-c"], command=["exit 0"], network_mode="none"
    )
    try:
        container.start()
    except docker.errors.APIError:
        return False
    finally:
        container.remove(v=True, force=True)
    return True


def leftovers(client: docker.DockerClient) -> list[str | None]:
    return [each.id for each in client.containers.list(all=True, filters={"label": LABEL})]


def test_client_talks_to_the_found_engine(context: EngineContext, client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == context.endpoint().api_version


def test_examine_probes_the_kernel_and_leaves_nothing(
    context: EngineContext, client: docker.DockerClient, image: str
) -> None:
    probes = {probe.key: probe for probe in doctor.examine(context, image)}
    assert probes["engine"].ok
    assert probes["disk"].found.endswith("GB free")
    assert probes["inotify"].found.endswith("instances per user")
    assert all("ended early" not in probe.found for probe in probes.values())
    assert leftovers(client) == []


def test_probe_removes_its_own_volume(
    context: EngineContext, client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted: list[str] = []
    remove = Container.remove

    def note_and_remove(self: Container, **options: bool) -> None:
        self.reload()
        mounted.extend(mount["Name"] for mount in self.attrs["Mounts"])
        remove(self, **options)

    monkeypatch.setattr(Container, "remove", note_and_remove)
    doctor.examine(context, image)
    assert mounted
    assert not set(mounted) & {volume.id for volume in client.volumes.list()}


def test_probe_that_fails_leaves_nothing(
    context: EngineContext, client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("docker.models.containers.Container.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        doctor.examine(context, image)
    assert leftovers(client) == []


def test_examine_without_the_image_says_so(context: EngineContext, client: docker.DockerClient) -> None:
    probes = {probe.key: probe for probe in doctor.examine(context, "labkit.invalid/no-such-image")}
    assert probes["ip_vs"].ok is None
    assert "has no image labkit.invalid/no-such-image" in probes["ip_vs"].found
    assert leftovers(client) == []
