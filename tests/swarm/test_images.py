"""The node image: what it is made of, how large, and that an unchanged one costs nothing."""

from pathlib import Path

import docker
import pytest

from labkit import Lab
from labkit.engine.selection import EngineContext
from labkit.images import builder, dockerfile, store
from labkit.util import command_hint
from tests.helpers import eventually, labkit

pytestmark = pytest.mark.engine


@pytest.fixture
def client() -> docker.DockerClient:
    return EngineContext(command_hint.DEFAULT_LAB).client()


def test_node_image_is_small_and_tagged_by_content(lab: Lab) -> None:
    tag = builder.content_tag("node")
    image = lab.context.client().images.get(tag)
    assert lab.node("manager1").container.image.id == image.id
    assert image.attrs["Size"] <= 300e6
    assert "labkit/node:latest" in image.tags


@pytest.mark.core
def test_unchanged_image_is_not_built_again(client: docker.DockerClient) -> None:
    said: list[str] = []
    assert builder.ensure(client, "node", said.append) == builder.content_tag("node")
    assert said == []


def test_no_build_stage_is_left_behind(client: docker.DockerClient) -> None:
    wanted = {"dangling": True, "label": dockerfile.STAGE_LABEL}
    eventually(lambda: not client.images.list(filters=wanted), "the end of every build's stages", 60)


@pytest.mark.core
def test_images_are_listed() -> None:
    done = labkit("images")
    assert builder.content_tag("node") in done.stdout
    assert builder.content_tag("base") in done.stdout


def test_an_outdated_image_goes_when_nothing_runs_on_it(
    client: docker.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(builder, "FOLDER", tmp_path)
    (tmp_path / "tiny").mkdir()
    request.addfinalizer(lambda: client.images.remove("labkit/tiny:latest"))

    def ensure(version: int) -> str:
        (tmp_path / "tiny/Dockerfile").write_text(
            f"FROM scratch\nLABEL version={version}\nCOPY Dockerfile /\n"
        )
        return builder.ensure(client, "tiny", print)

    first = ensure(1)
    of_another_lab = client.containers.create(first, "nothing")
    second = ensure(2)
    assert store.has(client, first)
    of_another_lab.remove()
    third = ensure(3)
    request.addfinalizer(lambda: client.images.remove(third))
    assert [store.has(client, tag) for tag in (first, second, third)] == [False, False, True]
