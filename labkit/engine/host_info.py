"""What this host is, and how its user can get a Docker engine on it."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from labkit.images import architecture
from labkit.util import command_hint

# How each family of Linux distributions installs an engine, by the ID or ID_LIKE of /etc/os-release.
# Red Hat's own systems list fedora in ID_LIKE but don't have this package, so they get the general answer.
_INSTALL = {
    "debian": ("apt-get update", "apt-get install -y --no-install-recommends docker.io iptables"),
    "fedora": ("dnf install -y moby-engine",),
    "arch": ("pacman -S --noconfirm docker",),
    "suse": ("zypper install -y docker",),
    "alpine": ("apk add docker",),
}
_DOCS = "https://docs.docker.com"
_JOIN_GROUP = "sudo usermod -aG docker $USER, then log in again"


@dataclass(frozen=True)
class Host:
    """The facts that decide how to get an engine.

    `system` is `Linux`, `Darwin`, or `Windows`; `families` are the distribution's own ID and the ones it
    derives from; `dockerd` says whether the engine's program is installed; `architecture` is the processor's,
    under Docker's name.
    """

    system: str
    families: tuple[str, ...] = ()
    systemd: bool = False
    root: bool = False
    dockerd: bool = False
    architecture: str = architecture.VM

    @property
    def distribution(self) -> str:
        """The distribution's display name, such as `Debian`."""
        return self.families[0].capitalize() if self.families else self.system

    @property
    def debian_like(self) -> bool:
        """Whether labkit can install an engine by itself: on Debian, Ubuntu, and their derivatives."""
        return self.system == "Linux" and "debian" in self.families


def this_host() -> Host:
    """Read the facts about the host that labkit runs on (the engine may run on another one)."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # macOS, Windows, or a Linux without os-release
        release = {}
    identity = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()
    return Host(
        system=platform.system(),
        families=tuple(identity),
        systemd=Path("/run/systemd/system").exists(),  # the check that sd_booted(3) does
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        dockerd=shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None,
        architecture=architecture.of_host(),
    )


def next_step(host: Host, *, chosen: str = "", denied: bool = False, distrusted: bool = False) -> str:
    """Return what to do when no engine answered: commands to paste, or an exact instruction.

    `chosen` names the user's own choice of engine, if there is one. `denied` means that a socket exists but
    refused this user; `distrusted` means that the engine's certificate and the user's don't match.
    """
    if denied:
        return f"{_JOIN_GROUP}     ({command_hint.command('doctor')} shows more)"
    if distrusted:
        return (
            f"check the certificates for {chosen}: ca.pem must have signed the engine's certificate, "
            "and the engine must accept cert.pem"
        )
    if chosen:
        return f"start the engine that {chosen} points to, or unset it to use the one on this host"
    if host.system == "Darwin":
        install = f"{_DOCS}/desktop/setup/install/mac-install/"
        return f"open -a Docker, and wait until it's running     (not installed? {install})"
    if host.system == "Windows":
        install = f"{_DOCS}/desktop/setup/install/windows-install/"
        return f"start Docker Desktop from the Start menu     (not installed? {install})"
    return _on_linux(host)


def _on_linux(host: Host) -> str:
    family = next((name for name in host.families if name in _INSTALL), None)
    if host.dockerd:
        steps: tuple[str, ...] = ()
    elif family is None or {"rhel", "centos"} & set(host.families):
        return f"install Docker Engine ({_DOCS}/engine/install/), then start it"
    else:
        steps = _INSTALL[family]
    start = "systemctl start docker" if host.systemd else "sh -c 'dockerd >/var/log/dockerd.log 2>&1 &'"
    commands = [*steps, start]
    if not host.root:
        commands = [*(f"sudo {command}" for command in commands), _JOIN_GROUP]
    return "\n     ".join(commands)
