"""One lab's virtual machine: started or resumed, saved, ended; the same in either home."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from labkit import hint
from labkit.deadline import Deadline
from labkit.engine.find import ask
from labkit.engine.places import Endpoint, Failure
from labkit.engine.vm.home import Home
from labkit.engine.vm.monitor import Monitor
from labkit.errors import EngineUnsuitable, LabError
from labkit.state import state_dir

MEMORY_MIB = 3072
START_SECONDS = 180.0
_CONSOLE_LINES = 15
_PEM = re.compile(rb"-----BEGIN .+?-----END [A-Z ]+-----\n", re.DOTALL)
_FILES = ("ca.pem", "cert.pem", "key.pem")  # in the order in which the engine tells them; docker's own names


def memory() -> int:
    """The memory of a machine in MiB: `LABKIT_MACHINE_MEMORY`, else 3072. Raises LabError."""
    chosen = os.environ.get("LABKIT_MACHINE_MEMORY", str(MEMORY_MIB))
    if not chosen.isdigit() or int(chosen) < 1024:
        raise LabError(
            f"LABKIT_MACHINE_MEMORY={chosen} is no memory for a machine",
            next_step=f"a number of MiB, 1024 or more, such as {MEMORY_MIB}",
        )
    return int(chosen)


class Machine:
    """The virtual machine of `lab` in its home. It remembers nothing: the home is the truth."""

    def __init__(self, lab: str, home: Home) -> None:
        self.lab, self.home = lab, home
        self._keys = state_dir() / "vm" / lab / "client"

    @property
    def accelerator(self) -> str:
        """`kvm`, or `tcg` where QEMU emulates the processors."""
        return self._told("accel")

    @property
    def memory(self) -> int:
        """Its memory in MiB."""
        return int(self._told("memory"))

    @property
    def resumed(self) -> str:
        """The snapshot from which it has gone on, or an empty string."""
        kind, _, name = self._told("origin").partition(" ")
        return name if kind == "snapshot" else ""

    def has_saved(self, snapshot: str) -> bool:
        """Whether it can go on from this snapshot."""
        return snapshot in self._told("snapshots").split()

    def _told(self, name: str) -> str:
        return (self.home.read(name) or b"").decode().strip()

    def endpoint(self) -> Endpoint | None:
        """Where its engine answers; None before it has told its keys."""
        found = _PEM.findall(self.home.read("keys") or b"")
        if len(found) < len(_FILES):
            return None
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in zip(_FILES, found[-len(_FILES) :], strict=True):
            _replace(self._keys / name, data)
        return Endpoint(
            f"tcp://127.0.0.1:{self.home.port}",
            source=f"virtual machine of lab '{self.lab}'",
            cert_path=self._keys,
            machine=True,
        )

    def answer(self) -> Endpoint:
        """The machine's engine. Raises EngineUnsuitable, with the reason, when it does not answer."""
        if trouble := self.trouble():
            raise trouble
        engine = self.endpoint()
        answer = ask(engine) if engine else Failure("", "it has not told its keys")
        if isinstance(answer, Endpoint):
            return answer
        raise self.ended(f"the engine in the virtual machine does not answer: {answer.reason}")

    def trouble(self) -> EngineUnsuitable | None:
        """What keeps the machine from answering, as far as can be seen from outside."""
        if not self.home.running:
            return self.ended("the virtual machine has ended")
        with contextlib.suppress(OSError, LabError), Monitor(self.home.dial("monitor.sock")) as monitor:
            status = monitor.execute("query-status")["status"]
            if status == "io-error":  # QEMU stops a machine whose disk cannot grow
                return self.ended("the virtual machine stands still: the disk that keeps its state is full")
        return None

    def start(self, *snapshots: str) -> str:
        """Start the machine and return when its engine answers: at once, when it runs.

        Goes on from the first of `snapshots` that was saved, and returns its name, unless an earlier run was
        not ended by `end`: then the machine boots with what is on its disk, and the answer is empty.
        Raises EngineUnsuitable, with the console's last lines, when it ends or does not answer in time.
        """
        runs = self.home.running
        if not runs:
            self._launch(*snapshots)
        self._set_clock()
        return "" if runs else self.resumed

    def _launch(self, *snapshots: str) -> None:
        try:
            self.home.launch(memory(), snapshots)
            self._wait()
        except BaseException as error:
            useless = isinstance(error, EngineUnsuitable) and self.resumed  # as one of another processor
            self.home.stop()
            if useless:
                self.home.write("snapshots", b"")
            if self._told("origin") != "disk":  # else it stays, for another attempt or `end`
                self.end()
            if not useless:
                raise
            self._launch()

    def _wait(self) -> None:
        reason = "it has not told its keys"
        for _ in Deadline(START_SECONDS).attempts(every=0.2):
            if not self.home.running:
                raise self.ended("the virtual machine ended while it booted")
            answer = ask(engine) if (engine := self.endpoint()) else None
            if isinstance(answer, Endpoint):
                return
            if answer:
                reason = answer.reason
        raise self.ended(f"the virtual machine's engine did not answer in {START_SECONDS:g} s: {reason}")

    def _set_clock(self) -> None:
        """Tell the machine the time: it stood still while it was saved, or this computer slept."""
        with contextlib.closing(self.home.dial("clock.sock")) as line:
            line.sendall(f"{time.time():.3f}\n".encode())

    def save(self, snapshot: str) -> None:
        """Save the running machine as `snapshot`, for a later `start`. It stands still for some seconds."""
        with Monitor(self.home.dial("monitor.sock")) as monitor:
            monitor.save(snapshot)
        self.home.write("snapshots", (self.home.read("snapshots") or b"") + f"{snapshot}\n".encode())
        self._set_clock()

    def end(self) -> list[str]:
        """End the machine and forget what was done on it; return what was removed. Snapshots stay."""
        removed = []
        if self.home.present:
            self.home.stop()
            has_snapshots = self._told("snapshots")
            self.home.write("clean", b"")
            removed = self.home.remove()
            if not has_snapshots:
                self.home.forget()
        shutil.rmtree(self._keys, ignore_errors=True)
        return removed

    def ended(self, what: str) -> EngineUnsuitable:
        """The error that says what became of the machine, with what it said last."""
        return EngineUnsuitable(
            what,
            evidence=["its console:", *(f"  {line}" for line in self.home.console(_CONSOLE_LINES))],
            next_step=hint.command("up", lab=self.lab),
        )


def _replace(path: Path, data: bytes) -> None:
    """Write a file of secrets at once: another process may be reading it."""
    new = path.with_suffix(f".{os.getpid()}")
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.replace(path)
