"""The engine in the background, with a stand-in for dockerd that answers pings."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.engine import daemon
from labkit.util import packages
from labkit.util.errors import EngineNotFound

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="labkit starts an engine on Linux only")

# Linux names a script's process after the script's file, so this one passes for dockerd.
DOCKERD = f"""#!{sys.executable}
import os, sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

class Ping(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.end_headers()
    def log_message(self, *_): pass

run = Path(sys.argv[1])
(run / "docker.pid").write_text(str(os.getpid()))
print("a line in the log", flush=True)
if "fail" in sys.argv: sys.exit(3)
UnixStreamServer(str(run / "docker.sock"), Ping).serve_forever()
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "run"
    (folder / "docker/containerd").mkdir(parents=True)
    yield folder
    for file in (daemon.folder() / "dockerd.pid", folder / "docker.pid"):
        if pid := daemon.live_pid(file, "dockerd"):
            os.kill(pid, signal.SIGKILL)
            assert daemon._exits(pid, 30)


@pytest.fixture
def command(tmp_path: Path, run: Path) -> list[str]:
    program = tmp_path / "dockerd"
    program.write_text(DOCKERD)
    program.chmod(0o755)
    return [str(program), str(run)]


def pid_of_nobody() -> int:
    """The number of a process that ended, and was waited for."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_start_writes_pid_and_log_and_stop_ends_it(run: Path, command: list[str]) -> None:
    said: list[str] = []
    daemon.start(said.append, command=command, run=run)
    pid = int((daemon.folder() / "dockerd.pid").read_text())
    assert said == [f"started dockerd in the background (pid {pid}, log {daemon.folder()}/dockerd.log)"]
    assert packages.tail(daemon.folder() / "dockerd.log") == ["a line in the log"]
    assert os.getsid(pid) == pid  # a session of its own: no Ctrl-C reaches it
    daemon.stop(said.append)
    assert said[-1] == f"stopped dockerd (pid {pid})"
    assert daemon.live_pid(run / "docker.pid", "dockerd") is None
    assert not (daemon.folder() / "dockerd.pid").exists()


def test_engine_holds_none_of_its_starters_pipes(run: Path, command: list[str]) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    os.set_blocking(reader, False)  # held open, it raises; it does not hang
    daemon.start(lambda _: None, command=command, run=run)
    os.close(writer)
    assert os.read(reader, 1) == b""  # end of file: nobody else has the writing end
    os.close(reader)


def test_second_start_waits_for_the_first(run: Path, command: list[str]) -> None:
    said: list[str] = []
    daemon.start(said.append, command=command, run=run)
    daemon.start(said.append, command=["must-not-run"], run=run)
    assert "already starting" in said[1]


def test_engine_that_exits_is_an_error_with_its_log(run: Path, command: list[str]) -> None:
    with pytest.raises(EngineNotFound, match="exited before it answered") as caught:
        daemon.start(lambda _: None, command=[*command, "fail"], run=run)
    assert caught.value.evidence == ("a line in the log",)
    assert "dockerd.log" in caught.value.next_step


def test_engine_that_never_answers_is_an_error(
    run: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "START_SECONDS", 0.0)
    monkeypatch.setattr(daemon, "_POLL_SECONDS", 0.0)
    with pytest.raises(EngineNotFound, match="did not answer"):
        daemon.start(lambda _: None, command=command, run=run / "elsewhere")  # where nobody listens


def test_losing_a_race_to_another_engine_is_no_error(run: Path, command: list[str]) -> None:
    """As when Debian's package starts dockerd itself while labkit starts one: the second one exits."""
    loser = ["sh", "-c", '"$0" "$1" & until [ -s "$1/docker.pid" ]; do :; done', *command]
    try:
        daemon.start(lambda _: None, command=loser, run=run)
        assert daemon.live_pid(run / "docker.pid", "dockerd")
    finally:
        os.kill(int((run / "docker.pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("program", ["dockerd", "containerd"])
def test_stale_pid_files_are_cleared(run: Path, program: str) -> None:
    file = run / ("docker.pid" if program == "dockerd" else "docker/containerd/containerd.pid")
    for content in (str(pid_of_nobody()), str(os.getpid()), "", "no number"):
        file.write_text(content)
        said: list[str] = []
        daemon.clear_stale(said.append, run)
        assert not file.exists(), content
        assert said == [f"removed {file}: its {program} is no longer running"]


def test_pid_file_of_a_live_engine_stays(run: Path, command: list[str]) -> None:
    daemon.start(lambda _: None, command=command, run=run)
    daemon.clear_stale(pytest.fail, run)
    assert (run / "docker.pid").exists()
    assert (run / "docker.sock").exists()


def test_zombie_is_not_alive(run: Path, command: list[str]) -> None:
    process = subprocess.Popen([*command, "fail"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but its number is kept
    assert daemon.live_pid(run / "docker.pid", "dockerd") is None
    process.wait()


def test_only_sockets_that_refuse_are_cleared(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as stale, socket.socket(socket.AF_UNIX) as used:
        stale.bind("docker.sock")
        used.bind("docker/containerd/containerd.sock")
        used.listen()
        (run / "containerd").mkdir()
        (run / "containerd/containerd.sock").write_text("a file, no socket")
        daemon.clear_stale(lambda _: None, run)
    assert not (run / "docker.sock").exists()
    assert (run / "docker/containerd/containerd.sock").exists()
    assert (run / "containerd/containerd.sock").exists()


@pytest.mark.usefixtures("run")
def test_stop_leaves_a_process_alone_that_is_no_dockerd() -> None:
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    (daemon.folder() / "dockerd.pid").write_text(str(other.pid))
    said: list[str] = []
    daemon.stop(said.append)
    assert said == ["nothing to stop: labkit isn't running a Docker engine in the background"]
    assert other.poll() is None
    other.send_signal(signal.SIGKILL)
    other.communicate()
