"""The machine as a process of this user on Linux: no Docker, no root. Needs QEMU 8 or newer."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labkit import baking, hint, images, system
from labkit.deadline import Deadline
from labkit.engine.machine import this_machine
from labkit.engine.vm.home import FOLDER
from labkit.engine.vm.monitor import Line
from labkit.errors import EngineUnsuitable
from labkit.state import state_dir

MINIMUM_QEMU = 8  # 7.2 crashes guests that are emulated on several CPUs
PROGRAMS = ("qemu-system-x86_64", "qemu-img")
DISKS = ("kernel", "initrd", "system.qcow2", "data.qcow2", "id")
"""All that machines start from; `id` holds its content tag."""

_QEMU = f"QEMU {MINIMUM_QEMU} or newer, which Debian has since 13, Ubuntu since 24.04"
_PACKAGES = ("qemu-system-x86", "qemu-utils")  # Debian's and Ubuntu's, with PROGRAMS
_END_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"

# Kept, because a collected Popen whose process still runs warns about it; ours outlives labkit on purpose.
_children: list[subprocess.Popen[bytes]] = []


def origin() -> Path | None:
    """The folder with what machines start from: `LABKIT_MACHINE`, else labkit's own, else the image's."""
    chosen = os.environ.get("LABKIT_MACHINE")
    places = [Path(chosen)] if chosen else [own_folder(), Path("/machine")]
    return next((place for place in places if version(place)), None)


def own_folder() -> Path:
    """Labkit's own folder with what machines start from: `labkit bundle load` puts it there."""
    return state_dir() / "machine"


def version(folder: Path) -> str:
    """The content tag of what a folder has for machines to start from; empty unless all of it is there."""
    whole = all((folder / name).is_file() for name in DISKS)
    return (folder / "id").read_text().strip() if whole else ""


def obstacles() -> list[str]:
    """What is missing here to run a machine; a line each, none when it can run."""
    return [*_without_qemu(), *_without_disks()]


def remedy() -> str:
    """What to do about the obstacles: commands to paste, or an exact instruction."""
    steps = []
    if _without_qemu():
        here, absent = this_machine(), not all(map(shutil.which, PROGRAMS))
        install = f"{'' if here.root else 'sudo '}apt-get install {' '.join(_PACKAGES)}"
        steps.append(f"{install}     ({_QEMU})" if absent and here.debian_like else f"install {_QEMU}")
    if _without_disks():
        save = hint.command("bundle", "save", "FILE", "--engine", "vm")
        steps.append(f"{hint.command('bundle', 'load', 'FILE')}     (a FILE of the same version: {save})")
    return "\n     ".join(steps)


def require() -> None:
    """Raise EngineUnsuitable, with what is missing, unless a machine can run here."""
    if lacking := obstacles():
        raise EngineUnsuitable("a virtual machine cannot run here", evidence=lacking, next_step=remedy())


def _without_qemu() -> list[str]:
    if absent := [f"{program:<20} not installed" for program in PROGRAMS if not shutil.which(program)]:
        return absent
    here = _qemu_version()
    if here >= MINIMUM_QEMU:
        return []
    return [f"{PROGRAMS[0]:<20} is version {here}; needed is {MINIMUM_QEMU} or newer"]


def _without_disks() -> list[str]:
    folder = origin()
    if folder is None:
        return [f"{'its disks':<20} not here"]
    wanted, here = images.content_tag(baking.NAME), version(folder)
    return [] if here == wanted else [f"{'its disks':<20} are {here} in {folder}; needed is {wanted}"]


def _qemu_version() -> int:
    said = subprocess.run([PROGRAMS[0], "--version"], capture_output=True, text=True, timeout=30).stdout
    number = re.search(r"version (\d+)", said)
    return int(number[1]) if number else 0


def runs_on_kvm() -> bool:
    """Whether this user's machines run on KVM here, tried with one that does nothing."""
    script = ("sh", str(FOLDER / "runs-on-kvm"), str(origin()))
    return subprocess.run(script, stdin=subprocess.DEVNULL).returncode == 0


def labs() -> list[str]:
    """The labs whose machine is, or was and has not been removed, a process of this user."""
    return [path.parent.name for path in sorted((state_dir() / "vm").glob("*/lock"))]


def outdate() -> list[str]:
    """Let every machine start anew next time; return the labs of those that run on with what they have open.

    What a machine keeps fits the very disks that it started from, not others of the same content tag.
    """
    for state in kept():
        (state / "identity").unlink(missing_ok=True)
    return [lab for lab in labs() if Process(lab).running]


def kept() -> list[Path]:
    """The folders of what machines here keep while they do not run."""
    return sorted((state_dir() / "vm").glob("*/state"))


class Process:
    """The home of a lab's machine that is a process.

    Its lock is held by QEMU itself, which inherits the open file: a process number may belong to another
    process by now, a lock may not.
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
        import fcntl  # here, because Windows has none

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
        with self._console.open("wb") as console, self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                ("sh", str(FOLDER / "machine"), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # a Ctrl-C in the terminal is not meant for the machine
            )
        _children.append(process)
        (self._folder / "pid").write_text(str(process.pid))

    def console(self, lines: int) -> list[str]:
        return system.tail(self._console, lines)

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
            if self.running:
                os.kill(int((self._folder / "pid").read_text()), ask)
            for _ in Deadline(_END_SECONDS).attempts(every=0.05):
                if not self.running:
                    break
        for child in _children:
            child.poll()  # reaps it, when this very process started it

    @property
    def present(self) -> bool:
        return self._lock.exists()

    def remove(self) -> list[str]:
        if not self.present:
            return []
        for file in (self._console, self._folder / "port", self._folder / "pid", self._lock):
            file.unlink(missing_ok=True)
        return [f"virtual machine of lab '{self._folder.name}'"]

    def forget(self) -> list[str]:
        if not self._folder.exists():
            return []
        shutil.rmtree(self._folder)
        return [str(self._state)]


class _Socket:
    """A connection to a Unix socket in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        at = os.open(folder, os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{at}/{name}")  # the path itself may be too long: 108 bytes
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
