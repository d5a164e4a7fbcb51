"""The manifest of a bundle: what the bundle is for, and every member's digest. Needs only Python."""

import hashlib
import json
import platform
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from labkit.util import command_hint
from labkit.util.errors import BundleInvalid

FORMAT = 1
PROJECT = "swarm-lab"
MANIFEST = "manifest.json"
WHEELS = "wheels"
IMAGES = "images.tar.gz"
WITH_MACHINE = ("--engine", "vm")  # the option that makes `bundle save` include the virtual machine
ROOT = Path(__file__).parents[2]

_FILES = (
    *("lab", "README.md", "LICENSE", "pyproject.toml", "environment.yml", "docker-compose.dind.yml"),
    *("labkit", "notebooks", "docs"),
)
_WORD = r"[A-Za-z0-9_+][A-Za-z0-9_+.\-]*"  # doesn't begin with a dot: neither `..` nor hidden files
_MEMBER = re.compile(rf"{re.escape(IMAGES)}|{WHEELS}/{_WORD}\.whl|{PROJECT}(/{_WORD})+")
_CHUNK = 1 << 20
_MACHINE = "labkit/machine:"


@dataclass(frozen=True)
class Digest:
    """A member's size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is in a bundle.

    `architecture` is what the images need, as Docker names it. `platform`, `pythons`, and `glibc` (the lowest
    version, or empty) are what the wheels need. `images` holds content tags, `members` every other member of
    the file. `machine` is the size in bytes of the virtual machine among the images; 0 without one.
    """

    labkit: str
    created: str
    architecture: str
    platform: str
    glibc: str
    pythons: list[str]
    images: list[str]
    members: dict[str, Digest]
    machine: int = 0

    @property
    def has_vm(self) -> bool:
        """Whether the virtual machine is among the images."""
        return any(tag.startswith(_MACHINE) for tag in self.images)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()


def parse(text: bytes, file: Path) -> Manifest:
    """Read the manifest of the bundle `file`. Raises BundleInvalid, including for an unknown format."""
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise other_version(file, "has another bundle format", f"this Swarm Lab reads format {FORMAT}")
        members = {name: Digest(**digest) for name, digest in fields.pop("members").items()}
        return Manifest(members=members, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(file, "has an unreadable manifest", repr(error)) from None


def is_member(name: str) -> bool:
    """Whether a bundle may have a member with this name, which must never lead out of its folder."""
    return _MEMBER.fullmatch(name) is not None


def project_files(root: Path = ROOT) -> dict[str, Path]:
    """The project's own files that belong in a bundle, by their names in it."""
    found: dict[str, Path] = {}
    for path in (root / name for name in _FILES):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = f"{PROJECT}/{file.relative_to(root).as_posix()}"
            if file.is_file() and "__pycache__" not in file.parts and is_member(name):
                found[name] = file
    return found


def settings(root: Path = ROOT) -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


def this_platform() -> str:
    """The platform that wheels are for, such as `linux-x86_64`."""
    return f"{platform.system()}-{platform.machine()}".lower()


def this_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a stream, in chunks."""
    while chunk := stream.read(_CHUNK):
        yield chunk


def digest(path: Path) -> Digest:
    """The size and SHA-256 of a file."""
    with path.open("rb") as file:
        return Digest(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def save_hint(file: Path, *options: str) -> str:
    """The command that creates a bundle of this name."""
    return command_hint.command("bundle", "save", file.name, *options)


def damaged(file: Path, problem: str, *evidence: str, options: Sequence[str] = ()) -> BundleInvalid:
    """The error for a bundle that arrived damaged."""
    again = f"copy {file.name} from its source again, or create it again: {save_hint(file, *options)}"
    return BundleInvalid(f"{file} {problem}", evidence=evidence, next_step=again)


def other_version(file: Path, problem: str, *evidence: str) -> BundleInvalid:
    """The error for a bundle of another version of Swarm Lab; says how to use the one that is in it."""
    path = shlex.quote(str(file.absolute()))
    commands = f"tar xf {path} {PROJECT} && cd {PROJECT} && ./lab bundle load {path}"
    return BundleInvalid(
        f"{file} {problem}", evidence=evidence, next_step=f"use the Swarm Lab in the bundle: {commands}"
    )
