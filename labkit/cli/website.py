"""`labkit docs`: builds the course and the documentation as a static website."""

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from labkit.util.errors import LabError, SetupFailed

ROOT = Path(__file__).parents[2]
_SETTINGS = Path("docs/site")


def build(target: Path) -> Path:
    """Build the website in the folder `target` from the committed chapters; return its first page.

    Nothing is executed. Raises LabError outside a checkout of the project, and SetupFailed if Sphinx is
    missing or finds something wrong, such as a link that leads nowhere; `target` stays as it is then.
    """
    if not (ROOT / _SETTINGS / "conf.py").is_file():
        raise LabError(
            "no pages found",
            evidence=[f"looked in {ROOT / _SETTINGS}"],
            next_step="run ./lab docs in a checkout of the project",
        )
    if find_spec("myst_nb") is None:
        raise SetupFailed(
            "the packages that build the website are missing",
            evidence=["myst-nb isn't installed"],
            next_step="run ./lab docs, which installs them, or pip install --editable '.[docs]'",
        )
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    command += ["--builder", "html", "--conf-dir", str(_SETTINGS), "."]
    with tempfile.TemporaryDirectory(prefix="labkit-site-") as scratch:
        built = Path(scratch) / "html"
        command += [str(built), "--doctree-dir", f"{scratch}/doctrees"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupFailed("the website can't be built", evidence=done.stderr.strip().splitlines()[-10:])
        shutil.copytree(built, target, dirs_exist_ok=True)
    return target / f"{_SETTINGS}/index.html"
