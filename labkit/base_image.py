"""The base of the lab's images: Debian, pulled where a registry answers, else made from a Debian mirror."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from labkit import system
from labkit.errors import ImageUnavailable
from labkit.state import state_dir

SUITE = "trixie"
UPSTREAM = f"debian:{SUITE}-slim"
IMAGE_LABEL = "org.labkit.image"
ORIGIN_LABEL = "org.labkit.origin"

Say = Callable[[str], None]


def make(client: docker.DockerClient, tag: str, folder: Path, say: Say) -> None:
    """Give the base image the tag `tag`; `folder` holds the script that makes it from a mirror.

    Raises ImageUnavailable when neither way works.
    """
    pull_error = _pull(client, tag, say)
    if pull_error is None:
        return
    say("no registry answers: making the base from a Debian mirror")
    if not shutil.which("mmdebstrap"):
        if not (shutil.which("apt-get") and os.geteuid() == 0):
            raise ImageUnavailable(
                f"{UPSTREAM} cannot be pulled, and mmdebstrap, which could make it, is not installed",
                evidence=[pull_error],
                next_step="sudo apt-get install mmdebstrap   (Debian, Ubuntu), or connect to a registry",
            )
        system.apt_install(["mmdebstrap", "debian-archive-keyring"], say)
    scratch = state_dir() / "build"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed build left
    scratch.mkdir(parents=True)
    try:
        _run(
            [str(folder / "build-root"), SUITE, debian_mirror(), str(scratch / "base.tar")],
            scratch,
            pull_error,
            say,
        )
        repository, _, version = tag.partition(":")
        client.api.import_image_from_file(
            str(scratch / "base.tar"),
            repository=repository,
            tag=version,
            changes=['CMD ["bash"]', f"LABEL {ORIGIN_LABEL}=mmdebstrap", f"LABEL {IMAGE_LABEL}=base"],
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def debian_mirror(sources: Path = Path("/etc/apt")) -> str:
    """The machine's own Debian mirror, from its apt sources; Debian's own where it has none."""
    for uri in _uris(sources):
        if uri.startswith("http://") and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    return "http://deb.debian.org/debian"


def _pull(client: docker.DockerClient, tag: str, say: Say) -> str | None:
    """Pull the base and tag it; return None, or why it could not be pulled."""
    try:
        client.images.get(UPSTREAM).tag(tag)
        return None
    except ImageNotFound:
        say(f"pulling {UPSTREAM}")
    try:
        client.images.pull(UPSTREAM).tag(tag)
        client.images.remove(UPSTREAM)  # the name was not there before
    except (DockerException, OSError) as error:
        return str(error)
    return None


def _run(command: list[str], scratch: Path, pull_error: str, say: Say) -> None:
    """Run the script and say its `I:` lines; raise ImageUnavailable with its last lines when it fails."""
    log: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    ) as process:
        assert process.stdout
        for line in process.stdout:
            log.append(line.rstrip())
            if line.startswith("I: "):
                say(line[3:].rstrip())
    if process.returncode:
        raise ImageUnavailable(
            f"{UPSTREAM} could neither be pulled nor made: `{' '.join(command)}` exited {process.returncode}",
            evidence=[pull_error, *log[-10:]],
            next_step="check the network and the mirror in /etc/apt, then run the command again",
        )


def _uris(folder: Path) -> Iterator[str]:
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))):
        for line in file.read_text().splitlines() if file.is_file() else ():
            if line.startswith("deb "):
                yield from (word for word in line.split() if "://" in word)
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in file.read_text().split("\n\n"):  # the deb822 format: a stanza per source
            fields = dict(line.split(":", 1) for line in stanza.splitlines() if line[:1].isalpha())
            if fields.get("Enabled", "yes").strip() != "no":
                yield from fields.get("URIs", "").split()
