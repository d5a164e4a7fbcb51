"""The virtual machine's disks out of a bundle: for users without a Docker engine, who run it directly.

They are in the image `machine`, below `machine/` in one or another of its layers. The archive of images, as
`docker save` writes it, is a tar with each layer as a tar in it; their names depend on the engine that saved.
"""

import contextlib
import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from labkit import baking, engine, hint, images, lock
from labkit.bundle import room
from labkit.bundle.manifest import IMAGES, WITH_MACHINE, Manifest, chunks, copy_again, own_version
from labkit.bundle.verify import Bar
from labkit.console import Story
from labkit.errors import BundleInvalid, LabError

_PLACE = "machine"  # in the image


def load(file: Path, manifest: Manifest, story: Story) -> None:
    """Unpack the disks of a bundle that was checked to where machines start from: whole, or not at all.

    Where they are already, nothing changes. A machine that runs goes on with the disks that it has open, and
    starts anew the next time. Raises BundleInvalid for disks that are not what the manifest says, LabError
    when they cannot be written.
    """
    folder = engine.processes.own_folder()
    with lock.hold("bundle", say=story.say), story.step("Machine's disks") as step:
        if engine.processes.version(folder) == images.content_tag(baking.NAME):
            step.result = f"were there, in {folder}"
            return
        part, old = (folder.with_name(f"{folder.name}.{end}") for end in ("part", "old"))
        _remove(part, old)  # what a killed load has left
        room.require(folder.parent, manifest.machine)
        part.mkdir()
        try:
            unpack(file, part, step.bar)
            running = engine.processes.outdate()
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        except OSError as error:
            raise LabError(
                f"the machine's disks could not be unpacked to {folder}",
                evidence=[str(error)],
                next_step=hint.command("bundle", "load", str(file)),
            ) from None
        finally:
            _remove(part, old)
        step.result = f"in {folder}"
    for lab in running:
        story.say(
            f"   lab '{lab}' runs on with the disks that it has; {hint.command('down', lab=lab)} ends it"
        )


def unpack(file: Path, folder: Path, bar: Bar) -> None:
    """Write the disks in a bundle to an empty folder, and down to the disk itself. Raises BundleInvalid."""
    try:
        for name, content in _disks(file, bar):
            if (folder / name).exists():
                raise tarfile.ReadError(f"{_PLACE}/{name} is in it twice")
            with (folder / name).open("wb") as disk:
                for piece in chunks(content):
                    disk.write(piece)
                disk.flush()
                os.fsync(disk.fileno())
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BundleInvalid(
            f"the images in {file} cannot be read",
            evidence=[str(error)],
            next_step=copy_again(file, *WITH_MACHINE),
        ) from None
    if absent := [name for name in engine.processes.DISKS if not (folder / name).exists()]:
        raise BundleInvalid(
            f"the virtual machine in {file} is not whole",
            evidence=[f"{_PLACE}/{name}: missing" for name in absent],
            next_step=copy_again(file, *WITH_MACHINE),
        )
    wanted, found = images.content_tag(baking.NAME), engine.processes.version(folder)
    if found != wanted:
        raise BundleInvalid(
            f"{file} has another virtual machine than this Swarm Lab starts",
            evidence=[f"this one starts {wanted}", f"the bundle has {found}"],
            next_step=own_version(file),
        )


def _disks(file: Path, bar: Bar) -> Iterator[tuple[str, IO[bytes]]]:
    """The disks in a bundle by name; each is to be read before the next is asked for."""
    with tarfile.open(file, "r:") as bundle:
        packed = bundle.extractfile(IMAGES)
        assert packed  # it was checked to be a plain file
        size = bundle.getmember(IMAGES).size
        with gzip.open(packed) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for entry in archive:
                bar(packed.tell(), size)
                layer = archive.extractfile(entry) if entry.isreg() else None
                if layer:
                    yield from _disks_of(layer)
            while plain.read(1 << 20):
                pass  # to its end, where gzip keeps a checksum


def _disks_of(layer: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with (
        contextlib.suppress(tarfile.ReadError),  # no tar: what describes the images is JSON
        tarfile.open(fileobj=layer, mode="r|*") as content,
    ):
        for member in content:
            place, _, name = member.name.partition("/")
            if place == _PLACE and name in engine.processes.DISKS and member.isreg():
                disk = content.extractfile(member)
                assert disk  # a plain file has content
                yield name, disk


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
