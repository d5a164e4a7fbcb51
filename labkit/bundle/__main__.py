"""`python -m labkit.bundle FILE FOLDER`: for `./lab`, where labkit is not installed yet. Nothing but Python.

Checks the bundle FILE, and that this Python on this machine can use it; then puts its wheels into FOLDER.
"""

import shutil
import sys
import tarfile
from pathlib import Path

from labkit.bundle import verify
from labkit.bundle.manifest import WHEELS
from labkit.console import Story
from labkit.errors import LabError


def main(file: Path, folder: Path) -> int:
    """Return the exit code: 0, or 1 for a bundle that is refused; then nothing has changed."""
    try:
        with Story().step("Bundle") as step:
            verify.require_this_machine(verify.check(file, step.bar), file)
            step.result = "whole, and fits this machine"
        unpack_wheels(file, folder)
    except LabError as error:
        print(error.story(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def unpack_wheels(file: Path, folder: Path) -> None:
    """Put the wheels of a bundle that was checked into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)  # what a killed set-up left
    folder.mkdir()
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            place, _, name = member.name.partition("/")
            stream = tar.extractfile(member) if place == WHEELS else None
            if stream:
                with (folder / name).open("wb") as wheel:
                    shutil.copyfileobj(stream, wheel)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
