"""Provides a Docker engine if there is none: installs it on Debian and Ubuntu, and starts it."""

from collections.abc import Callable

from labkit.engine import daemon
from labkit.engine.endpoints import Endpoint, chosen_by_user
from labkit.engine.find import PERMISSION_DENIED, own_engine
from labkit.engine.host_info import Host, this_host
from labkit.engine.rootless import PODMAN
from labkit.util import lock, packages
from labkit.util.console import Say
from labkit.util.errors import EngineNotFound

START_SECONDS = 120.0
_PACKAGES = ("docker.io", "iptables")


def ensure(say: Say, ask: Callable[[str], bool] | None) -> Endpoint:
    """Return the user's own engine; if there is none, provide one where labkit can.

    On Debian and Ubuntu, as root: installs the package docker.io if dockerd is missing, and starts it (with
    systemd if it's running, otherwise in the background). `ask` puts the question to the user first; None
    means that there's no terminal, so labkit goes ahead. `say` reports each action.

    Raises `EngineNotFound` with the next step if the user has to take it, or with dockerd's last lines if
    it failed; `SetupFailed` with apt's or systemd's last lines; `EngineUnsuitable` as `own_engine()` does.
    """
    try:
        return own_engine()
    except EngineNotFound as nothing:
        here = this_host()
        # Podman has the place of Docker's socket, or this user may not use it.
        taken = any(reason in line for line in nothing.evidence for reason in (PERMISSION_DENIED, PODMAN))
        if taken or chosen_by_user() or not (here.debian_like and here.root):
            raise
        if ask is not None and not ask(_question(here)):
            raise
    with lock.hold("engine", say=say):
        try:
            return own_engine()  # another labkit process may have provided one in the meantime
        except EngineNotFound:
            _provide(say, here)
    return own_engine()


def _question(here: Host) -> str:
    if here.dockerd:
        return "No Docker engine is running. Start the installed one?"
    return f"No Docker engine is running. Install {here.distribution}'s docker.io and start it?"


def _provide(say: Say, here: Host) -> None:
    if not here.dockerd:
        packages.apt_install(_PACKAGES, say)
    if here.systemd:
        packages.run(("systemctl", "start", "docker"), START_SECONDS)
        say("started Docker with systemd")
    else:
        daemon.start(say)
