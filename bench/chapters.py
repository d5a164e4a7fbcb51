"""Seconds that each chapter takes by nbval, alone, and `lab.begin` from a lab that is up.

python bench/chapters.py [REPEATS]     # REPEATS of `begin`; of the chapters one
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from labkit import Lab
from labkit.course.chapters import CHAPTERS
from labkit.util.console import ProgressReporter

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.notebooks.run import nbval, passes  # noqa: E402

LAB = "bench-chapters"


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    lab = Lab(LAB).up(reporter=ProgressReporter(quiet=True))
    whole = 0.0
    try:
        for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
            with tempfile.TemporaryDirectory() as folder:
                begun = time.monotonic()
                passes(notebook, nbval(notebook, Path(folder), LAB))
                took = time.monotonic() - begun
            whole += took
            print(f"| {notebook.stem} | {took:.0f} s |", flush=True)
        print(f"| all | {whole / 60:.1f} min |", flush=True)
        for chapter in CHAPTERS:
            seconds = []
            for _ in range(repeats):
                begun = time.monotonic()
                lab.begin(chapter, yes=True)
                seconds.append(time.monotonic() - begun)
            print(f"| `begin` {chapter} | {statistics.median(seconds):.1f} s |", flush=True)
    finally:
        lab.down()


if __name__ == "__main__":
    main()
