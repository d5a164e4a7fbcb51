"""Provides a Docker engine where none is: installs it on Debian and Ubuntu, and starts it."""

from collections.abc import Callable

from labkit import lock, system
from labkit.engine import daemon
from labkit.engine.daemon import Say
from labkit.engine.find import PERMISSION_DENIED, own_engine
from labkit.engine.machine import Machine, this_machine
from labkit.engine.places import Endpoint, chosen_by_user
from labkit.errors import EngineNotFound

START_SECONDS = 120.0
_PACKAGES = ("docker.io", "iptables")


def ensure(say: Say, ask: Callable[[str], bool] | None) -> Endpoint:
    """Return the user's own engine; where there is none, provide one if that is labkit's to do.

    On Debian and Ubuntu, as root: installs the package docker.io if dockerd is missing, and starts it (by
    systemd where that runs, else in the background). With a terminal, `ask` gets the question first and
    answers it; without one (`None`) it goes ahead. `say` hears of each thing done.

    Raises `EngineNotFound` with the exact next step where that is the user's to do, or with dockerd's last
    lines when it failed; `SetupFailed` with apt's or systemd's; `EngineUnsuitable` as `own_engine()` does.
    """
    try:
        return own_engine()
    except EngineNotFound as nothing:
        here = this_machine()
        denied = any(PERMISSION_DENIED in line for line in nothing.evidence)
        if denied or chosen_by_user() or not (here.debian_like and here.root):
            raise
        if ask is not None and not ask(_question(here)):
            raise
    with lock.hold("engine", say=say):
        try:
            return own_engine()  # another labkit may have provided one while this one waited
        except EngineNotFound:
            _provide(say, here)
    return own_engine()


def _question(here: Machine) -> str:
    if here.dockerd:
        return "No Docker engine answers. Start the one that is installed?"
    return f"No Docker engine answers. Install docker.io from {here.distribution} and start it?"


def _provide(say: Say, here: Machine) -> None:
    if not here.dockerd:
        system.apt_install(_PACKAGES, say)
    if here.systemd:
        system.run(("systemctl", "start", "docker"), START_SECONDS)
        say("started Docker with systemd")
    else:
        daemon.start(say)
