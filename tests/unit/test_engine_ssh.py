"""Engines over ssh: the command, an answer, and ssh's own errors. `ssh` is a stand-in here."""

import os
import sys
from pathlib import Path

import pytest

from labkit.engine.endpoints import Endpoint, Failure
from labkit.engine.find import ask, connect
from labkit.engine.ssh import command
from tests.unit.test_engine_find import engine_at

# Passes its streams on to the socket that follows --host, as `docker system dial-stdio` does.
STAND_IN = f"""#!{sys.executable}
import os, socket, sys, threading
with open({{log!r}}, "a") as log:
    print(*sys.argv[1:], file=log)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[sys.argv.index("--host") + 1].removeprefix("unix://"))
def send():
    while data := os.read(0, 65536):
        line.sendall(data)
    line.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := line.recv(65536):
    os.write(1, data)
"""


def ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have `program` run where ssh is called."""
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(program)
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ssh://server", "-- server docker system dial-stdio"),
        ("ssh://anna@server", "-l anna -- server docker system dial-stdio"),
        ("ssh://anna@server:2222/", "-l anna -p 2222 -- server docker system dial-stdio"),
        ("ssh://server/run/d.sock", "-- server docker --host unix:///run/d.sock system dial-stdio"),
        ("ssh://[2001:db8::1]:22", "-p 22 -- 2001:db8::1 docker system dial-stdio"),
    ],
)
def test_the_command_is_that_of_dockers_own_client(url: str, expected: str) -> None:
    assert command(url) == ["ssh", "-T", *expected.split()]


@pytest.mark.parametrize("url", ["ssh://", "ssh:///run/docker.sock", "ssh://server:port"])
def test_a_url_without_a_host_or_with_a_bad_port_is_evidence(url: str) -> None:
    answer = ask(Endpoint(url, "DOCKER_HOST"))
    assert isinstance(answer, Failure)
    assert answer.reason


def test_an_engine_behind_ssh_answers_in_the_version_that_suits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh(tmp_path, monkeypatch, STAND_IN.format(log=str(tmp_path / "log")))
    with engine_at(tmp_path / "there.sock", least="1.44", Api_Version="1.52"):
        found = ask(Endpoint(f"ssh://anna@server{tmp_path}/there.sock", "DOCKER_HOST"))
        assert isinstance(found, Endpoint), found
        assert found.api_version == "1.51"
        client = connect(found)
        assert client.containers.list() == []
        client.close()
    asked = (tmp_path / "log").read_text().splitlines()
    there = f"unix://{tmp_path}/there.sock"
    assert set(asked) == {f"-T -l anna -- server docker --host {there} system dial-stdio"}


def test_what_ssh_says_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = "anna@server: Permission denied (publickey)."
    ssh(tmp_path, monkeypatch, f"#!/bin/sh\necho 'a banner' >&2\necho '{refusal}' >&2\nexit 255\n")
    answer = ask(Endpoint("ssh://anna@server", "DOCKER_HOST"))
    assert isinstance(answer, Failure)
    assert answer.reason == f"ssh: {refusal}"


def test_a_host_without_ssh_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = ask(Endpoint("ssh://server", "DOCKER_HOST"))
    assert isinstance(answer, Failure)
    assert answer.reason == "no such file"
