"""The Python packages of a bundle, as wheels: labkit's dependencies, and what installs labkit offline."""

import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from labkit.bundle.manifest import ROOT, settings, this_python
from labkit.errors import SetupFailed

_EDITABLE = "editables"  # which hatchling asks for when it installs a checkout
_OLD_NAMES = {
    "manylinux1": "manylinux_2_5",
    "manylinux2010": "manylinux_2_12",
    "manylinux2014": "manylinux_2_17",
}
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_")


def requirements(root: Path = ROOT) -> list[str]:
    """What pip needs to install the checkout `root`, as pyproject.toml lists it; without tests and tools."""
    told = settings(root)
    return [*told["project"]["dependencies"], *told["build-system"]["requires"], _EDITABLE]


def download(pythons: Collection[str], folder: Path, wanted: Collection[str]) -> None:
    """Put into `folder` the wheels that `wanted` come to for each version of Python, for this machine.

    Raises SetupFailed with pip's last lines.
    """
    for python in pythons:
        asked: Collection[str] = wanted
        while asked:
            _pip_download(python, folder, asked)
            # pip reads the conditions of packages as for the Python it runs on: those of another come here.
            absent = missing(python, folder, wanted)
            if absent == asked:
                raise SetupFailed(f"pip did not get {', '.join(absent)}", next_step="run the command again")
            asked = absent


def missing(python: str, folder: Path, wanted: Collection[str]) -> list[str]:
    """What `wanted` come to for a version of Python, by the wheels' own words, and has no wheel there."""
    there: dict[str, set[str]] = {}
    for wheel in folder.glob("*.whl"):
        there.setdefault(parse_wheel_filename(wheel.name)[0], set()).update(_depends(wheel))
    absent: list[str] = []
    seen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        text = waiting.pop()
        if text in seen:
            continue
        seen.add(text)
        asked = Requirement(text)
        name = canonicalize_name(asked.name)
        if name not in there:
            asked.marker = None
            absent.append(str(asked))
        waiting += [each for each in there.get(name, ()) if _applies(Requirement(each), asked.extras, python)]
    return sorted(absent)


def glibc(names: Collection[str]) -> str:
    """The lowest version of glibc that all the wheels of these names run on, such as `2.28`, or empty."""
    lowest = [min(versions) for name in names if (versions := list(_glibc_versions(name)))]
    return ".".join(str(part) for part in max(lowest)) if lowest else ""


def _glibc_versions(name: str) -> Iterator[tuple[int, int]]:
    """One for each platform that a wheel's name lists."""
    for tag in parse_wheel_filename(name)[3]:
        old = tag.platform.partition("_")[0]
        if found := _GLIBC.match(tag.platform.replace(old, _OLD_NAMES.get(old, old), 1)):
            yield int(found[1]), int(found[2])


def _depends(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])


def _applies(asked: Requirement, extras: Collection[str], python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    return asked.marker is None or any(
        asked.marker.evaluate({**environment, "extra": extra}) for extra in (*extras, "")
    )


def _pip_download(python: str, folder: Path, wanted: Collection[str]) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ]
    other = [] if python == this_python() else ["--python-version", python]
    done = subprocess.run(
        [*command, *other, "--dest", str(folder), "--find-links", str(folder), *wanted],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise SetupFailed(
            f"pip could not download the packages for Python {python}",
            evidence=done.stderr.splitlines()[-10:],
            next_step="check the network, then run the command again",
        )
