"""The base of the lab's images: Debian, pulled from a registry or built from a Debian mirror."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from labkit.images import architecture, engines, proxies
from labkit.util import packages
from labkit.util.console import Say
from labkit.util.errors import ImageUnavailable
from labkit.util.paths import state_dir

SUITE = "trixie"
UPSTREAM = f"debian:{SUITE}-slim"
IMAGE_LABEL = "org.labkit.image"
ORIGIN_LABEL = "org.labkit.origin"
_END_SECONDS = 20.0


def upstream(suite: str) -> str:
    """The name that a registry has for the base of a Debian release."""
    return f"debian:{suite}-slim"


def make(client: docker.DockerClient, tag: str, folder: Path, say: Say, suite: str = SUITE) -> None:
    """Create the base image `tag` of a Debian release; `folder` holds the script that builds it.

    Raises ImageUnavailable if it can be neither pulled nor built.
    """
    pull_error = _pull(client, tag, say, upstream(suite))
    if pull_error is None:
        return
    _require_own_processor(client, pull_error)
    say("no registry answers; building the base from a Debian mirror")
    if not shutil.which("mmdebstrap"):
        if not (shutil.which("apt-get") and os.geteuid() == 0):
            raise ImageUnavailable(
                f"{upstream(suite)} cannot be pulled, and mmdebstrap, which could build it, is not installed",
                evidence=[pull_error],
                next_step="sudo apt-get install mmdebstrap     (Debian, Ubuntu), or connect to a registry",
            )
        packages.apt_install(["mmdebstrap", "debian-archive-keyring"], say)
    scratch = state_dir() / "build"
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed build
    scratch.mkdir(parents=True)
    way = proxies.on_this_computer(client, say)
    try:
        archive = str(scratch / "base.tar")
        mirror = debian_mirror()
        if engines.expired_allowed():
            mirror = f"deb [check-valid-until=no] {mirror} {suite} main"
        try:
            _run([str(folder / "build-root"), suite, mirror, archive], scratch, pull_error, say, way)
        except ImageUnavailable as error:
            raise engines.explain(error) from None
        repository, _, version = tag.partition(":")
        client.api.import_image_from_file(
            archive,
            repository=repository,
            tag=version,
            changes=['CMD ["bash"]', f"LABEL {ORIGIN_LABEL}=mmdebstrap", f"LABEL {IMAGE_LABEL}=base"],
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_own_processor(client: docker.DockerClient, pull_error: str) -> None:
    """Raise ImageUnavailable if what is built on this computer wouldn't run on the engine's."""
    here, there = architecture.of_host(), architecture.of_engine(client)
    if here != there:
        raise ImageUnavailable(
            "the base image cannot be pulled, and one built here would not run on the Docker engine",
            evidence=[pull_error, f"this computer is {here}; the Docker engine's is {there}"],
            next_step="connect the Docker engine to a registry, or load a bundle that was saved on its kind",
        )


def debian_mirror(sources: Path = Path("/etc/apt")) -> str:
    """The host's Debian mirror, from its apt sources; Debian's own if it has none."""
    for uri in _uris(sources):
        if uri.startswith("http://") and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    return "http://deb.debian.org/debian"


def _pull(client: docker.DockerClient, tag: str, say: Say, upstream: str) -> str | None:
    """Pull the base and tag it; return None, or why it couldn't be pulled."""
    try:
        client.images.get(upstream).tag(tag)
        return None
    except ImageNotFound:
        say(f"pulling {upstream}")
    try:
        client.images.pull(upstream).tag(tag)
        client.images.remove(upstream)  # this tag wasn't there before
    except (DockerException, OSError) as error:
        return str(error)
    return None


def _run(
    command: list[str], scratch: Path, pull_error: str, say: Say, environment: Mapping[str, str]
) -> None:
    """Run the script and show its `I:` lines; raise ImageUnavailable with its last lines if it fails."""
    log: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "TMPDIR": str(scratch)},
        start_new_session=True,  # so that all of its processes can be ended together
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                log.append(line.rstrip())
                if line.startswith("I: "):
                    say(line[3:].rstrip())
        except BaseException:  # an interrupt, or the reader of our output is gone
            _end(process)
            raise
    if process.returncode:
        raise ImageUnavailable(
            f"{upstream(command[1])} can be neither pulled nor built: "
            f"`{' '.join(command)}` exited {process.returncode}",
            evidence=[pull_error, *log[-10:]],
            next_step="check the network and the mirror in /etc/apt, then run the command again",
        )


def _end(process: "subprocess.Popen[str]") -> None:
    """End the script and every process that it has started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _uris(folder: Path) -> Iterator[str]:
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))):
        for line in file.read_text().splitlines() if file.is_file() else ():
            if line.startswith("deb "):
                yield from (word for word in line.split() if "://" in word)
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in file.read_text().split("\n\n"):  # the deb822 format: one stanza per source
            fields = dict(line.split(":", 1) for line in stanza.splitlines() if line[:1].isalpha())
            if fields.get("Enabled", "yes").strip() != "no":
                yield from fields.get("URIs", "").split()
