"""Names of a lab that something else has: it is named and left alone, and nothing of the lab stays."""

import io
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from labkit import Lab
from labkit.cluster import provision
from labkit.engine import foreign
from labkit.engine.selection import EngineContext
from labkit.images import builder
from labkit.util.console import ProgressReporter
from labkit.util.errors import NameTaken
from tests.helpers import labkit, leftovers

pytestmark = pytest.mark.engine

QUIET = ProgressReporter(quiet=True)
NewLab = Callable[[], Lab]
MINE = {"org.example.owner": "somebody"}


class Others:
    """Things that somebody else has on the engine; each `make` returns how the engine describes the thing."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client, self.api = client, client.api
        self._undo: list[Callable[[], object]] = []

    def make(self, kind: str, lab: str) -> Callable[[], Any]:
        made: Callable[[], Any] = getattr(self, kind)(lab)
        return made

    def container(self, lab: str) -> Callable[[], Any]:
        image = builder.content_tag("storage")
        entry = self.api.create_container(image, "true", name=f"{lab}-worker1", labels=MINE)
        self._undo.append(lambda: self.api.remove_container(entry["Id"], force=True, v=True))
        return lambda: self.api.inspect_container(entry["Id"])

    def volume(self, lab: str) -> Callable[[], Any]:
        name = str(self.client.volumes.create(f"{lab}_shared", labels=MINE).id)
        self._undo.append(lambda: self.api.remove_volume(name))
        return lambda: self.api.inspect_volume(name)

    def network(self, lab: str) -> Callable[[], Any]:
        made = self.api.create_network(f"{lab}_lab", labels=MINE, internal=True)
        self._undo.append(lambda: self.api.remove_network(made["Id"]))
        return lambda: self.api.inspect_network(made["Id"])

    def image(self, _: str) -> Callable[[], Any]:
        tag, empty = builder.content_tag("storage"), io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        repository, _, version = tag.partition(":")
        self.api.import_image_from_data(empty.getvalue(), repository=repository, tag=version)
        self._undo.append(lambda: self.api.remove_image(tag))
        return lambda: self.api.inspect_image(tag)

    def remove(self) -> None:
        for undo in self._undo:
            undo()


@pytest.fixture
def others() -> Iterator[Others]:
    made = Others(EngineContext("others").client())
    yield made
    made.remove()


@pytest.fixture
def another_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The image `storage` of a later version, which this engine doesn't have yet."""
    folder = tmp_path / "sources"
    shutil.copytree(builder.FOLDER, folder)
    (folder / "storage" / "later").write_text("later\n")
    monkeypatch.setattr(builder, "FOLDER", folder)


def names(lab: str) -> dict[str, str]:
    image = f"image {builder.content_tag('storage')}"
    return {
        "container": f"container {lab}-worker1",
        "volume": f"volume {lab}_shared",
        "network": f"network {lab}_lab",
        "image": image,
    }


@pytest.mark.parametrize("kind", ["container", "volume", "network"])
def test_a_foreign_thing_is_named_before_anything_is_created(
    new_lab: NewLab, others: Others, kind: str, lab: Lab
) -> None:
    assert lab.nodes  # the shared lab has built the images
    mine = new_lab()
    look = others.make(kind, mine.name)
    before = look()
    done = labkit("up", "--lab", mine.name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"NameTaken: the name {names(mine.name)[kind]} is taken on this engine")
    assert " created 20" in done.stderr
    assert "labkit up --lab ANOTHER" in done.stderr
    assert "Network and volumes" not in done.stdout
    assert leftovers(mine.name) == []
    assert labkit("down", "--lab", mine.name).returncode == 0
    assert look() == before


@pytest.mark.usefixtures("another_storage")
def test_a_foreign_image_keeps_its_tag(new_lab: NewLab, others: Others) -> None:
    mine = new_lab()
    look = others.make("image", mine.name)
    before = look()
    with pytest.raises(NameTaken, match=names(mine.name)["image"]) as caught:
        mine.up(reporter=QUIET)
    assert "without the label org.labkit.image" in caught.value.evidence[0]
    assert leftovers(mine.name) == []
    assert look() == before


@pytest.mark.parametrize("kind", ["container", "volume", "network"])
def test_a_name_that_is_taken_meanwhile_is_named_too(
    new_lab: NewLab, others: Others, kind: str, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    """After labkit looked: the engine's conflict tells of containers and networks, labels of volumes."""
    assert lab.nodes
    mine, looks = new_lab(), list[Callable[[], Any]]()
    really = foreign.require_own

    def too_early(client: docker.DockerClient, wanted: foreign.Names) -> None:
        really(client, wanted)
        if not looks:
            looks.append(others.make(kind, mine.name))

    monkeypatch.setattr(foreign, "require_own", too_early)
    with pytest.raises(NameTaken, match=names(mine.name)[kind]):
        mine.up(reporter=QUIET)
    assert leftovers(mine.name) == []
    [look] = looks
    assert look()


def test_a_foreign_thing_among_those_of_a_running_lab_is_named_and_the_lab_stays(
    new_lab: NewLab, others: Others
) -> None:
    mine = new_lab().up(reporter=QUIET)
    client = mine.context.client()
    provision.remove_node(client, mine.name, "worker1")
    look = others.make("container", mine.name)
    before, left = look(), sorted(leftovers(mine.name))
    with pytest.raises(NameTaken, match=f"container {mine.name}-worker1"):
        mine.up(reporter=QUIET)
    assert sorted(leftovers(mine.name)) == left
    assert look() == before


def test_the_engine_refuses_a_second_network_of_a_name(new_lab: NewLab, others: Others) -> None:
    """Before Docker 25 it would have made one, and containers that join by name would have been refused."""
    mine = new_lab()
    others.make("network", mine.name)
    with pytest.raises(APIError) as caught:
        others.api.create_network(f"{mine.name}_lab", check_duplicate=True)
    assert caught.value.status_code == 409
