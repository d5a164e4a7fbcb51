"""A machine without network, for tests: namespaces of this one, with an engine of their own. Needs root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker

from labkit.util.deadline import Deadline

# The first process of the machine, which ends with its standard input, and with it every other one.
_BOOT = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /run      # no socket of the real machine's
echo up
read -r _ || true
"""
_TOOLS = ("unshare", "nsenter", "ip", "bash", "tar", "dockerd", "iptables")


def lacks() -> str:
    """What this machine lacks to be one without network, or nothing."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    return ", ".join(f"needs {tool}" for tool in _TOOLS if not shutil.which(tool))


class Machine:
    """A machine that reaches nothing but itself.

    `folder` is on this machine's disk and the same there; the socket of its engine, `url`, is in it.
    """

    def __init__(self, folder: Path, first: "subprocess.Popen[str]") -> None:
        self.folder = folder
        [pid] = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        self._enter = ["nsenter", "--target", pid, "--net", "--mount", "--pid", "--"]
        self.url = f"unix://{folder}/docker.sock"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "LABKIT_STATE_DIR": str(folder / "state"),
            "DOCKER_HOST": self.url,
        }

    def client(self) -> docker.DockerClient:
        """A new client of its engine, for this machine's side."""
        return docker.DockerClient(base_url=self.url, version="1.41", timeout=60)

    def spawn(self, *command: str, cwd: Path | None = None, **more: Any) -> "subprocess.Popen[str]":
        """Start a command there; its output is read by the caller."""
        return subprocess.Popen(
            [*self._enter, "env", "-C", str(cwd or self.folder), *command],  # nsenter itself goes to /
            env=self.env,
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **more},
        )

    def run(
        self, *command: str, cwd: Path | None = None, timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command there to its end; `stdout` holds all that it says."""
        process = self.spawn(*command, cwd=cwd)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
        return subprocess.CompletedProcess(command, process.returncode, output, "")


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine whose files are below the new `folder`, with its engine running; at the end, all is gone."""
    (folder / "home").mkdir(parents=True)
    first = subprocess.Popen(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "bash", "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdin and first.stdout
        assert first.stdout.readline() == "up\n"
        made = Machine(folder, first)
        with _engine(made):
            yield made
    finally:
        first.communicate(timeout=60)  # closes its standard input
        shutil.rmtree(folder)


@contextmanager
def _engine(made: Machine) -> Iterator[None]:
    places = {"data-root": "docker", "exec-root": "exec", "pidfile": "docker.pid"}
    options = [f"--{name}={made.folder / place}" for name, place in places.items()]
    log = made.folder / "dockerd.log"
    with log.open("w") as output:
        dockerd = made.spawn("dockerd", f"--host={made.url}", *options, stdout=output, stderr=output)
    try:
        with closing(made.client()) as client:
            for _ in Deadline(60).attempts():
                assert dockerd.poll() is None, log.read_text()[-2000:]
                if (made.folder / "docker.sock").exists() and client.ping():
                    break
            else:
                raise AssertionError(log.read_text()[-2000:])
        yield
    finally:
        if made.run("bash", "-c", f"kill $(cat {made.folder}/docker.pid)").returncode == 0:
            dockerd.wait(60)
