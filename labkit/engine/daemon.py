"""A Docker engine that labkit runs in the background itself, where no systemd does it.

Its pid and log are in labkit's state folder, under `engine/`. Linux only.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit import hint, system
from labkit.engine.choice import forget
from labkit.engine.find import ask
from labkit.engine.places import Endpoint
from labkit.errors import EngineNotFound, EngineUnsuitable
from labkit.state import state_dir

Say = Callable[[str], None]

RUN = Path("/var/run")
START_SECONDS = 60.0
STOP_SECONDS = 60.0  # dockerd gives its containers 15 s of these
_POLL_SECONDS = 0.1

# Kept, because a collected Popen whose process still runs warns about it; ours outlives labkit on purpose.
_children: list[subprocess.Popen[bytes]] = []


def folder() -> Path:
    """Return the folder of the engine's pid file and logs, created on demand."""
    path = state_dir() / "engine"
    path.mkdir(exist_ok=True)
    return path


def start(say: Say, *, command: Sequence[str] = ("dockerd",), run: Path = RUN) -> None:
    """Start dockerd in the background and return when it answers on `run`/docker.sock.

    What a killed engine left there is cleared first, if it is provably stale. An engine that is just
    starting is waited for. Raises `EngineNotFound`, with the log's last lines, when dockerd exits or does
    not answer within 60 s.
    """
    pid = live_pid(run / "docker.pid", "dockerd")
    if pid is not None:
        say(f"dockerd is starting already (pid {pid}); waiting for it")
        _wait_until_it_answers(pid, run)
        return
    clear_stale(say, run)
    pid = _wait_until_it_answers(_spawn(command), run)
    say(f"started dockerd in the background (pid {pid}, log {_log()})")


def stop(say: Say) -> None:
    """Stop the engine that labkit started in the background; leave any other one alone, and say so.

    Raises `EngineUnsuitable` when it still runs 60 s after it was asked to stop.
    """
    pid_file = folder() / "dockerd.pid"
    pid = live_pid(pid_file, "dockerd")
    if pid is None:
        pid_file.unlink(missing_ok=True)
        say("labkit runs no Docker engine in the background; nothing to stop")
        return
    os.kill(pid, signal.SIGTERM)
    if not _exits(pid, STOP_SECONDS):
        raise EngineUnsuitable(
            f"dockerd (pid {pid}) still runs {STOP_SECONDS:.0f} s after SIGTERM",
            evidence=system.tail(_log()),
            next_step=f"kill -9 {pid}",
        )
    pid_file.unlink()
    for child in _children:
        child.poll()  # reaps it, when this very process started it
    forget()
    say(f"stopped dockerd (pid {pid})")


def clear_stale(say: Say, run: Path = RUN) -> None:
    """Remove what a killed engine left in `run` and would stop a new one: nothing that may be in use.

    A pid file is stale when its process is gone or its number belongs to another program by now (dockerd
    and its containerd refuse to start while *any* process has that number). A socket is stale when it
    refuses connections (dockerd connects to /var/run/containerd's as soon as that file exists).
    """
    pid_files = {run / "docker.pid": "dockerd", run / "docker/containerd/containerd.pid": "containerd"}
    for file, program in pid_files.items():
        if file.exists() and live_pid(file, program) is None:
            file.unlink()
            say(f"removed {file}: its {program} is gone")
    for file in (
        run / "docker.sock",
        run / "docker/containerd/containerd.sock",
        run / "containerd/containerd.sock",
    ):
        if file.is_socket() and _refuses(file):
            file.unlink()
            say(f"removed {file}: nothing listens there")


def live_pid(pid_file: Path, program: str) -> int | None:
    """Return the pid in `pid_file` if a process of that number runs and really is `program`."""
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):  # no file, no process, no number in it
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    is_dead = fields["State"][0] in "ZX"  # a zombie keeps its number and name until it is waited for
    return pid if fields["Name"] == program and not is_dead else None


def _log() -> Path:
    return folder() / "dockerd.log"


def _spawn(command: Sequence[str]) -> int:
    with _log().open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in the terminal is not meant for the engine
            close_fds=True,  # nor may it hold its starter's pipes open
        )
    _children.append(process)
    (folder() / "dockerd.pid").write_text(f"{process.pid}\n")
    return process.pid


def _wait_until_it_answers(pid: int, run: Path) -> int:
    """Return the pid of the dockerd that answers: usually the given one."""
    engine = Endpoint(f"unix://{run / 'docker.sock'}", source="background")
    deadline = time.monotonic() + START_SECONDS
    while not isinstance(ask(engine), Endpoint):
        if time.monotonic() > deadline:
            raise _gave_up(f"dockerd (pid {pid}) did not answer within {START_SECONDS:.0f} s")
        if _exits(pid, _POLL_SECONDS):
            # Somebody else's may have won: Debian's package starts dockerd as it is installed.
            other = live_pid(run / "docker.pid", "dockerd")
            if other is None:
                raise _gave_up("dockerd stopped before it answered")
            pid = other
    return pid


def _gave_up(what: str) -> EngineNotFound:
    return EngineNotFound(
        what, evidence=system.tail(_log()), next_step=f"read {_log()}, then {hint.command('up')} again"
    )


def _exits(pid: int, seconds: float) -> bool:
    """Watch a process, ours or not, for so long; return whether it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _refuses(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:  # gone meanwhile, not ours to enter, busy: no proof that nobody listens
            return False
    return False
