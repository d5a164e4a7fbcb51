"""The course's notebooks: where they are, and a learner's own copies of them."""

import hashlib
import json
import shutil
from pathlib import Path

from labkit.util import command_hint
from labkit.util.errors import LabError, SetupFailed
from labkit.util.text import counted, listed

PACKAGED = Path(__file__).parents[1] / "notebooks"
"""Where an installed labkit has them; a checkout has no such folder."""
CHECKOUT = Path(__file__).parents[2] / "notebooks"
RECORD = ".swarm-lab.json"
"""In a learner's folder: which version of each chapter was copied, as a hash by the file's name."""


def provide(chosen: Path | None = None) -> Path:
    """Return the folder to serve, with the chapters in it.

    In a checkout that's its own folder of notebooks. `chosen`, or the current folder where labkit is
    installed, gets a copy of every chapter that it lacks; what's already there is never changed. Prints
    one line when there's news. Raises LabError when there are no notebooks, SetupFailed when they can't be
    copied.
    """
    source = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    if not source.is_dir():
        raise LabError(
            "the course's notebooks are missing",
            evidence=[f"looked in {PACKAGED} and {CHECKOUT}"],
            next_step="install labkit again, or start from a checkout of the project: ./lab start",
        )
    if chosen is None and source == CHECKOUT:
        return CHECKOUT
    own = chosen or Path.cwd()
    try:
        own.mkdir(parents=True, exist_ok=True)
        news = _copy(source, own)
    except OSError as error:
        raise SetupFailed(
            f"the notebooks could not be copied to {own}",
            evidence=[str(error)],
            next_step=command_hint.command("start", "--notebooks", "ANOTHER_FOLDER"),
        ) from None
    if news:
        print(news)
    return own.resolve()


def _copy(source: Path, own: Path) -> str:
    """Copy the chapters that `own` lacks; return what to tell about them, or about newer versions."""
    copied, added, outdated = _read(own / RECORD), [], []
    before = dict(copied)
    for chapter in sorted(source.glob("*.ipynb")):
        name, version = chapter.name, hashlib.sha256(chapter.read_bytes()).hexdigest()
        target = own / name
        if not (target.exists() or target.is_symlink()):
            part = own / f".{name}.part"  # an interrupted copy must not look like a learner's notebook
            shutil.copyfile(chapter, part)
            part.replace(target)
            copied[name] = version
            added.append(name)
        elif copied.get(name, version) != version:
            outdated.append(name)
    if copied != before:
        (own / RECORD).write_text(json.dumps(copied, indent=1) + "\n")
    news = []
    if added:
        news.append(f"Copied {listed(added) if before else counted(len(added), 'notebook')} to {own}.")
    if outdated:
        news.append(
            f"Swarm Lab has a newer version of {listed(outdated)}; yours stay as they are "
            "(to get a new one, rename yours and start again)."
        )
    return " ".join(news)


def _read(record: Path) -> dict[str, str]:
    try:
        found = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
