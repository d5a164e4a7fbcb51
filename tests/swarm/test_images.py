"""The node image: what it is made of, how large, and that an unchanged one costs nothing."""

from pathlib import Path

import pytest

from labkit import Lab, dockerfile, engine, images
from tests.helpers import eventually, labkit

pytestmark = pytest.mark.engine


def test_node_image_is_small_and_tagged_by_content(lab: Lab) -> None:
    tag = images.content_tag("node")
    image = engine.client().images.get(tag)
    assert lab.node("manager1").container.image.id == image.id
    assert image.attrs["Size"] <= 300e6
    assert "labkit/node:latest" in image.tags


def test_unchanged_image_is_not_built_again() -> None:
    said: list[str] = []
    assert images.ensure(engine.client(), "node", said.append) == images.content_tag("node")
    assert said == []


def test_no_build_stage_is_left_behind() -> None:
    wanted = {"dangling": True, "label": dockerfile.STAGE_LABEL}
    eventually(lambda: not engine.client().images.list(filters=wanted), "the end of every build's stages", 60)


def test_images_are_listed() -> None:
    done = labkit("images")
    assert images.content_tag("node") in done.stdout
    assert images.content_tag("base") in done.stdout


def test_an_outdated_image_goes_when_nothing_runs_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    client = engine.client()
    monkeypatch.setattr(images, "FOLDER", tmp_path)
    (tmp_path / "tiny").mkdir()
    request.addfinalizer(lambda: client.images.remove("labkit/tiny:latest"))

    def ensure(version: int) -> str:
        (tmp_path / "tiny/Dockerfile").write_text(
            f"FROM scratch\nLABEL version={version}\nCOPY Dockerfile /\n"
        )
        return images.ensure(client, "tiny", print)

    first = ensure(1)
    of_another_lab = client.containers.create(first, "nothing")
    second = ensure(2)
    assert images.has(client, first)
    of_another_lab.remove()
    third = ensure(3)
    request.addfinalizer(lambda: client.images.remove(third))
    assert [images.has(client, tag) for tag in (first, second, third)] == [False, False, True]
