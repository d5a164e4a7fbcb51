"""Starts, resumes, saves, and ends one lab's virtual machine, in either home."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from labkit.engine.endpoints import Endpoint, Failure
from labkit.engine.find import ask
from labkit.engine.vm.home import Home
from labkit.engine.vm.monitor import Monitor
from labkit.util import command_hint
from labkit.util.deadline import Deadline
from labkit.util.errors import EngineUnsuitable, LabError
from labkit.util.paths import state_dir

MEMORY_MIB = 3072
START_SECONDS = 180.0
_CONSOLE_LINES = 15
_NO_KEYS = "it has not published its keys"
_PEM = re.compile(rb"-----BEGIN .+?-----END [A-Z ]+-----\n", re.DOTALL)
_FILES = ("ca.pem", "cert.pem", "key.pem")  # docker's names, in the order of the state's file `keys`


def memory() -> int:
    """The memory of a VM in MiB: `LABKIT_MACHINE_MEMORY`, otherwise 3072. Raises LabError."""
    chosen = os.environ.get("LABKIT_MACHINE_MEMORY", str(MEMORY_MIB))
    if not chosen.isdigit() or int(chosen) < 1024:
        raise LabError(
            f"invalid LABKIT_MACHINE_MEMORY '{chosen}'",
            next_step=f"use a number of MiB, at least 1024, such as {MEMORY_MIB}",
        )
    return int(chosen)


class VirtualMachine:
    """The virtual machine of `lab` in its home, which holds all of its state."""

    def __init__(self, lab: str, home: Home) -> None:
        self.lab, self.home = lab, home
        self._keys = state_dir() / "vm" / lab / "client"

    @property
    def accelerator(self) -> str:
        """`kvm`, or `tcg` if QEMU emulates the processors."""
        return self._read("accel")

    @property
    def memory(self) -> int:
        """Its memory in MiB."""
        return int(self._read("memory"))

    @property
    def resumed(self) -> str:
        """The snapshot that it was resumed from, or an empty string."""
        kind, _, name = self._read("origin").partition(" ")
        return name if kind == "snapshot" else ""

    def has_saved(self, snapshot: str) -> bool:
        """Whether it can be resumed from this snapshot."""
        return snapshot in self._read("snapshots").split()

    def _read(self, name: str) -> str:
        return (self.home.read(name) or b"").decode().strip()

    def endpoint(self) -> Endpoint | None:
        """Where its engine is; None until the engine has published its keys."""
        found = _PEM.findall(self.home.read("keys") or b"")
        if len(found) < len(_FILES):
            return None
        try:
            port = self.home.port
        except (OSError, ValueError, LookupError):  # it has just stopped
            return None
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in zip(_FILES, found[-len(_FILES) :], strict=True):
            _replace(self._keys / name, data)
        return Endpoint(
            f"tcp://127.0.0.1:{port}",
            source=f"virtual machine of lab '{self.lab}'",
            cert_path=self._keys,
            vm=True,
        )

    def answer(self) -> Endpoint:
        """The VM's engine. Raises EngineUnsuitable, with the reason, if it doesn't answer."""
        if trouble := self.trouble():
            raise trouble
        engine = self.endpoint()
        answer = ask(engine) if engine else Failure("", _NO_KEYS)
        if isinstance(answer, Endpoint):
            return answer
        raise self.ended(f"the engine in the virtual machine does not answer: {answer.reason}")

    def trouble(self) -> EngineUnsuitable | None:
        """Why the VM doesn't answer, as far as can be seen from outside."""
        if not self.home.running:
            return self.ended("the virtual machine has stopped")
        with contextlib.suppress(OSError, LabError), Monitor(self.home.dial("monitor.sock")) as monitor:
            status = monitor.execute("query-status")["status"]
            if status == "io-error":  # QEMU pauses a VM whose disk can't grow
                return self.ended("the virtual machine is paused: the disk that stores its state is full")
        return None

    def start(self, *snapshots: str) -> str:
        """Start the VM, unless it's running, and return when its engine answers.

        Resumes the first of `snapshots` that was saved, and returns its name. However, if the last run wasn't
        ended by `end`, the VM boots from its disk, and the result is empty. Raises EngineUnsuitable, with the
        console's last lines, if it stops or doesn't answer in time.
        """
        was_running = self.home.running
        if not was_running:
            self._launch(*snapshots)
        self._set_clock()
        return "" if was_running else self.resumed

    def _launch(self, *snapshots: str) -> None:
        try:
            self.home.launch(memory(), snapshots)
            self._wait()
        except BaseException as error:
            useless = (
                isinstance(error, EngineUnsuitable) and self.resumed
            )  # for example, saved on another processor
            self.home.stop()
            if useless:
                self.home.write("snapshots", b"")
            if self._read("origin") != "disk":  # otherwise keep it for another attempt or `end`
                self.end()
            if not useless:
                raise
            self._launch()

    def _wait(self) -> None:
        reason = _NO_KEYS
        for _ in Deadline(START_SECONDS).attempts(every=0.2):
            if not self.home.running:
                raise self.ended("the virtual machine stopped while booting")
            answer = ask(engine) if (engine := self.endpoint()) else None
            if isinstance(answer, Endpoint):
                return
            if answer:
                reason = answer.reason
        raise self.ended(f"the virtual machine's engine did not answer within {START_SECONDS:g} s: {reason}")

    def _set_clock(self) -> None:
        """Set the VM's clock, which stops while the VM is saved or the host sleeps."""
        with contextlib.closing(self.home.dial("clock.sock")) as line:
            line.sendall(f"{time.time():.3f}\n".encode())

    def save(self, snapshot: str) -> None:
        """Save the running VM as `snapshot` for a later `start`. It pauses for a few seconds."""
        with Monitor(self.home.dial("monitor.sock")) as monitor:
            monitor.save(snapshot)
        self.home.write("snapshots", (self.home.read("snapshots") or b"") + f"{snapshot}\n".encode())
        self._set_clock()

    def end(self) -> list[str]:
        """Stop the VM and discard what was done in it, but not its snapshots; return what was removed."""
        removed = []
        if self.home.present:
            self.home.stop()
            has_snapshots = self._read("snapshots")
            self.home.write("clean", b"")
            removed = self.home.remove()
            if not has_snapshots:
                self.home.delete_state()
        shutil.rmtree(self._keys, ignore_errors=True)
        return removed

    def ended(self, what: str) -> EngineUnsuitable:
        """An error that says what happened to the VM, with the console's last lines."""
        return EngineUnsuitable(
            what,
            evidence=["console:", *(f"  {line}" for line in self.home.console(_CONSOLE_LINES))],
            next_step=command_hint.command("up", lab=self.lab),
        )


def _replace(path: Path, data: bytes) -> None:
    """Replace a file of secrets atomically, because another process may be reading it."""
    new = path.with_suffix(f".{os.getpid()}")
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.replace(path)
