"""`labkit bundle save`: collects everything, then writes a complete file or none."""

import contextlib
import gzip
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

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
from labkit.engine.selection import EngineContext
from labkit.images import builder, engines, store, vm_disk
from labkit.topology import topology
from labkit.util import lock
from labkit.util.console import ProgressReporter, Step
from labkit.util.errors import LabError
from labkit.util.paths import state_dir
from labkit.util.text import listed

_FAST = 1  # gzip level; the layers of the image `bank` are already compressed
_BLOCK = 1024  # bytes, the most that a tar adds to the content of a member
_ENGINE_SECONDS = 600.0  # between two chunks of a saved image


def save(
    context: EngineContext,
    file: Path,
    pythons: Sequence[str] = (),
    reporter: ProgressReporter | None = None,
    *,
    dockers: Sequence[str] = (),
) -> None:
    """Write a bundle for hosts like this one, with wheels for its Python and for `pythons` (`3.12`).

    It includes nodes' images with the engines `dockers` (`28.5`), besides the one of the topology file, and
    the virtual machine if the user chose that as the engine. An existing file is only replaced at the end, by
    a complete one. Raises LabError if the file can't be written or there's no such engine, SetupFailed or
    ImageUnavailable if something that belongs in it can't be obtained.
    """
    reporter = reporter or ProgressReporter()
    part = file.with_name(f"{file.name}.part")
    _require_writable(file)
    with lock.hold("bundle", say=reporter.say), _scratch() as scratch:
        client = context.own_client(_ENGINE_SECONDS)
        tags = _ensure_images(context, dockers, reporter)
        (folder := scratch / WHEELS).mkdir()
        versions = sorted({this_python(), *pythons})
        with reporter.step("Python packages") as step:
            wheels.download(versions, folder, wheels.requirements())
            step.result = f"{len(list(folder.iterdir()))} wheels for Python {listed(versions)}"
        with reporter.step("Images") as step:
            size = sum(store.size(client, tag) for tag in tags)
            room.require(scratch, size)
            _pack(store.save(client, tags), scratch / IMAGES, size, step)
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
            machine=store.size(client, tags[-1]) if context.wants_vm else 0,
        )
        (scratch / MANIFEST).write_bytes(manifest.to_json())
        after = {MANIFEST: scratch / MANIFEST, **paths, IMAGES: scratch / IMAGES}
        try:
            with reporter.step("Bundle") as step:
                _write(part, {**before, **after}, step)
                step.result = room.megabytes(part.stat().st_size)
            with reporter.step("Check") as step:
                verify.check(part, step.bar)
                step.result = f"{len(manifest.members)} files are correct"
            part.replace(file)
        except OSError as error:
            raise _not_written(file, str(error)) from None
        finally:
            part.unlink(missing_ok=True)


def _ensure_images(context: EngineContext, dockers: Sequence[str], reporter: ProgressReporter) -> list[str]:
    """The tags of the images that belong in the bundle, the virtual machine's last."""
    client = context.own_client(_ENGINE_SECONDS)
    images = {*topology.load().images, *(engines.find(version).image for version in dockers)}
    tags = [*builder.ensure_all(client, sorted(images), reporter).values()]
    if context.wants_vm:
        tags.append(builder.ensure_step(client, vm_disk.NAME, reporter))
    return tags


def _pack(archive: Iterator[bytes], file: Path, size: int, step: Step) -> None:
    """Compress an archive of images, `size` bytes in total, to a file."""
    with gzip.open(file, "wb", _FAST) as stream:
        for chunk in archive:
            stream.write(chunk)
            step.bar(stream.tell(), size)


def _require_writable(file: Path) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        raise LabError(
            "a bundle can only be saved from a checkout of the project",
            evidence=[f"looked in {ROOT}"],
            next_step="in a checkout: ./lab bundle save FILE",
        )
    if file.is_dir():
        raise _not_written(file, "it is a folder")
    if not file.parent.is_dir():
        raise _not_written(file, f"no such folder: {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise _not_written(file, f"no permission to write to {file.parent.absolute()}")


def _not_written(file: Path, why: str) -> LabError:
    return LabError(f"{file} cannot be written", evidence=[why], next_step="name another FILE")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder, removed afterwards; also removes what a killed save left."""
    folder = state_dir() / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write(part: Path, paths: dict[str, Path], step: Step) -> None:
    """Write the tar and sync it, because a USB stick may be pulled out as soon as this returns."""
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
    """A file whose reads show the progress of the file that is being written."""

    def __init__(self, content: BinaryIO, out: BinaryIO, step: Step, total: int) -> None:
        self._content, self._out, self._step, self._total = content, out, step, total

    def read(self, size: int = -1) -> bytes:
        self._step.bar(self._out.tell(), self._total)
        return self._content.read(size)
