"""Builds the image of a workshop: labkit and all that it needs, on a node's engine.

Containers can't reach a package index, so this computer downloads the wheels. The image's Python is another
one than the one that labkit runs on here.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import docker
from packaging.requirements import Requirement

import labkit
from labkit.bundle import wheels
from labkit.images import builder, dockerfile, store
from labkit.images.base_image import IMAGE_LABEL
from labkit.jupyter import notebooks
from labkit.topology import topology
from labkit.util import lock
from labkit.util.console import Say
from labkit.util.paths import state_dir

NAME, SYSTEM = "workshop", "workshop-system"
PYTHON = "3.13"
"""The image's Python: the one of the Debian release that it's built on."""

_DISTRIBUTION = "docker-swarm-lab"
_BUILD_SECONDS = 1800.0


def requirements() -> list[str]:
    """The Python packages of the image, but for labkit: what it needs, with its extra `workshop`."""
    found = []
    for text in metadata.requires(_DISTRIBUTION) or ():
        asked = Requirement(text)
        if asked.marker is None or asked.marker.evaluate({"extra": NAME, "python_version": PYTHON}):
            asked.marker = None
            found.append(str(asked))
    return sorted(found)


def tag() -> str:
    """The tag of the image, from the content of all that goes into it."""
    digest = hashlib.sha256(f"{builder.content_tag(NAME)} {requirements()}".encode())
    for name, path in _package():
        digest.update(f"{name} {path.stat().st_mode & 0o100:o} ".encode())
        digest.update(path.read_bytes())
    return f"labkit/{NAME}:{digest.hexdigest()[:12]}"


def ensure(client: docker.DockerClient, say: Say) -> str:
    """Return the image's tag; build it, and what it's built on, if it doesn't exist.

    Raises ImageUnavailable, or SetupFailed when the Python packages can't be downloaded.
    """
    wanted = tag()
    if store.has(client, wanted):
        return wanted
    builder.ensure(client, "node", say)
    with lock.hold("images", say=say, wait=_BUILD_SECONDS):
        if not store.has(client, wanted):
            system = _system(client, say)
            with _context(NAME) as context:
                for name, path in _package():
                    _copy(path, context / "package" / name)
                dockerfile.build(client, context, wanted, {"SYSTEM": system}, {IMAGE_LABEL: NAME}, say)
            _remove_others(client, NAME, wanted)
    return wanted


def _system(client: docker.DockerClient, say: Say) -> str:
    wanted = requirements()
    digest = hashlib.sha256(f"{builder.content_tag(SYSTEM)} {wanted}".encode())
    tag = f"labkit/{SYSTEM}:{digest.hexdigest()[:12]}"
    if store.has(client, tag):
        return tag
    with _context(SYSTEM) as context:
        folder = context / "wheels"
        folder.mkdir()
        say(f"downloading the Python packages for Python {PYTHON}")
        wheels.download([PYTHON], folder, wanted)
        (folder / "requirements.txt").write_text("\n".join(wanted))
        below = {key: builder.content_tag(name) for key, name in builder.foundations(SYSTEM).items()}
        try:
            dockerfile.build(client, context, tag, below, {IMAGE_LABEL: SYSTEM}, say)
        finally:
            dockerfile.remove_stages(client)
    _remove_others(client, SYSTEM, tag)
    return tag


@contextmanager
def _context(name: str) -> Iterator[Path]:
    """A copy of an image's folder, for a build that needs more than is in it."""
    with tempfile.TemporaryDirectory(dir=state_dir()) as scratch:
        folder = Path(scratch) / name
        shutil.copytree(builder.FOLDER / name, folder)
        yield folder


def _package() -> Iterator[tuple[str, Path]]:
    """The files of labkit as a wheel has them, by their names in it."""
    package = Path(labkit.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"labkit/{path.relative_to(package).as_posix()}", path
    yield f"labkit/{topology.FILE_NAME}", topology.default_path()
    if not notebooks.PACKAGED.is_dir():
        for path in sorted(notebooks.CHECKOUT.glob("*.ipynb")):
            yield f"labkit/notebooks/{path.name}", path


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


def _remove_others(client: docker.DockerClient, name: str, tag: str) -> None:
    """Remove the image's other tags, as far as no container uses them."""
    for image in client.images.list(name=f"labkit/{name}"):
        for other in image.tags:
            if other != tag and other.startswith(f"labkit/{name}:"):
                store.remove(client, other)
