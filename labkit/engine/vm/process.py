"""The home of a VM as a process of this user on Linux: no Docker, no root. Needs QEMU 8 or newer."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labkit.engine.host_info import this_host
from labkit.engine.vm.home import FOLDER
from labkit.engine.vm.monitor import LINE_SECONDS, Line
from labkit.images import architecture, builder, vm_disk
from labkit.util import background, command_hint, packages
from labkit.util.deadline import Deadline
from labkit.util.errors import EngineUnsuitable
from labkit.util.paths import state_dir

MINIMUM_QEMU = 8  # 7.2 crashes emulated guests with several CPUs
PROGRAMS = ("qemu-system-x86_64", "qemu-img")
DISKS = ("kernel", "initrd", "system.qcow2", "data.qcow2", "id")
"""The files that VMs start from; `id` holds their content tag."""

_QEMU = f"QEMU {MINIMUM_QEMU} or newer: Debian 13, Ubuntu 24.04, or later"
_PACKAGES = ("qemu-system-x86", "qemu-utils")  # of Debian and Ubuntu; they contain PROGRAMS
_END_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"


def origin() -> Path | None:
    """The folder that VMs start from: `LABKIT_MACHINE`, otherwise labkit's own or the image's."""
    chosen = os.environ.get("LABKIT_MACHINE")
    places = [Path(chosen)] if chosen else [own_folder(), Path("/machine")]
    return next((place for place in places if version(place)), None)


def own_folder() -> Path:
    """Labkit's own folder that VMs start from; `labkit bundle load` creates it."""
    return state_dir() / "machine"


def version(folder: Path) -> str:
    """The content tag of the DISKS in a folder; empty if any of them is missing."""
    complete = all((folder / name).is_file() for name in DISKS)
    return (folder / "id").read_text().strip() if complete else ""


def obstacles() -> list[str]:
    """What is missing to run a VM on this host, one line each; empty if nothing is."""
    if obstacle := architecture.vm_obstacle(this_host().architecture):
        return [obstacle]  # QEMU or disks wouldn't help
    return [*_without_qemu(), *_without_disks()]


def remedy() -> str:
    """How to remove the obstacles: commands to paste, or an exact instruction."""
    steps, here = [], this_host()
    if architecture.vm_obstacle(here.architecture):
        return architecture.without_vm()
    if _without_qemu():
        absent = not all(map(shutil.which, PROGRAMS))
        install = f"{'' if here.root else 'sudo '}apt-get install {' '.join(_PACKAGES)}"
        steps.append(f"{install}     ({_QEMU})" if absent and here.debian_like else f"install {_QEMU}")
    if _without_disks():
        save = command_hint.command("bundle", "save", "FILE", "--engine", "vm")
        steps.append(f"{command_hint.command('bundle', 'load', 'FILE')}     (to create FILE: {save})")
    return "\n     ".join(steps)


def require() -> None:
    """Raise EngineUnsuitable, with what is missing, unless a VM can run on this host."""
    if lacking := obstacles():
        raise EngineUnsuitable("a virtual machine cannot run here", evidence=lacking, next_step=remedy())


def _without_qemu() -> list[str]:
    if absent := [f"{program:<20} not installed" for program in PROGRAMS if not shutil.which(program)]:
        return absent
    version = subprocess.run([PROGRAMS[0], "--version"], capture_output=True, text=True, timeout=30).stdout
    number = re.search(r"version (\d+)", version)
    here = int(number[1]) if number else 0
    if here >= MINIMUM_QEMU:
        return []
    return [f"{PROGRAMS[0]:<20} is version {here}; labkit needs {MINIMUM_QEMU} or newer"]


def _without_disks() -> list[str]:
    folder = origin()
    if folder is None:
        return [f"{'its disks':<20} not found"]
    wanted, here = builder.content_tag(vm_disk.NAME), version(folder)
    return [] if here == wanted else [f"{'its disks':<20} in {folder} are {here}; labkit needs {wanted}"]


