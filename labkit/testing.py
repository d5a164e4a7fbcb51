"""`labkit test`: style, types and every test, with the engine provided, so that nothing skips in silence."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit import engine, images, topology
from labkit.console import Story
from labkit.errors import LabError

ROOT = Path(__file__).parent.parent
REQUIRE_ENGINE = "LABKIT_REQUIRE_ENGINE"

_STYLE = (
    ("Style (ruff check)", ("ruff", "check", ".")),
    ("Format (ruff format)", ("ruff", "format", "--check", ".")),
    ("Types (mypy)", ("mypy",)),
)


def run(arguments: Sequence[str]) -> int:
    """Run everything, or pytest alone with `arguments`; return an exit code.

    Raises ImageUnavailable when an image cannot be made.
    """
    if not (ROOT / "tests").is_dir():
        raise LabError(
            "the tests are not here",
            evidence=[f"looked in {ROOT / 'tests'}"],
            next_step="run ./lab test in a checkout of the project",
        )
    story = Story()
    failed = [] if arguments else [title for title, command in _STYLE if not _passes(story, title, command)]
    images.ensure_all(engine.client(timeout=600), topology.load(), story)
    # Tests see labkit as everybody does, not as those who came through ./lab.
    env = {name: value for name, value in os.environ.items() if name != "LABKIT_COMMAND"}
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env={**env, REQUIRE_ENGINE: "1"}
    )
    for title in failed:
        story.say(f"failed: {title}")
    return 1 if failed or tests.returncode else 0


def _passes(story: Story, title: str, command: Sequence[str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        story.say(f" ✗ {title}\n{done.stdout}{done.stderr}")
    else:
        story.say(f" ✓ {title}")
    return done.returncode == 0
