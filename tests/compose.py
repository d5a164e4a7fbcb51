"""Docker Compose for tests and benchmarks, from Debian's package: neither Debian 12 nor PyPI brings it."""

import io
import shutil
import tarfile
from pathlib import Path

from labkit.engine.selection import EngineContext
from labkit.images import builder
from labkit.util import command_hint

_FETCH = """
cd /tmp
apt-get update -qq >&2
apt-get download -qq docker-compose >&2
dpkg-deb -x docker-compose_*.deb root
"""
_PROGRAM = "usr/libexec/docker/cli-plugins/docker-compose"


def binary(folder: Path) -> Path:
    """Return a `docker-compose` program: this machine's own, else one unpacked into `folder`."""
    for place in (Path.home() / ".docker/cli-plugins", Path("/usr/libexec/docker/cli-plugins")):
        if (place / "docker-compose").exists():
            return place / "docker-compose"
    if found := shutil.which("docker-compose"):
        return Path(found)
    client = EngineContext(command_hint.DEFAULT_LAB).client(timeout=300)
    base = builder.ensure(client, "base", print)
    fetcher = client.containers.create(base, ["sh", "-ec", _FETCH])
    try:
        fetcher.start()
        status = fetcher.wait(timeout=300)["StatusCode"]
        assert status == 0, fetcher.logs().decode()
        archive, _ = fetcher.get_archive(f"/tmp/root/{_PROGRAM}")
        with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
            tar.extractall(folder, filter="data")
    finally:
        fetcher.remove(force=True, v=True)
    return folder / "docker-compose"
