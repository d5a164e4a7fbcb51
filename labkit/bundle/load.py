"""`labkit bundle load`: checks the file, then loads the missing images into the engine."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.bundle import disks, verify
from labkit.bundle.manifest import IMAGES, WITH_MACHINE, Manifest, chunks, other_version, save_hint
from labkit.engine import doctor
from labkit.engine.selection import DOCKER, VM, VM_DIRECT, EngineContext
from labkit.engine.vm import process
from labkit.images import builder, engines, store, vm_disk
from labkit.topology import topology
from labkit.util.console import ProgressReporter
from labkit.util.errors import BundleInvalid, EngineNotFound, SetupFailed

_ENGINE_SECONDS = 600.0  # the engine doesn't answer while it unpacks the last chunk


def load(
    context: EngineContext,
    file: Path,
    provide_engine: Callable[[], None],
    reporter: ProgressReporter | None = None,
) -> None:
    """Load a bundle's images, so that `labkit start` works without internet. Idempotent.

    `provide_engine` is called once the file has proved complete. If it can't provide an engine, or the user
    has chosen to do without one, unpacks the virtual machine that runs directly, if the bundle has it. Raises
    BundleInvalid if the bundle is damaged or doesn't fit, before anything changes; EngineNotFound,
    EngineUnsuitable; LabError if a disk is full.
    """
    reporter = reporter or ProgressReporter()
    with reporter.step("Bundle") as step:
        manifest = verify.check(file, step.bar)
        _require_tags(context, manifest, file)
        step.result = f"complete; created {manifest.created[:10]} by labkit {manifest.labkit}"
    if context.kind == VM_DIRECT or not _provided(context, provide_engine, manifest, reporter):
        disks.load(file, manifest, reporter)
        _report_next_step(context, reporter)
        return
    client = context.own_client(_ENGINE_SECONDS)
    _require_architecture(manifest, file, client.version()["Arch"])
    with reporter.step("Images") as step:
        missing = [tag for tag in manifest.images if not store.has(client, tag)]
        if missing:
            doctor.require_room(client)
            store.load(client, _images(file, step.bar))
        step.result = f"{len(missing)} loaded, {len(manifest.images) - len(missing)} already present"
    quiet = ProgressReporter(quiet=True)
    builder.ensure_all(client, topology.load().images, quiet)  # moves the tags that the topology file uses
    for engine in engines.ENGINES.values():
        if builder.content_tag(engine.name) in manifest.images:
            builder.ensure_step(client, engine.name, quiet)
    if manifest.has_vm:
        builder.ensure_step(client, vm_disk.NAME, quiet)
    reporter.say(f"The lab works without internet now: {context.hint('start')}")


def _provided(
    context: EngineContext, provide_engine: Callable[[], None], manifest: Manifest, reporter: ProgressReporter
) -> bool:
    """Provide the user's own engine; return false if that's impossible, but the lab can do without one."""
    try:
        provide_engine()
    except (EngineNotFound, SetupFailed) as error:
        if manifest.has_vm and context.kind != DOCKER:
            reporter.say(f"   {error.what}, so the lab will run in a virtual machine")
            return False
        error.add_evidence("a bundle does not contain a Docker engine: the host must already have one")
        raise
    return True


def _report_next_step(context: EngineContext, reporter: ProgressReporter) -> None:
    up = context.hint("up", engine=VM)
    if obstacles := process.obstacles():
        reporter.say("\n  ".join(["A virtual machine cannot run on this host yet:", *obstacles]))
        reporter.say(f"Try: {process.remedy()}\nThen: {up}")
    else:
        reporter.say(f"The lab works without internet now: {up}")


def _require_tags(context: EngineContext, manifest: Manifest, file: Path) -> None:
    contents = f"the bundle has {' '.join(manifest.images)}"
    if context.wants_vm and not manifest.has_vm:
        raise BundleInvalid(
            f"{file} has no virtual machine",
            evidence=[contents],
            next_step=f"where it was created: {save_hint(file, *WITH_MACHINE)}",
        )
    wanted = set(builder.content_tags(topology.load().images))
    if manifest.has_vm:
        wanted.add(builder.content_tag(vm_disk.NAME))
    if lacking := sorted(wanted - set(manifest.images)):
        needs = f"this Swarm Lab needs {' '.join(lacking)}"
        raise other_version(file, "has images for another version of Swarm Lab", needs, contents)


def _require_architecture(manifest: Manifest, file: Path, engine: str) -> None:
    if manifest.architecture != engine:
        raise BundleInvalid(
            f"the images in {file} are for {manifest.architecture}, but the Docker engine is {engine}",
            next_step=f"on an {engine} host: {save_hint(file)}",
        )


def _images(file: Path, bar: verify.Bar) -> Iterator[bytes]:
    with tarfile.open(file, "r:") as tar:
        member = tar.getmember(IMAGES)
        stream = tar.extractfile(member)
        assert stream  # a regular file, as `verify` has checked
        done = 0
        for chunk in chunks(stream):
            done += len(chunk)
            bar(done, member.size)
            yield chunk
