"""What a bundle says about itself: what it is for, and the digest of every member. Nothing but Python."""

import hashlib
import json
import platform
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from labkit import hint
from labkit.errors import BundleInvalid

FORMAT = 1
PROJECT = "swarm-lab"
MANIFEST = "manifest.json"
WHEELS = "wheels"
IMAGES = "images.tar.gz"
WITH_MACHINE = ("--engine", "vm")  # the option that makes `bundle save` take the virtual machine along
ROOT = Path(__file__).parents[2]

_FILES = (
    *("lab", "README.md", "LICENSE", "pyproject.toml", "environment.yml", "docker-compose.dind.yml"),
    *("labkit", "notebooks", "docs"),
)
_WORD = r"[A-Za-z0-9_+][A-Za-z0-9_+.\-]*"  # begins with no dot: neither `..` nor what is hidden
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

    `architecture` is the images', as Docker names it; `platform`, `pythons` and `glibc`, the lowest version,
    or empty, are the wheels'. `images` holds content tags, `members` every other member of the file.
    `machine` is the size in bytes of the virtual machine among the images; 0 without one.
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
    def has_machine(self) -> bool:
        """Whether the virtual machine is among the images."""
        return any(tag.startswith(_MACHINE) for tag in self.images)

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()


def parse(text: bytes, file: Path) -> Manifest:
    """Read the manifest of the bundle `file`. Raises BundleInvalid, also for a format that is not ours."""
    try:
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise BundleInvalid(
                f"{file} is a bundle of another format than this Swarm Lab's",
                evidence=[f"this one reads format {FORMAT}"],
                next_step=own_version(file),
            )
        members = {name: Digest(**digest) for name, digest in fields.pop("members").items()}
        return Manifest(members=members, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleInvalid(
            f"the manifest of {file} cannot be read", evidence=[repr(error)], next_step=copy_again(file)
        ) from None


def is_member(name: str) -> bool:
    """Whether a bundle may hold a member of this name: never one that leads out of its folder."""
    return _MEMBER.fullmatch(name) is not None


def project_files(root: Path = ROOT) -> dict[str, Path]:
    """The project's own files that go into a bundle, by their names in it."""
    found: dict[str, Path] = {}
    for path in (root / name for name in _FILES):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = f"{PROJECT}/{file.relative_to(root).as_posix()}"
            if file.is_file() and "__pycache__" not in file.parts and is_member(name):
                found[name] = file
    return found


def settings(root: Path = ROOT) -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((root / "pyproject.toml").read_text())


def this_platform() -> str:
    """The machine that wheels are for, such as `linux-x86_64`."""
    return f"{platform.system()}-{platform.machine()}".lower()


def this_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a stream, piece by piece."""
    while piece := stream.read(_CHUNK):
        yield piece


def digest(path: Path) -> Digest:
    """Read a file for its size and SHA-256."""
    with path.open("rb") as file:
        return Digest(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def copy_again(file: Path, *options: str) -> str:
    """What to do about a bundle that arrived damaged."""
    return f"copy {file.name} again from where it came, or make it again: " + hint.command(
        "bundle", "save", file.name, *options
    )


def own_version(file: Path) -> str:
    """How to use the Swarm Lab that is in the bundle."""
    path = shlex.quote(str(file.absolute()))
    commands = f"tar xf {path} {PROJECT} && cd {PROJECT} && ./lab bundle load {path}"
    return f"use the Swarm Lab that is in it: {commands}"
