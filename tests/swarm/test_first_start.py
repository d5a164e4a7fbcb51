"""A first start on a real engine: builds that stop together, and a lab that starts with the first images."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from labkit import Lab
from labkit.engine.selection import EngineContext
from labkit.images import builder, catalog, engines, store
from labkit.transport.commands import run_on
from labkit.util import command_hint, lock
from labkit.util.console import ProgressReporter
from labkit.util.errors import ImageUnavailable
from tests.helpers import eventually, service

# Alone, because other processes would take the small bank for an outdated one.
pytestmark = [pytest.mark.engine, pytest.mark.alone]
QUIET = ProgressReporter(quiet=True)
SLEEPS = "sleep 150.25"  # no other process does


@pytest.fixture
def client() -> docker.DockerClient:
    return EngineContext(command_hint.DEFAULT_LAB).client()


def sleeping(client: docker.DockerClient) -> list[str]:
    found = client.api.containers(filters={"status": "running"})
    return [entry["Id"] for entry in found if SLEEPS in entry["Command"]]


def test_a_failed_build_stops_the_others(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for foundation in ("base", "busybox"):
        shutil.copytree(builder.FOLDER / foundation, tmp_path / foundation)
    busybox = builder.ensure(client, "busybox", print)
    monkeypatch.setattr(builder, "FOLDER", tmp_path)
    assert builder.content_tag("busybox") == busybox
    start = "ARG BUSYBOX=labkit/busybox\nFROM ${BUSYBOX}\nRUN "
    meeting = tmp_path / "meeting"
    for name, command in {"sleeps": SLEEPS, "fails": "false"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"{start}{command}\n")
    build = builder.dockerfile.build

    def in_turn(own: docker.DockerClient, folder: Path, *rest: object) -> None:
        if folder.name == "fails":
            eventually(lambda: sleeping(client), "a build that sleeps", 120)
            meeting.touch()
        build(own, folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builder.dockerfile, "build", in_turn)
    with pytest.raises(ImageUnavailable, match="labkit/fails"):
        builder.ensure_all(client, ["labkit/sleeps", "labkit/fails"], QUIET)
    assert meeting.exists()
    eventually(lambda: not sleeping(client), "the end of the build that slept")
    assert not store.has(client, builder.content_tag("sleeps"))  # it didn't end by itself
    assert not lock.is_held("images")


@pytest.fixture
def small_bank(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bank of three images, which isn't there yet; the real one stays as it is."""
    few = ("web:1", "nginx:latest", "counter:latest")
    monkeypatch.setattr(catalog, "IMAGES", [image for image in catalog.IMAGES if image.reference in few])
    monkeypatch.setattr(catalog, "PLUGINS", ())
    monkeypatch.setattr(engines, "moving_tags", lambda _: [])
    monkeypatch.setattr(store, "remove", lambda *_: False)
    starter, bank = builder.content_tag(catalog.STARTER), builder.content_tag(catalog.NAME)
    mine = [bank] if store.has(client, starter) else [bank, starter]

    def clear() -> None:
        for tag in mine:
            if store.has(client, tag):
                client.images.remove(tag)

    clear()  # what a killed run has left
    yield
    clear()


def pulls(lab: Lab, image: str) -> bool:
    [pulled] = run_on([lab.node("worker1")], f"docker pull -q {image} && echo pulled || echo refused")
    return "pulled" in pulled.stdout


@pytest.mark.usefixtures("small_bank")
def test_a_lab_starts_with_the_first_images_and_later_chapters_wait_for_the_rest(
    new_lab: Callable[[], Lab],
) -> None:
    lab = new_lab()
    with lock.hold(builder.FILLING):  # as `labkit up --early` does
        lab.up(reporter=QUIET)
        assert service(lab, "registry").attrs["Config"]["Image"] == builder.content_tag(catalog.STARTER)
        assert pulls(lab, "web:1")
        assert pulls(lab, "nginx")
        assert not pulls(lab, "counter")
        lab.begin("why-orchestrate")
        assert service(lab, "registry").attrs["Config"]["Image"] == builder.content_tag(catalog.STARTER)
    lab.begin("prove-it")
    assert service(lab, "registry").attrs["Config"]["Image"] == builder.content_tag(catalog.NAME)
    assert pulls(lab, "counter")
    assert pulls(lab, "web:1")
