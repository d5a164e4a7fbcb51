"""Runs the host's own setup commands: apt-get, systemctl. Linux only."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labkit.util.console import Say
from labkit.util.errors import SetupFailed
from labkit.util.paths import state_dir

APT_SECONDS = 900.0
_LISTS = Path("/var/lib/apt/lists")
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120")  # another apt may be running, for example after a boot


def apt_install(packages: Sequence[str], say: Say) -> None:
    """Install Debian packages; update the package lists first if there are none, or if installing fails.

    Needs root. Raises SetupFailed with apt's last lines.
    """
    install = (*_APT, "install", "-y", "--no-install-recommends", *packages)
    may_be_outdated = any(_LISTS.glob("*_Packages*"))
    if not may_be_outdated:
        _update(say)
    try:
        run(install, APT_SECONDS)
    except SetupFailed:
        if not may_be_outdated:
            raise
        _update(say)
        run(install, APT_SECONDS)
    say(f"installed {' '.join(packages)}")


def run(command: Sequence[str], seconds: float) -> None:
    """Run a command for at most `seconds`. Raises SetupFailed with its last lines.

    Its output goes to a file, because services that a package starts would keep a pipe open.
    """
    log = state_dir() / f"{command[0]}.log"
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            ).returncode
        except subprocess.TimeoutExpired:
            outcome = f"was still running after {seconds:.0f} s, so it was stopped"
        except OSError as error:
            outcome = f"could not run: {error.strerror}"
        else:
            if code == 0:
                return
            outcome = f"exited {code}"
    raise SetupFailed(
        f"`{' '.join(command)}` {outcome}",
        evidence=tail(log),
        next_step=f"fix what {log} reports, then run the command again",
    )


def tail(log: Path, lines: int = 10) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []


def _update(say: Say) -> None:
    run((*_APT, "update"), APT_SECONDS)
    say("updated the package lists")
