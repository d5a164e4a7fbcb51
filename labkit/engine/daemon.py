"""A Docker engine that labkit itself runs in the background, on hosts without systemd.

Its pid and log are in labkit's state folder, under `engine/`. Linux only.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.engine.endpoints import Endpoint
from labkit.engine.find import ask
from labkit.util import background, command_hint, packages
from labkit.util.console import Say
from labkit.util.errors import EngineNotFound, EngineUnsuitable
from labkit.util.paths import state_dir

RUN = Path("/var/run")
START_SECONDS = 60.0
STOP_SECONDS = 60.0  # of which dockerd gives its containers 15 s
_POLL_SECONDS = 0.1


def folder() -> Path:
    """Return the folder of the engine's pid file and logs, created on demand."""
    path = state_dir() / "engine"
    path.mkdir(exist_ok=True)
    return path


def start(say: Say, *, command: Sequence[str] = ("dockerd",), run: Path = RUN) -> None:
    """Start dockerd in the background and return when it answers on `run`/docker.sock.

    Removes what a killed engine left there first, if it's provably stale. If an engine is already starting,
    waits for that one. Raises `EngineNotFound`, with the log's last lines, if dockerd exits or doesn't
    answer within 60 s.
    """
    pid = live_pid(run / "docker.pid", "dockerd")
    if pid is not None:
        say(f"dockerd is already starting (pid {pid}); waiting for it")
        _wait_until_it_answers(pid, run)
        return
    clear_stale(say, run)
    pid = _wait_until_it_answers(_spawn(command), run)
    say(f"started dockerd in the background (pid {pid}, log {_log()})")


def stop(say: Say) -> None:
    """Stop the engine that labkit started in the background; leave any other one alone, and say so.

    Raises `EngineUnsuitable` if it's still running 60 s after SIGTERM.
    """
    pid_file = folder() / "dockerd.pid"
    pid = live_pid(pid_file, "dockerd")
    if pid is None:
        pid_file.unlink(missing_ok=True)
        say("nothing to stop: labkit isn't running a Docker engine in the background")
        return
    with contextlib.suppress(ProcessLookupError):  # it has just exited by itself
        os.kill(pid, signal.SIGTERM)
    if not _exits(pid, STOP_SECONDS):
        raise EngineUnsuitable(
            f"dockerd (pid {pid}) is still running {STOP_SECONDS:.0f} s after SIGTERM",
            evidence=packages.tail(_log()),
            next_step=f"kill -9 {pid}",
        )
    pid_file.unlink(missing_ok=True)
    say(f"stopped dockerd (pid {pid})")


def clear_stale(say: Say, run: Path = RUN) -> None:
    """Remove what a killed engine left in `run` that would keep a new one from starting, unless it's in use.

    A pid file is stale if its process is gone or the pid now belongs to another program (dockerd and its
    containerd refuse to start while *any* process has that pid). A socket is stale if it refuses
    connections (dockerd connects to /var/run/containerd's as soon as that file exists).
    """
    pid_files = {run / "docker.pid": "dockerd", run / "docker/containerd/containerd.pid": "containerd"}
    for file, program in pid_files.items():
        if file.exists() and live_pid(file, program) is None:
            file.unlink()
            say(f"removed {file}: its {program} is no longer running")
    for file in (
        run / "docker.sock",
        run / "docker/containerd/containerd.sock",
        run / "containerd/containerd.sock",
    ):
        if file.is_socket() and _refuses(file):
            file.unlink()
            say(f"removed {file}: nothing is listening on it")


def live_pid(pid_file: Path, program: str) -> int | None:
    """Return the pid in `pid_file` if that process is running and really is `program`."""
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):  # no file, no process, no number in it
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    is_dead = fields["State"][0] in "ZX"  # a zombie keeps its pid and name until its parent reaps it
    return pid if fields["Name"] == program and not is_dead else None


def _log() -> Path:
    return folder() / "dockerd.log"


def _spawn(command: Sequence[str]) -> int:
    pid = background.spawn_detached(command, _log())
    (folder() / "dockerd.pid").write_text(f"{pid}\n")
    return pid


def _wait_until_it_answers(pid: int, run: Path) -> int:
    """Return the pid of the dockerd that answers, which is usually the given one."""
    engine = Endpoint(f"unix://{run / 'docker.sock'}", source="background")
    deadline = time.monotonic() + START_SECONDS
    while not isinstance(ask(engine), Endpoint):
        if time.monotonic() > deadline:
            raise _gave_up(f"dockerd (pid {pid}) did not answer within {START_SECONDS:.0f} s")
        if _exits(pid, _POLL_SECONDS):
            # Another dockerd may have won: installing Debian's package starts one.
            other = live_pid(run / "docker.pid", "dockerd")
            if other is None:
                raise _gave_up("dockerd exited before it answered")
            pid = other
    return pid


def _gave_up(what: str) -> EngineNotFound:
    return EngineNotFound(
        what,
        evidence=packages.tail(_log()),
        next_step=f"read {_log()}, then {command_hint.command('up')} again",
    )


def _exits(pid: int, seconds: float) -> bool:
    """Watch a process, ours or not, for up to `seconds`; return whether it has exited."""
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
        except OSError:  # removed by now, forbidden, or busy: no proof that it's stale
            return False
    return False
