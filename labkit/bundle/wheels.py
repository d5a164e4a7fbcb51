"""Downloads a bundle's Python packages: labkit's dependencies, and what it takes to install it offline."""

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
from labkit.util.errors import SetupFailed

_EDITABLE = "editables"  # which hatchling needs to install a checkout
_OLD_NAMES = {
    "manylinux1": "manylinux_2_5",
    "manylinux2010": "manylinux_2_12",
    "manylinux2014": "manylinux_2_17",
}
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_")


def requirements(root: Path = ROOT) -> list[str]:
    """What pip needs to install the checkout `root`, according to pyproject.toml, but not to test it."""
    found = settings(root)
    return [*found["project"]["dependencies"], *found["build-system"]["requires"], _EDITABLE]


def download(pythons: Collection[str], folder: Path, wanted: Collection[str]) -> None:
    """Download to `folder` the wheels of `wanted` and their dependencies, for each version of Python.

    They're for hosts like this one. Raises SetupFailed with pip's last lines.
    """
    for python in pythons:
        asked: Collection[str] = wanted
        while asked:
            _pip_download(python, folder, asked)
            # pip evaluates markers for the Python it runs on, so it misses some packages of another one.
            absent = missing(python, folder, wanted)
            if absent == asked:
                raise SetupFailed(
                    f"pip did not download {', '.join(absent)}", next_step="run the command again"
                )
            asked = absent


def missing(python: str, folder: Path, wanted: Collection[str]) -> list[str]:
    """Which of `wanted` and their dependencies, for a version of Python, have no wheel in `folder`."""
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
    """The lowest version of glibc on which all of these wheels run, such as `2.28`, or empty."""
    lowest = [min(versions) for name in names if (versions := list(_glibc_versions(name)))]
    return ".".join(str(part) for part in max(lowest)) if lowest else ""


def _glibc_versions(name: str) -> Iterator[tuple[int, int]]:
    """The version for each platform in a wheel's name."""
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
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--dest", str(folder), "--find-links", str(folder)]
    if python != this_python():
        command += ["--python-version", python]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SetupFailed(
            f"pip could not download the packages for Python {python}",
            evidence=done.stderr.splitlines()[-10:],
            next_step="check the network, then run the command again",
        )
