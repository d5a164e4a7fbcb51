"""A lab on an engine that is reached over ssh: a real server on loopback, and the user's own client."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labkit import Lab, checks
from labkit.engine.endpoints import Endpoint, Failure
from labkit.engine.find import ask, own_engine
from labkit.engine.host_info import this_host
from labkit.util import packages
from labkit.util.console import ProgressReporter
from labkit.util.errors import CommandTimedOut
from tests.docker_contexts import make_context
from tests.helpers import eventually, labkit, leftovers

pytestmark = pytest.mark.engine

LAB = "test-ssh"
SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/own.pub
StrictModes no
UsePAM no
PidFile none
"""
CLIENT = """
IdentityFile {folder}/own
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
StrictHostKeyChecking accept-new
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """An ssh server for this machine: the folder with the client `ssh` for it, and the engine's URL."""
    here = own_engine()
    if os.geteuid() != 0 or not this_host().debian_like or not here.url.startswith("unix:"):
        pytest.skip("needs root on Debian, for an ssh server, and an engine on this host")
    if not shutil.which("docker"):
        pytest.skip("needs docker's CLI, as any host that is reached over ssh does")
    if not shutil.which("sshd"):
        packages.apt_install(("openssh-server",), print)
    folder = tmp_path_factory.mktemp("ssh")
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    for name in ("host", "own", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "server").write_text(SERVER.format(port=port, folder=folder))
    (folder / "client").write_text(CLIENT.format(folder=folder))
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/client "$@"\n')
    (folder / "bin/ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [str(shutil.which("sshd")), "-D", "-e", "-f", str(folder / "server")], stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the server's answer")
        yield folder, f"ssh://root@127.0.0.1:{port}{here.url.removeprefix('unix://')}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def url(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    folder, found = server
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return found


def test_a_lab_is_started_used_and_removed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    lab = Lab(LAB)
    try:
        lab.up(swarm=True, reporter=ProgressReporter(quiet=True))
        lab.wait(checks.nodes_ready(3))
        manager = lab.node("manager1")
        assert manager.run("docker node ls --format '{{.Hostname}}'", quiet=True).stdout.split() == [
            *("manager1", "worker1", "worker2")
        ]
        size = 3_000_000
        assert len(manager.run(f"head -c {size} /dev/zero | tr '\\0' x", quiet=True).stdout) == size
        with pytest.raises(CommandTimedOut):
            manager.run("sleep 300", timeout=1, quiet=True)
        done = labkit("exec", "manager1", "--lab", LAB, "--", "cat", stdin="through three pipes")
        assert (done.returncode, done.stdout) == (0, "through three pipes")
    finally:
        lab.down()
    assert leftovers(LAB) == []


def test_an_engine_of_a_docker_context_is_found(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    make_context(tmp_path / "config", "far", url)
    found = own_engine()
    assert (found.url, found.source) == (url, "docker context far")
    done = labkit("doctor", "--lab", LAB)
    assert url in done.stdout


def test_a_key_that_the_server_does_not_know_is_the_reason(server: tuple[Path, str], url: str) -> None:
    folder, _ = server
    kept = (folder / "client").read_text()
    (folder / "client").write_text(kept.replace(f"{folder}/own\n", f"{folder}/stranger\nBatchMode yes\n", 1))
    try:
        answer = ask(Endpoint(url, "DOCKER_HOST"))
    finally:
        (folder / "client").write_text(kept)
    assert isinstance(answer, Failure)
    assert "Permission denied" in answer.reason
