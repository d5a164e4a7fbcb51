"""`labkit test`: style, types and every test. Provides engine and browser: nothing skips in silence."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit import baking, engine, images, lock, system, topology
from labkit.console import Story
from labkit.engine.machine import this_machine
from labkit.errors import LabError, SetupFailed

ROOT = Path(__file__).parent.parent
REQUIRE_ENGINE = "LABKIT_REQUIRE_ENGINE"
REQUIRE_BROWSER = "LABKIT_REQUIRE_BROWSER"

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

_STYLE = (
    ("Style (ruff check)", ("ruff", "check", ".")),
    ("Format (ruff format)", ("ruff", "format", "--check", ".")),
    ("Types (mypy)", ("mypy",)),
)

# Most of the time they wait for a swarm. Tests of a file share labs and browsers; the short files stay last.
_SIDE_BY_SIDE = ("--numprocesses", "3", "--dist", "loadfile", "--no-loadscope-reorder")


def run(arguments: Sequence[str], full_kernel: bool = False) -> int:
    """Run everything, or pytest alone with `arguments`; return an exit code.

    What needs a full kernel comes last, on a virtual machine; with `full_kernel` it is all that runs.
    Raises ImageUnavailable when an image cannot be made, SetupFailed when there is no browser.
    """
    if not (ROOT / "tests").is_dir():
        raise LabError(
            "the tests are not here",
            evidence=[f"looked in {ROOT / 'tests'}"],
            next_step="run ./lab test in a checkout of the project",
        )
    story = Story()
    everything = not (arguments or full_kernel)
    failed = (
        [] if not everything else [title for title, command in _STYLE if not _passes(story, title, command)]
    )
    _provide_browser(story)
    client = engine.own_client(timeout=600)
    images.ensure_all(client, topology.load(), story)
    if not full_kernel and not _pytest(arguments or _SIDE_BY_SIDE):
        failed.append("Tests")
    if full_kernel or everything:
        images.ensure_told(client, baking.NAME, story)
        if not _pytest(["-m", "fullkernel", *arguments], LABKIT_ENGINE="vm"):
            failed.append("Tests on a full kernel")
    for title in failed:
        story.say(f"failed: {title}")
    return 1 if failed else 0


def _pytest(arguments: Sequence[str], **env: str) -> bool:
    # Tests see labkit as everybody does, not as those who came through ./lab.
    clean = {name: value for name, value in os.environ.items() if name != "LABKIT_COMMAND"}
    command = [sys.executable, "-m", "pytest", *arguments]
    required = {REQUIRE_ENGINE: "1", REQUIRE_BROWSER: "1"}
    return subprocess.run(command, cwd=ROOT, env={**clean, **required, **env}).returncode == 0


def find_browser() -> str | None:
    """Return the path of the browser that the browser tests drive: Chromium, or one that is built on it."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def _provide_browser(story: Story) -> None:
    """Install Chromium on Debian, as root. Raises SetupFailed where that is the user's to do."""
    with lock.hold("browser", say=story.say):
        if find_browser():
            return
        here = this_machine()
        if not (here.debian_like and here.root):
            raise SetupFailed(
                "the browser tests found no Chromium",
                evidence=[f"looked for {', '.join(_BROWSERS)}"],
                next_step="sudo apt-get install chromium"
                if here.debian_like
                else "install Chromium or Google Chrome",
            )
        system.apt_install(("chromium",), story.say)


def _passes(story: Story, title: str, command: Sequence[str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        story.say(f" ✗ {title}\n{done.stdout}{done.stderr}")
    else:
        story.say(f" ✓ {title}")
    return done.returncode == 0
