"""File systems of Debian releases with their Docker engine, made once and kept in the user's cache folder."""

import shutil
import subprocess
from pathlib import Path

from platformdirs import user_cache_path

from labkit.images.base_image import debian_mirror
from labkit.util import lock, packages

_PACKAGES = "docker.io containerd runc iptables iproute2 procps ca-certificates kmod mount"
_SECONDS = 600


def root_of(suite: str) -> Path:
    """The folder with this Debian release and its engine; makes it if there is none."""
    folder = user_cache_path("labkit-test-engines", ensure_exists=True) / f"root-{suite}"
    with lock.hold(f"root-{suite}"):
        if not folder.exists():
            if not shutil.which("mmdebstrap"):
                packages.apt_install(("mmdebstrap", "debian-archive-keyring"), print)
            _make(suite, folder)
    return folder


def _make(suite: str, folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    done = subprocess.run(
        [
            *("mmdebstrap", "--variant=essential", f"--include={_PACKAGES.replace(' ', ',')}"),
            # A mirror that is a copy may have an expired Release file; these roots are for tests alone.
            *("--aptopt=Acquire::Check-Valid-Until false", "--aptopt=APT::Install-Recommends false"),
            *(suite, str(part), debian_mirror()),
        ],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    part.rename(folder)
