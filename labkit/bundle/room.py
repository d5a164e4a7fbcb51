"""Checks for enough disk space before anything is written."""

import shutil
from pathlib import Path

from labkit.util.errors import LabError


def require(folder: Path, size: int, other: str = "export LABKIT_STATE_DIR=FOLDER") -> None:
    """Raise LabError unless `folder` has room for `size` bytes. `other` says how to choose another disk."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise LabError(
            f"not enough disk space in {folder}",
            evidence=[f"{megabytes(free)} free, {megabytes(size)} needed"],
            next_step=f"free some space, or choose another disk: {other}",
        )


def megabytes(size: int) -> str:
    """A size in bytes, as text."""
    return f"{size / 1e6:.0f} MB"
