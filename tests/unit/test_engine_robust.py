"""Engines and virtual machines that end, hang or talk nonsense while somebody asks them: each wait ends."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from labkit.engine import daemon, doctor, find, vm_probe
from labkit.engine.endpoints import Endpoint, Failure
from labkit.engine.vm import process
from labkit.engine.vm.monitor import Monitor
from labkit.engine.vm.process import Process
from labkit.engine.vm.virtual_machine import VirtualMachine
from labkit.util.errors import EngineUnsuitable

KEYS = b"".join(b"-----BEGIN %s-----\nx\n-----END KEY-----\n" % name for name in (b"CA", b"CERT", b"KEY"))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path))
    return tmp_path


# -- the engine's answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "new", "1.x", "1", "1.45-rc1"])
def test_a_version_that_is_none_is_no_engine(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    reply = SimpleNamespace(status_code=200, headers={"Api-Version": version}, text="")
    monkeypatch.setattr(find.docker.APIClient, "get", lambda *_, **__: reply)
    assert isinstance(find.ask(Endpoint("tcp://127.0.0.1:1", source="here")), Failure)


def test_errors_that_name_each_other_have_a_reason_nevertheless() -> None:
    first, second = OSError(5, "first"), OSError(5, "second")
    first.args, second.args = (5, second), (5, first)
    assert find._reason(requests.ConnectionError(first))


@pytest.mark.parametrize("noise", ["", "nonsense", "disk\tok", "vxlan", "\t\t\t\t"])
def test_a_line_that_is_no_finding_hides_no_other(noise: str) -> None:
    found = doctor._parse(f"disk\tok\t5 GB\n{noise}\nvxlan\tno\tmissing\twith a tab\n")
    assert found["disk"].ok is True
    assert (found["vxlan"].ok, found["vxlan"].found) == (False, "missing\twith a tab")


@pytest.mark.parametrize("error", [requests.ReadTimeout("too late"), OSError("gone")])
def test_an_engine_that_cannot_tell_of_kvm_is_no_failure_of_doctor(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(vm_probe.builder, "installed_tag", lambda *_: "labkit/machine:1")
    monkeypatch.setattr(vm_probe.container, "runs_on_kvm", fail)
    context: Any = SimpleNamespace(own_client=lambda _: None)
    assert vm_probe._kvm(context) is None


def test_an_engine_that_ends_by_itself_just_before_it_is_stopped_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid_file = daemon.folder() / "dockerd.pid"
    pid_file.write_text("1")

    def gone(*_: object) -> None:
        pid_file.unlink()  # it has removed its own
        raise ProcessLookupError

    monkeypatch.setattr(daemon, "live_pid", lambda *_: 1)
    monkeypatch.setattr(daemon.os, "kill", gone)
    monkeypatch.setattr(daemon, "_exits", lambda *_: True)
    said: list[str] = []
    daemon.stop(said.append)
    assert said == ["stopped dockerd (pid 1)"]


# -- virtual machines -----------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Process:
    """A machine whose process has no number that anybody has."""
    monkeypatch.setattr(process, "_END_SECONDS", 0.0)
    machine = Process("x")
    machine._state.mkdir(parents=True)
    (machine._folder / "pid").write_text("4194305")  # one more than Linux gives
    return machine


def test_a_machine_that_has_just_ended_is_stopped(machine: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, False])
    monkeypatch.setattr(Process, "running", property(lambda _: next(looks, False)))
    machine.stop()


def test_a_machine_that_does_not_end_is_an_error(machine: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for ended: its lock was removed, and nobody saw it any more."""
    monkeypatch.setattr(Process, "running", property(lambda _: True))
    with pytest.raises(EngineUnsuitable, match="lab 'x'") as caught:
        machine.stop()
    assert "4194305" in caught.value.evidence[0]


@pytest.fixture
def silent(machine: Process) -> Iterator[Process]:
    """A machine whose monitor listens and says nothing."""
    with socket.socket(socket.AF_UNIX) as monitor:
        at = os.open(machine._state, os.O_PATH)
        monitor.bind(f"/proc/self/fd/{at}/monitor.sock")
        os.close(at)
        monitor.listen()
        yield machine


def test_a_monitor_that_says_nothing_is_not_waited_for_for_ever(
    silent: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LINE_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        Monitor(silent.dial("monitor.sock"))
    monkeypatch.setattr(Process, "running", property(lambda _: True))
    found: list[object] = []
    looking = threading.Thread(target=lambda: found.append(VirtualMachine("x", silent).trouble()))
    looking.start()
    looking.join(20)
    assert found == [None]


@pytest.mark.parametrize("error", [FileNotFoundError("port"), ValueError(""), KeyError("2376/tcp")])
def test_a_machine_that_ends_while_it_is_asked_for_its_port_has_no_engine(error: Exception) -> None:
    class Home:
        title, running, present = "a home", False, True

        @property
        def port(self) -> int:
            raise error

        def read(self, name: str) -> bytes | None:
            return KEYS if name == "keys" else None

    home: Any = Home()
    assert VirtualMachine("x", home).endpoint() is None
