"""Whether a bundle is whole, and whether it fits: asked before anything changes. Nothing but Python."""

import hashlib
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path

from labkit import hint
from labkit.bundle.manifest import (
    MANIFEST,
    PROJECT,
    ROOT,
    Digest,
    Manifest,
    chunks,
    copy_again,
    digest,
    is_member,
    own_version,
    parse,
    project_files,
    this_platform,
    this_python,
)
from labkit.errors import BundleInvalid

Bar = Callable[[int, int], None]
"""Is told how many bytes of how many are done."""

_TOLD = 5  # members that an error names


def check(file: Path, bar: Bar) -> Manifest:
    """Read all of a bundle and return its manifest. Raises BundleInvalid unless it is whole, byte for byte.

    The digests tell damage, not forgery: whoever can change the file can change them.
    """
    try:
        text, found = _read(file, bar)
    except FileNotFoundError:
        raise BundleInvalid(f"there is no file {file}", next_step="check the path") from None
    except (tarfile.TarError, OSError) as error:
        raise BundleInvalid(
            f"{file} cannot be read", evidence=[str(error)], next_step=copy_again(file)
        ) from None
    if text is None:
        raise BundleInvalid(
            f"{file} is no whole bundle", evidence=[f"it has no {MANIFEST}"], next_step=copy_again(file)
        )
    manifest = parse(text, file)
    problems = [
        *(f"{name}: missing" for name in manifest.members.keys() - found.keys()),
        *(f"{name}: not in the manifest" for name in found.keys() - manifest.members.keys()),
        *(
            f"{name}: not as it was saved"
            for name in found
            if manifest.members.get(name, found[name]) != found[name]
        ),
    ]
    if problems:
        raise BundleInvalid(f"{file} is damaged", evidence=_shortened(problems), next_step=copy_again(file))
    return manifest


def require_this_machine(manifest: Manifest, file: Path, root: Path = ROOT) -> None:
    """Raise BundleInvalid unless labkit in `root` can be installed from the bundle by this very Python."""
    save = hint.command("bundle", "save", file.name)
    if manifest.platform != this_platform():
        raise BundleInvalid(
            f"{file} is for {manifest.platform}, this machine is {this_platform()}",
            next_step=f"on a machine like this one: {save}",
        )
    if manifest.glibc and not _has_glibc(manifest.glibc):
        raise BundleInvalid(
            f"{file} needs glibc {manifest.glibc} or newer",
            evidence=[f"this machine has {' '.join(platform.libc_ver()).strip() or 'another C library'}"],
            next_step=f"on a machine with a system like this one's: {save}",
        )
    if this_python() not in manifest.pythons:
        raise BundleInvalid(
            f"{file} is for Python {' and '.join(manifest.pythons)}, this one is {this_python()}",
            next_step=f"where it was made: {save} --python {this_python()}",
        )
    needed = {
        name: digest
        for name, digest in manifest.members.items()
        if name == f"{PROJECT}/pyproject.toml" or name.startswith(f"{PROJECT}/labkit/")
    }
    here = {name: digest(path) for name, path in project_files(root).items()}
    differ = sorted(name for name in needed if here.get(name) != needed[name])
    if differ:
        raise BundleInvalid(
            f"{file} is of another version of Swarm Lab than {root}",
            evidence=_shortened([f"{name.partition('/')[2]} differs" for name in differ]),
            next_step=own_version(file),
        )


def _read(file: Path, bar: Bar) -> tuple[bytes | None, dict[str, Digest]]:
    """The text of the manifest, and the digest of each other member."""
    text, found, total = None, dict[str, Digest](), file.stat().st_size
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            if (
                stream is None
                or member.name in found
                or not (is_member(member.name) or member.name == MANIFEST)
            ):
                raise tarfile.ReadError(f"a bundle has no member such as {member.name!r}")
            if member.name == MANIFEST:
                text = stream.read()
                continue
            seen, size = hashlib.sha256(), 0
            for piece in chunks(stream):
                seen.update(piece)
                size += len(piece)
                bar(member.offset_data + size, total)
            found[member.name] = Digest(size, seen.hexdigest())
    return text, found


def _has_glibc(wanted: str) -> bool:
    name, version = platform.libc_ver()
    return name == "glibc" and _number(version) >= _number(wanted)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - _TOLD
    return [*lines[:_TOLD], *([f"and {more} more"] if more > 0 else [])]
