"""Unpacks the virtual machine's disks from a bundle, for users who run it directly, without Docker.

They're in the image `machine`, under `machine/` in one or more of its layers. The archive of images, as
`docker save` writes it, is a tar of layers, which are tars themselves; their names depend on the engine.
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

from labkit.bundle import room
from labkit.bundle.manifest import IMAGES, WITH_MACHINE, Manifest, chunks, damaged, other_version
from labkit.bundle.verify import Bar
from labkit.engine.vm import process
from labkit.images import builder, vm_disk
from labkit.util import command_hint, lock
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError

_PLACE = "machine"  # in the image


def load(file: Path, manifest: Manifest, reporter: ProgressReporter) -> None:
    """Unpack the disks of a bundle that was checked to the folder that VMs start from: all or none of them.

    If they're already there, nothing changes. A running VM keeps the disks that it has open, and starts fresh
    next time. Raises BundleInvalid for disks that don't match the bundle, LabError if they can't be written.
    """
    folder = process.own_folder()
    with lock.hold("bundle", say=reporter.say), reporter.step("VM disks") as step:
        if process.version(folder) == builder.content_tag(vm_disk.NAME):
            step.result = f"already in {folder}"
            return
        part, old = (folder.with_name(f"{folder.name}.{end}") for end in ("part", "old"))
        _remove(part, old)  # left by a killed load
        room.require(folder.parent, manifest.machine)
        part.mkdir()
        try:
            unpack(file, part, step.bar)
            running = process.outdate()
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        except OSError as error:
            raise LabError(
                f"the virtual machine's disks could not be unpacked to {folder}",
                evidence=[str(error)],
                next_step=command_hint.command("bundle", "load", str(file)),
            ) from None
        finally:
            _remove(part, old)
        step.result = f"in {folder}"
    for lab in running:
        reporter.say(f"   lab '{lab}' keeps its old disks until {command_hint.command('down', lab=lab)}")


def unpack(file: Path, folder: Path, bar: Bar) -> None:
    """Write the disks in a bundle to an empty folder, and sync them. Raises BundleInvalid."""
    try:
        for name, content in _disks(file, bar):
            if (folder / name).exists():
                raise tarfile.ReadError(f"duplicate {_PLACE}/{name}")
            with (folder / name).open("wb") as disk:
                for chunk in chunks(content):
                    disk.write(chunk)
                disk.flush()
                os.fsync(disk.fileno())
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise damaged(file, "has unreadable images", str(error), options=WITH_MACHINE) from None
    if absent := [f"{_PLACE}/{name}: missing" for name in process.DISKS if not (folder / name).exists()]:
        raise damaged(file, "has an incomplete virtual machine", *absent, options=WITH_MACHINE)
    wanted, found = builder.content_tag(vm_disk.NAME), process.version(folder)
    if found != wanted:
        needs = (f"this Swarm Lab needs {wanted}", f"the bundle has {found}")
        raise other_version(file, "has a virtual machine for another version of Swarm Lab", *needs)


def _disks(file: Path, bar: Bar) -> Iterator[tuple[str, IO[bytes]]]:
    """The disks in a bundle by name; read each one before asking for the next."""
    with tarfile.open(file, "r:") as bundle:
        packed = bundle.extractfile(IMAGES)
        assert packed  # a regular file, as `verify` has checked
        size = bundle.getmember(IMAGES).size
        with gzip.open(packed) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for entry in archive:
                bar(packed.tell(), size)
                layer = archive.extractfile(entry) if entry.isreg() else None
                if layer:
                    yield from _disks_of(layer)
            while plain.read(1 << 20):
                pass  # to the end, where gzip stores a checksum


def _disks_of(layer: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with (
        contextlib.suppress(tarfile.ReadError),  # not a tar, but the JSON that describes the images
        tarfile.open(fileobj=layer, mode="r|*") as content,
    ):
        for member in content:
            place, _, name = member.name.partition("/")
            if place == _PLACE and name in process.DISKS and member.isreg():
                disk = content.extractfile(member)
                assert disk  # because it's a regular file
                yield name, disk


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
