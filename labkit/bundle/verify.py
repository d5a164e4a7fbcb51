"""Checks that a bundle is complete and fits, before anything changes. Needs only Python."""

import hashlib
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path

from labkit.bundle.manifest import (
    MANIFEST,
    PROJECT,
    ROOT,
    Digest,
    Manifest,
    chunks,
    damaged,
    digest,
    is_member,
    other_version,
    parse,
    project_files,
    save_hint,
    this_platform,
    this_python,
)
from labkit.util.errors import BundleInvalid
from labkit.util.text import listed, version_number

Bar = Callable[[int, int], None]
"""Shows how many bytes of how many are done."""

_LISTED = 5  # how many members an error names


def check(file: Path, bar: Bar) -> Manifest:
    """Read all of a bundle and return its manifest. Raises BundleInvalid if anything has changed.

    The digests detect damage, but not forgery: anyone who can change the file can change them too.
    """
    try:
        text, found = _read(file, bar)
    except FileNotFoundError:
        raise BundleInvalid(f"no such file: {file}", next_step="check the path") from None
    except (tarfile.TarError, OSError) as error:
        raise damaged(file, "cannot be read", str(error)) from None
    if text is None:
        raise damaged(file, "is not a complete bundle", f"it has no {MANIFEST}")
    manifest = parse(text, file)
    problems = [
        *(f"{name}: missing" for name in manifest.members.keys() - found.keys()),
        *(f"{name}: not in the manifest" for name in found.keys() - manifest.members.keys()),
        *(
            f"{name}: changed since it was saved"
            for name in found
            if manifest.members.get(name, found[name]) != found[name]
        ),
    ]
    if problems:
        raise damaged(file, "is damaged", *_shortened(problems))
    return manifest


def require_this_host(manifest: Manifest, file: Path, root: Path = ROOT) -> None:
    """Raise BundleInvalid unless this Python can install labkit in `root` from the bundle."""
    save = save_hint(file)
    if manifest.platform != this_platform():
        raise BundleInvalid(
            f"{file} is for {manifest.platform}, but this host is {this_platform()}",
            next_step=f"on a host like this one: {save}",
        )
    if manifest.glibc and not _has_glibc(manifest.glibc):
        raise BundleInvalid(
            f"{file} needs glibc {manifest.glibc} or newer",
            evidence=[f"this host has {' '.join(platform.libc_ver()).strip() or 'another C library'}"],
            next_step=f"on a host with the same system as this one: {save}",
        )
    if this_python() not in manifest.pythons:
        raise BundleInvalid(
            f"{file} is for Python {listed(manifest.pythons)}, but this is Python {this_python()}",
            next_step=f"where it was created: {save} --python {this_python()}",
        )
    needed = {
        name: digest
        for name, digest in manifest.members.items()
        if name == f"{PROJECT}/pyproject.toml" or name.startswith(f"{PROJECT}/labkit/")
    }
    here = {name: digest(path) for name, path in project_files(root).items()}
    if differ := sorted(name for name in needed if here.get(name) != needed[name]):
        lines = _shortened([f"{name.partition('/')[2]} differs" for name in differ])
        raise other_version(file, f"is for another version of Swarm Lab than {root}", *lines)


def _read(file: Path, bar: Bar) -> tuple[bytes | None, dict[str, Digest]]:
    """The text of the manifest, and the digest of every other member."""
    text, found, total = None, dict[str, Digest](), file.stat().st_size
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            if (
                stream is None
                or member.name in found
                or not (is_member(member.name) or member.name == MANIFEST)
            ):
                raise tarfile.ReadError(f"unexpected member {member.name!r}")
            if member.name == MANIFEST:
                text = stream.read()
                continue
            seen, size = hashlib.sha256(), 0
            for chunk in chunks(stream):
                seen.update(chunk)
                size += len(chunk)
                bar(member.offset_data + size, total)
            found[member.name] = Digest(size, seen.hexdigest())
    return text, found


def _has_glibc(wanted: str) -> bool:
    name, version = platform.libc_ver()
    return name == "glibc" and version_number(version) >= version_number(wanted)


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - _LISTED
    return [*lines[:_LISTED], *([f"and {more} more"] if more > 0 else [])]
