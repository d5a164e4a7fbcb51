"""Provides a Docker engine where none is: installs it on Debian and Ubuntu, and starts it."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.engine import daemon
from labkit.engine.daemon import Say
from labkit.engine.find import PERMISSION_DENIED, find
from labkit.engine.machine import Machine, this_machine
from labkit.engine.places import Endpoint, chosen_by_user
from labkit.errors import EngineNotFound

APT_SECONDS = 900.0
START_SECONDS = 120.0
_LISTS = Path("/var/lib/apt/lists")
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120")  # another apt may be at work, as after a boot
_INSTALL = (*_APT, "install", "-y", "--no-install-recommends", "docker.io", "iptables")


def ensure(say: Say, ask: Callable[[str], bool] | None) -> Endpoint:
    """Return the user's engine; where there is none, provide one if that is labkit's to do.

    On Debian and Ubuntu, as root: installs the package docker.io if dockerd is missing, and starts it (by
    systemd where that runs, else in the background). With a terminal, `ask` gets the question first and
    answers it; without one (`None`) it goes ahead. `say` hears of each thing done.

    Raises `EngineNotFound` with the exact next step where that is the user's to do, or with apt's,
    systemd's or dockerd's last lines when it failed; `EngineUnsuitable` as `find()` does.
    """
    try:
        return find()
    except EngineNotFound as nothing:
        here = this_machine()
        denied = any(PERMISSION_DENIED in line for line in nothing.evidence)
        if denied or chosen_by_user() or not (here.debian_like and here.root):
            raise
        if ask is not None and not ask(_question(here)):
            raise
    with daemon.exclusive():
        try:
            return find()  # another labkit may have provided one while this one waited
        except EngineNotFound:
            _provide(say, here)
    return find()


def _question(here: Machine) -> str:
    if here.dockerd:
        return "No Docker engine answers. Start the one that is installed?"
    return f"No Docker engine answers. Install docker.io from {here.distribution} and start it?"


def _provide(say: Say, here: Machine) -> None:
    if not here.dockerd:
        _install(say, here)
    if here.systemd:
        _run(("systemctl", "start", "docker"), START_SECONDS)
        say("started Docker with systemd")
    else:
        daemon.start(say)


def _install(say: Say, here: Machine) -> None:
    may_be_outdated = any(_LISTS.glob("*_Packages*"))
    if not may_be_outdated:
        _update(say, here)
    try:
        _run(_INSTALL, APT_SECONDS)
    except EngineNotFound:
        if not may_be_outdated:
            raise
        _update(say, here)
        _run(_INSTALL, APT_SECONDS)
    version = subprocess.run(
        ("dpkg-query", "--show", "--showformat=${Version}", "docker.io"), capture_output=True, text=True
    ).stdout
    say(f"installed docker.io {_upstream(version)} from {here.distribution}")


def _update(say: Say, here: Machine) -> None:
    _run((*_APT, "update"), APT_SECONDS)
    say(f"read {here.distribution}'s package lists")


def _upstream(version: str) -> str:
    """Return `20.10.24` of Debian's `20.10.24+dfsg1-1+deb12u1`."""
    match = re.match(r"[\d.]+", version)
    return match[0] if match else version


def _run(command: Sequence[str], seconds: float) -> None:
    """Run a system command; on failure raise with its last lines.

    Its output goes to a file: a pipe would stay open in the services that a package starts.
    """
    log = daemon.folder() / f"{command[0]}.log"
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
            outcome = f"still ran after {seconds:.0f} s and was stopped"
        except OSError as error:
            outcome = f"could not run: {error.strerror}"
        else:
            if code == 0:
                return
            outcome = f"exited {code}"
    raise EngineNotFound(
        f"`{' '.join(command)}` {outcome}",
        evidence=daemon.tail(log),
        next_step=f"read {log}, mend what it names, then labkit up again",
    )
