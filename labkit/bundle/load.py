"""`labkit bundle load`: checks the file, then gives the engine the images that it lacks."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit import engine, hint, images, topology
from labkit.bundle import verify
from labkit.bundle.manifest import IMAGES, Manifest, chunks, own_version
from labkit.console import Story
from labkit.errors import BundleInvalid, EngineNotFound, SetupFailed

_ENGINE_SECONDS = 600.0  # the engine's silence after the last piece, while it unpacks


def load(file: Path, provide_engine: Callable[[], None], story: Story | None = None) -> None:
    """Load a bundle's images, so that `labkit start` works without network. Twice is fine.

    `provide_engine` is called once the file has proved whole. Raises BundleInvalid for a bundle that is
    damaged or does not fit, before anything changes; EngineNotFound, EngineUnsuitable.
    """
    story = story or Story()
    with story.step("Bundle") as step:
        manifest = verify.check(file, step.bar)
        _require_tags(manifest, file)
        step.result = f"whole; made {manifest.created[:10]} by labkit {manifest.labkit}"
    try:
        provide_engine()
    except (EngineNotFound, SetupFailed) as error:
        error.add_evidence("a bundle holds no Docker engine: the machine must have one already")
        raise
    client = engine.client(_ENGINE_SECONDS)
    _require_architecture(manifest, file, client.version()["Arch"])
    with story.step("Images") as step:
        missing = [tag for tag in manifest.images if not images.has(client, tag)]
        if missing:
            engine.require_room(client)
            images.load(client, _images(file, step.bar))
        step.result = f"{len(missing)} loaded, {len(manifest.images) - len(missing)} were there"
    images.ensure_all(client, topology.load(), Story(quiet=True))  # moves the tags `latest` along
    story.say(f"Nothing more is needed from a network: {hint.command('start')}")


def _require_tags(manifest: Manifest, file: Path) -> None:
    wanted = {images.content_tag(image.rpartition("/")[2]) for image in topology.load().images}
    if lacking := sorted(wanted - set(manifest.images)):
        raise BundleInvalid(
            f"{file} has other images than this Swarm Lab starts",
            evidence=[f"this one starts {' '.join(lacking)}", f"the bundle has {' '.join(manifest.images)}"],
            next_step=own_version(file),
        )


def _require_architecture(manifest: Manifest, file: Path, engines: str) -> None:
    if manifest.architecture != engines:
        raise BundleInvalid(
            f"the images in {file} are for {manifest.architecture}, the Docker engine here is {engines}",
            next_step=f"on a machine with {engines}: {hint.command('bundle', 'save', file.name)}",
        )


def _images(file: Path, bar: verify.Bar) -> Iterator[bytes]:
    with tarfile.open(file, "r:") as tar:
        member = tar.getmember(IMAGES)
        stream = tar.extractfile(member)
        assert stream  # it was checked to be a plain file
        done = 0
        for piece in chunks(stream):  # type: ignore[arg-type]
            done += len(piece)
            bar(done, member.size)
            yield piece
