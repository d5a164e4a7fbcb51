"""`labkit bundle load`: checks the file, then gives the engine the images that it lacks."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit import baking, engine, hint, images, topology
from labkit.bundle import disks, verify
from labkit.bundle.manifest import IMAGES, WITH_MACHINE, Manifest, chunks, own_version
from labkit.console import Story
from labkit.errors import BundleInvalid, EngineNotFound, SetupFailed

_ENGINE_SECONDS = 600.0  # the engine's silence after the last piece, while it unpacks


def load(file: Path, provide_engine: Callable[[], None], story: Story | None = None) -> None:
    """Load a bundle's images, so that `labkit start` works without network. Twice is fine.

    `provide_engine` is called once the file has proved whole. Where it cannot provide one, or the user has
    chosen to do without, the virtual machine is unpacked that runs directly, if the bundle has it. Raises
    BundleInvalid for a bundle that is damaged or does not fit, before anything changes; EngineNotFound,
    EngineUnsuitable; LabError where a disk is full.
    """
    story = story or Story()
    with story.step("Bundle") as step:
        manifest = verify.check(file, step.bar)
        _require_tags(manifest, file)
        step.result = f"whole; made {manifest.created[:10]} by labkit {manifest.labkit}"
    if engine.kind() == engine.VM_DIRECT or not _provided(provide_engine, manifest, story):
        disks.load(file, manifest, story)
        _say_what_is_next(story)
        return
    client = engine.own_client(_ENGINE_SECONDS)
    _require_architecture(manifest, file, client.version()["Arch"])
    with story.step("Images") as step:
        missing = [tag for tag in manifest.images if not images.has(client, tag)]
        if missing:
            engine.require_room(client)
            images.load(client, _images(file, step.bar))
        step.result = f"{len(missing)} loaded, {len(manifest.images) - len(missing)} were there"
    images.ensure_all(client, topology.load(), quiet := Story(quiet=True))  # moves the tags `latest` along
    if manifest.has_machine:
        images.ensure_told(client, baking.NAME, quiet)
    story.say(f"Nothing more is needed from a network: {hint.command('start')}")


def _provided(provide_engine: Callable[[], None], manifest: Manifest, story: Story) -> bool:
    """Provide an engine of the user's own; false when there can be none, and the lab can do without."""
    try:
        provide_engine()
    except (EngineNotFound, SetupFailed) as error:
        if manifest.has_machine and engine.kind() != engine.DOCKER:
            story.say(f"   {error.what}: without one, the lab runs in a virtual machine")
            return False
        error.add_evidence("a bundle holds no Docker engine: the machine must have one already")
        raise
    return True


def _say_what_is_next(story: Story) -> None:
    up = hint.command("up", engine=engine.VM)
    if obstacles := engine.processes.obstacles():
        story.say("\n  ".join(["A virtual machine cannot run here yet:", *obstacles]))
        story.say(f"Try: {engine.processes.remedy()}\nThen: {up}")
    else:
        story.say(f"Nothing more is needed from a network: {up}")


def _require_tags(manifest: Manifest, file: Path) -> None:
    if engine.kind() in (engine.VM, engine.VM_DIRECT) and not manifest.has_machine:
        raise BundleInvalid(
            f"{file} has no virtual machine",
            evidence=[f"the bundle has {' '.join(manifest.images)}"],
            next_step=f"where it was made: {hint.command('bundle', 'save', file.name, *WITH_MACHINE)}",
        )
    wanted = set(images.content_tags(topology.load()))
    if manifest.has_machine:
        wanted.add(images.content_tag(baking.NAME))
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
        for piece in chunks(stream):
            done += len(piece)
            bar(done, member.size)
            yield piece
