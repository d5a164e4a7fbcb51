"""Docker engines of other versions on this machine, for tests. Linux only, needs root.

Each engine is a tree of processes in namespaces of its own, on a file system made from a Debian release:
nothing of it meets the machine's own engine, and everything ends with the test, also if that is killed. It
has no network: the lab's images come from the machine's own engine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from platformdirs import user_cache_path

from labkit.engine.endpoints import Endpoint
from labkit.engine.find import ask, connect
from labkit.images import builder, store
from labkit.topology import topology
from labkit.util import lock
from labkit.util.console import ProgressReporter
from labkit.util.deadline import Deadline
from tests.engines.roots import root_of

_START_SECONDS = 60
_TOOLS = ("unshare", "ip", "bash", "mount", "pivot_root")
_FOLDER = "/engine"  # where the engine finds the folder of its socket and data
_CONTAINERD = ("--feature", "containerd-snapshotter=true")  # what Docker 29 installs by default
_STRICT = {"DOCKER_MIN_API_VERSION": "1.44"}  # what Docker 29 demands; the variable works from Docker 25 on

# The first process of the namespaces. It and all others end with its standard input, which the test holds.
_BOOT = r"""
set -eu
root=$1 folder=$2
shift 2
mount --make-rprivate /
ip link set lo up
mkdir -p "$folder/upper" "$folder/work" "$folder/root" "$folder/data"
mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mkdir -p old engine
mount --bind "$folder" engine
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . old
umount --lazy /old
exec 3<&0
"$@" </dev/null >>/engine/dockerd.log 2>&1 3<&- &
read -r _ <&3 || true  # it fails when the test's end is closed, and that is what it waits for
kill $! 2>/dev/null && wait $! || true  # the engine may have ended by itself, or end with an error now
"""


@dataclass(frozen=True)
class Outer:
    """An engine for labs: the Debian release that has it, dockerd's options, and its environment."""

    name: str
    suite: str
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The engine's version without its last number, such as `28.5`."""
        return self.name.partition("-")[0]

    @property
    def containerd(self) -> bool:
        """Whether it keeps images in containerd's store."""
        return self.options == _CONTAINERD

    @property
    def strict(self) -> bool:
        """Whether it refuses API versions as Docker 29 does."""
        return self.environment == _STRICT


OUTERS = {
    outer.name: outer
    for outer in (
        Outer("20.10", "bookworm"),
        Outer("26.1", "trixie"),
        Outer("28.5", "forky"),
        Outer("28.5-containerd", "forky", _CONTAINERD),
        Outer("28.5-strict", "forky", environment=_STRICT),
        Outer("28.5-like-29", "forky", _CONTAINERD, _STRICT),
    )
}


def lacks() -> str:
    """What this machine lacks to run other engines, or nothing."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    return ", ".join(f"needs {tool}" for tool in _TOOLS if not shutil.which(tool))


def folder_of(outer: Outer) -> Path:
    """Where the engine's files are while it runs."""
    return user_cache_path("labkit-test-engines") / outer.name


@contextmanager
def running(outer: Outer) -> Iterator[Endpoint]:
    """The engine, with nothing on it; at the end, all of it is gone."""
    folder = folder_of(outer)
    with lock.hold(f"outer-{outer.name}"):
        root = root_of(outer.suite)
        _clear(outer, folder)  # what a killed test has left
        folder.mkdir()
        try:
            with _process(outer, root, folder) as process:
                yield _answer(process, folder)
        finally:
            _clear(outer, folder)


@contextmanager
def _process(outer: Outer, root: Path, folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    command = [
        *("dockerd", f"--host=unix://{_FOLDER}/docker.sock", f"--data-root={_FOLDER}/data"),
        *(f"--cgroup-parent=/{cgroup_of(outer)}", *outer.options),
    ]
    environment = [f"{name}={value}" for name, value in outer.environment.items()]
    first = subprocess.Popen(
        [
            *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"),
            *("bash", "-c", _BOOT, "outer", str(root), str(folder)),
            *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *environment, *command),
        ],
        stdin=subprocess.PIPE,
    )
    try:
        yield first
    finally:
        first.communicate(timeout=_START_SECONDS)  # closes its standard input


def _answer(process: "subprocess.Popen[bytes]", folder: Path) -> Endpoint:
    socket, log = folder / "docker.sock", folder / "dockerd.log"
    for _ in Deadline(_START_SECONDS).attempts():
        assert process.poll() is None, f"the engine ended: {_tail(log)}"
        answer = ask(Endpoint(f"unix://{socket}", folder.name)) if socket.exists() else None
        if isinstance(answer, Endpoint):
            return answer
    raise AssertionError(f"the engine did not answer within {_START_SECONDS} s: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else "no log"


def cgroup_of(outer: Outer) -> str:
    """The name of the cgroup that holds all of the engine's containers."""
    return f"labkit-outer-{outer.name}"


def cgroups_of(outer: Outer) -> list[Path]:
    """Its folders: one, or with cgroup v1 one for each controller."""
    top = Path("/sys/fs/cgroup")
    return [*top.glob(cgroup_of(outer)), *top.glob(f"*/{cgroup_of(outer)}")]


def _clear(outer: Outer, folder: Path) -> None:
    """Remove the engine's files and its cgroups, which no process is in."""
    if folder.exists():
        shutil.rmtree(folder)
    for top in cgroups_of(outer):
        for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            group.rmdir()
        top.rmdir()


def provide(own: docker.DockerClient, engine: Endpoint) -> None:
    """Copy the lab's images from the machine's own engine, which keeps them in its own kind of store."""
    images = [*topology.load().images, "labkit/base", "labkit/busybox"]
    tags = builder.ensure_all(own, images, ProgressReporter()).values()
    with closing(connect(engine, timeout=600)) as client:
        store.load(client, store.save(own, tags))
