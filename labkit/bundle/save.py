"""`labkit bundle save`: collects everything, then writes the file at once or not at all."""

import contextlib
import gzip
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from labkit import baking, engine, images, lock, topology
from labkit.bundle import room, verify, wheels
from labkit.bundle.manifest import (
    IMAGES,
    MANIFEST,
    ROOT,
    WHEELS,
    Manifest,
    digest,
    project_files,
    settings,
    this_platform,
    this_python,
)
from labkit.console import Step, Story
from labkit.errors import LabError
from labkit.state import state_dir

_FAST = 1  # of gzip's levels: the bank's layers are compressed already
_BLOCK = 1024  # bytes: what a member of a tar costs beside its content, at most
_ENGINE_SECONDS = 600.0  # between two pieces of a saved image


def save(file: Path, pythons: Sequence[str] = (), story: Story | None = None) -> None:
    """Write a bundle for machines like this one, with wheels for its Python and for `pythons` (`3.12`).

    With the virtual machine where that is the engine that the user chose, though never made in one.
    A file that is there is replaced at the end, by a whole one. Raises LabError where it cannot be written,
    SetupFailed and ImageUnavailable where something cannot be had.
    """
    story = story or Story()
    part = file.with_name(f"{file.name}.part")
    _require_writable(file)
    with lock.hold("bundle", say=story.say), _scratch() as scratch:
        client = engine.own_client(_ENGINE_SECONDS)
        tags = [*images.ensure_all(client, topology.load(), story).values()]
        machine = 0
        if engine.kind() in (engine.VM, engine.VM_DIRECT):
            tags.append(images.ensure_told(client, baking.NAME, story))
            machine = images.size(client, tags[-1])
        (folder := scratch / WHEELS).mkdir()
        versions = sorted({this_python(), *pythons})
        with story.step("Python packages") as step:
            wheels.download(versions, folder, wheels.requirements())
            step.result = f"{len(list(folder.iterdir()))} wheels for Python {' and '.join(versions)}"
        with story.step("Images") as step:
            size = sum(images.size(client, tag) for tag in tags)
            room.require(scratch, size)
            with gzip.open(scratch / IMAGES, "wb", _FAST) as stream:
                for piece in images.save(client, tags):
                    stream.write(piece)
                    step.bar(stream.tell(), size)
            step.result = room.megabytes((scratch / IMAGES).stat().st_size)
        paths = {f"{WHEELS}/{path.name}": path for path in sorted(folder.iterdir())}
        before = project_files()
        manifest = Manifest(
            labkit=settings()["project"]["version"],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            architecture=client.version()["Arch"],
            platform=this_platform(),
            glibc=wheels.glibc([path.name for path in paths.values()]),
            pythons=versions,
            images=sorted(tags),
            members={
                name: digest(path) for name, path in {**before, **paths, IMAGES: scratch / IMAGES}.items()
            },
            machine=machine,
        )
        (scratch / MANIFEST).write_bytes(manifest.to_json())
        after = {MANIFEST: scratch / MANIFEST, **paths, IMAGES: scratch / IMAGES}
        try:
            with story.step("Bundle") as step:
                _write(part, {**before, **after}, step)
                step.result = room.megabytes(part.stat().st_size)
            with story.step("Check") as step:
                verify.check(part, step.bar)
                step.result = f"{len(manifest.members)} files are as they should be"
            part.replace(file)
        except OSError as error:
            raise _not_written(file, str(error)) from None
        finally:
            part.unlink(missing_ok=True)


def _require_writable(file: Path) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        raise LabError(
            "only a checkout of the project can be saved",
            evidence=[f"looked in {ROOT}"],
            next_step="in a checkout: ./lab bundle save FILE",
        )
    if file.is_dir():
        raise _not_written(file, "it is a folder")
    if not file.parent.is_dir():
        raise _not_written(file, f"there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise _not_written(file, f"{file.parent.absolute()} may not be written to")


def _not_written(file: Path, why: str) -> LabError:
    return LabError(f"{file} cannot be written", evidence=[why], next_step="name another FILE")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what is collected; gone afterwards, and what a killed save left is gone before."""
    folder = state_dir() / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write(part: Path, paths: dict[str, Path], step: Step) -> None:
    """Write the tar, down to the disk itself: a stick may be pulled out as soon as this ends."""
    total = sum(path.stat().st_size + _BLOCK for path in paths.values())
    room.require(part.parent, total, "another FILE")
    with part.open("wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in paths.items():
                member = tarfile.TarInfo(name)
                member.size = path.stat().st_size
                member.mtime = int(path.stat().st_mtime)
                member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                with path.open("rb") as content:
                    tar.addfile(member, _Watched(content, out, step, total))
        out.flush()
        os.fsync(out.fileno())


class _Watched:
    """A file to read that tells how far the file being written has come."""

    def __init__(self, content: BinaryIO, out: BinaryIO, step: Step, total: int) -> None:
        self._content, self._out, self._step, self._total = content, out, step, total

    def read(self, size: int = -1) -> bytes:
        self._step.bar(self._out.tell(), self._total)
        return self._content.read(size)