def runs_on_kvm() -> bool:
    """Whether this user can run VMs with KVM, found out by running one that does nothing."""
    script = ("sh", str(FOLDER / "runs-on-kvm"), str(origin()))
    return subprocess.run(script, stdin=subprocess.DEVNULL).returncode == 0


def labs() -> list[str]:
    """The labs whose VM is a process of this user, running or stopped but not removed."""
    return [path.parent.name for path in sorted((state_dir() / "vm").glob("*/lock"))]


def outdate() -> list[str]:
    """Make every VM start fresh next time; return the labs whose VM is running, so it keeps its old disks.

    A VM's state only fits the very disks that it started from, not others with the same content tag.
    """
    for state in kept():
        (state / "identity").unlink(missing_ok=True)
    return [lab for lab in labs() if Process(lab).running]


def kept() -> list[Path]:
    """The folders with the state of this user's VMs."""
    return sorted((state_dir() / "vm").glob("*/state"))


class Process:
    """The home of a lab's VM that is a process.

    QEMU itself holds its lock, because it inherits the open file. Unlike a pid, a lock can't end up with
    another process.
    """

    title = "a process of this user"

    def __init__(self, lab: str) -> None:
        self._folder = state_dir() / "vm" / lab
        self._state = self._folder / "state"
        self._lock, self._console = self._folder / "lock", self._folder / "console.log"

    @property
    def running(self) -> bool:
        if not self.present:
            return False
        import fcntl  # here because Windows doesn't have it

        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def port(self) -> int:
        return int((self._folder / "port").read_text())

    def launch(self, memory: int, snapshots: Sequence[str]) -> None:
        import fcntl

        for folder in (self._folder, self._state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with socket.create_server((_LOOPBACK, 0)) as free:
            port = free.getsockname()[1]
        (self._folder / "port").write_text(str(port))
        arguments = (str(origin()), str(self._state), f"{_LOOPBACK}:{port}", str(memory), *snapshots)
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = ("sh", str(FOLDER / "machine"), *arguments)
            pid = background.spawn_detached(command, self._console, pass_fds=[lock.fileno()])
        (self._folder / "pid").write_text(str(pid))

    def console(self, lines: int) -> list[str]:
        return packages.tail(self._console, lines)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._state / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        (self._state / name).write_bytes(data)

    def dial(self, name: str) -> Line:
        return _Socket(self._state, name)

    def stop(self) -> None:
        for ask in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):  # it has just exited by itself
                if self.running:
                    os.kill(int((self._folder / "pid").read_text()), ask)
            for _ in Deadline(_END_SECONDS).attempts(every=0.05):
                if not self.running:
                    return
        raise EngineUnsuitable(
            f"the virtual machine of lab '{self._folder.name}' could not be stopped",
            evidence=[f"its process {(self._folder / 'pid').read_text()} is still running after SIGKILL"],
            next_step="its disk may be hanging: check the system log, then try again",
        )

    @property
    def present(self) -> bool:
        return self._lock.exists()

    def remove(self) -> list[str]:
        if not self.present:
            return []
        for file in (self._console, self._folder / "port", self._folder / "pid", self._lock):
            file.unlink(missing_ok=True)
        return [f"virtual machine of lab '{self._folder.name}'"]

    def delete_state(self) -> list[str]:
        if not self._folder.exists():
            return []
        shutil.rmtree(self._folder)
        return [str(self._state)]


class _Socket:
    """A connection to a Unix socket in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(LINE_SECONDS)
        at = os.open(folder, os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{at}/{name}")  # the full path may exceed 108 bytes
        finally:
            os.close(at)
        self._reader = self._socket.makefile("rb")

    def sendall(self, data: bytes) -> None:
        self._socket.sendall(data)

    def readline(self) -> bytes:
        return self._reader.readline()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()
