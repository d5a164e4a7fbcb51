"""What this machine is, and what its user has to do to get a Docker engine on it."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from labkit import hint

# How each family of Linux distributions installs an engine, by the ID or ID_LIKE of /etc/os-release.
# Red Hat's own systems name fedora in ID_LIKE but have no such package: they get the general answer.
_INSTALL = {
    "debian": (
        "apt-get update",
        "apt-get install -y --no-install-recommends docker.io iptables",
    ),
    "fedora": ("dnf install -y moby-engine",),
    "arch": ("pacman -S --noconfirm docker",),
    "suse": ("zypper install -y docker",),
    "alpine": ("apk add docker",),
}
_DOCS = "https://docs.docker.com"


@dataclass(frozen=True)
class Machine:
    """The facts that decide how an engine gets here.

    `system` is `Linux`, `Darwin` or `Windows`; `families` are the distribution's own ID and those it is
    like; `dockerd` says whether the engine's program is installed.
    """

    system: str
    families: tuple[str, ...] = ()
    systemd: bool = False
    root: bool = False
    dockerd: bool = False

    @property
    def distribution(self) -> str:
        """The distribution's name for people, such as `Debian`."""
        return self.families[0].capitalize() if self.families else self.system

    @property
    def debian_like(self) -> bool:
        """Whether labkit itself can install an engine: Debian, Ubuntu and what derives from them."""
        return self.system == "Linux" and "debian" in self.families


def this_machine() -> Machine:
    """Read the facts about the machine that labkit runs on (which need not be the engine's)."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # macOS, Windows, or a Linux that does not say what it is
        release = {}
    identity = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()
    return Machine(
        system=platform.system(),
        families=tuple(identity),
        systemd=Path("/run/systemd/system").exists(),  # the test of sd_booted(3)
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        dockerd=shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None,
    )


def next_step(machine: Machine, *, chosen: str = "", denied: bool = False, distrusted: bool = False) -> str:
    """Return what to do when no engine answered: commands to paste, or an exact instruction.

    `chosen` names the user's own choice of engine, where there is one; `denied` says that a socket is
    there and refused this user, `distrusted` that an engine and this user's certificates do not fit.
    """
    if denied:
        return f"sudo usermod -aG docker $USER, then log in again     ({hint.command('doctor')} shows more)"
    if distrusted:
        return (
            f"check the certificates that go with {chosen}: ca.pem has to vouch for the engine's, "
            "and the engine has to accept cert.pem"
        )
    if chosen:
        return f"start the engine that {chosen} names, or unset that to use the one on this machine"
    if machine.system == "Darwin":
        return (
            "open -a Docker, and wait until it runs"
            f"     (not installed? {_DOCS}/desktop/setup/install/mac-install/)"
        )
    if machine.system == "Windows":
        return (
            "start Docker Desktop from the Start menu"
            f"     (not installed? {_DOCS}/desktop/setup/install/windows-install/)"
        )
    return _on_linux(machine)


def _on_linux(machine: Machine) -> str:
    family = next((name for name in machine.families if name in _INSTALL), None)
    if machine.dockerd:
        steps: tuple[str, ...] = ()
    elif family is None or {"rhel", "centos"} & set(machine.families):
        return f"install Docker Engine as {_DOCS}/engine/install/ says, then start it"
    else:
        steps = _INSTALL[family]
    start = "systemctl start docker" if machine.systemd else "sh -c 'dockerd >/var/log/dockerd.log 2>&1 &'"
    commands = [*steps, start]
    if not machine.root:
        commands = [f"sudo {command}" for command in commands]
        commands.append("sudo usermod -aG docker $USER, then log in again")
    return "\n     ".join(commands)
