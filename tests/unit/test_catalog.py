"""What the lab's registry holds: every name once, made of a folder that is there, and true about itself."""

from collections import Counter

import pytest

from labkit.images import builder, catalog
from labkit.images.catalog import IMAGES, PLUGINS, BankImage, Plugin

OWN = {"web", "toolbox", "counter"}
ENTRIES: tuple[BankImage | Plugin, ...] = (*IMAGES, *PLUGINS)


def repository(image: BankImage) -> str:
    return image.reference.partition(":")[0]


def test_every_reference_is_there_once() -> None:
    references = [entry.reference for entry in ENTRIES]
    assert [reference for reference, count in Counter(references).items() if count > 1] == []
    assert all(image.reference.count(":") == 1 for image in IMAGES)


@pytest.mark.parametrize("name", catalog.folders())
def test_every_folder_has_a_dockerfile(name: str) -> None:
    assert (builder.FOLDER / name / "Dockerfile").is_file()


def test_an_argument_is_one_that_the_dockerfile_declares() -> None:
    for entry in ENTRIES:
        text = (builder.FOLDER / entry.folder / "Dockerfile").read_text()
        assert all(f"\nARG {argument}=" in text for argument in entry.arguments), entry.reference


def test_a_stand_in_says_what_it_is_and_an_image_of_our_own_is_none() -> None:
    silent = {repository(image) for image in IMAGES if not image.stand_in}
    telling = {repository(image) for image in IMAGES if image.stand_in}
    assert silent == OWN
    assert not silent & telling


@pytest.mark.parametrize("name", sorted({repository(image) for image in IMAGES} - {"web"}))
def test_an_image_has_the_tag_that_is_meant_when_none_is_given(name: str) -> None:
    assert f"{name}:latest" in [image.reference for image in IMAGES]


def test_the_table_tells_every_image_and_plugin() -> None:
    assert all(repr(entry) in catalog.table() for entry in ENTRIES)
