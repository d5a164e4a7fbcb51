"""`python -m labkit.bundle FILE FOLDER`, which `./lab` runs before labkit is installed. Needs only Python.

Checks the bundle FILE, and that this Python on this host can use it; then unpacks its wheels into FOLDER.
"""

import shutil
import sys
import tarfile
from pathlib import Path

from labkit.bundle import verify
from labkit.bundle.manifest import WHEELS
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError


def main(file: Path, folder: Path) -> int:
    """Return the exit code: 0, or 1 if the bundle is refused, in which case nothing has changed."""
    try:
        with ProgressReporter().step("Bundle") as step:
            verify.require_this_host(verify.check(file, step.bar), file)
            step.result = "complete, and fits this host"
        unpack_wheels(file, folder)
    except LabError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def unpack_wheels(file: Path, folder: Path) -> None:
    """Unpack the wheels of a bundle that was checked into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed setup
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
