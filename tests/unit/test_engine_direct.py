"""A virtual machine without Docker: what it takes, and what is said where that is missing or outdated."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from labkit.cli import main
from labkit.cluster import provision
from labkit.engine import vm_lifecycle
from labkit.engine.endpoints import Endpoint
from labkit.engine.host_info import Host
from labkit.engine.selection import EngineContext
from labkit.engine.vm import process
from labkit.images import builder, store
from labkit.lab import Lab
from labkit.topology import topology
from labkit.util.console import ProgressReporter
from labkit.util.errors import EngineUnsuitable, ImageUnavailable
from tests.bundles import disks

QUIET = ProgressReporter(quiet=True)
OTHER = "labkit/machine:000000000000"
DEBIAN = Host("Linux", ("debian",))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer with QEMU 9 and no Docker; labkit's state folder."""
    state, programs = tmp_path / "state", tmp_path / "bin"
    programs.mkdir()
    for name in process.PROGRAMS:
        install(programs / name, "QEMU emulator version 9.2.1")
    for variable in ("LABKIT_LAB", "LABKIT_MACHINE", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LABKIT_ENGINE", "vm-direct")
    monkeypatch.setenv("LABKIT_STATE_DIR", str(state))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.setattr(process, "this_host", lambda: DEBIAN)
    return state


def install(program: Path, version: str) -> None:
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)


def put(folder: Path, version: str = "") -> None:
    folder.mkdir(parents=True)
    for name, content in disks(version).items():
        (folder / name.partition("/")[2]).write_bytes(content)


# -- what it takes --------------------------------------------------------------------------------------


def test_disks_of_this_version_and_a_new_qemu_are_enough(here: Path) -> None:
    put(here / "machine")
    assert process.origin() == here / "machine"
    assert process.obstacles() == []
    process.require()


def test_the_users_choice_of_a_folder_is_the_only_one(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(here / "machine")
    monkeypatch.setenv("LABKIT_MACHINE", str(tmp_path / "other"))
    assert process.origin() is None
    put(tmp_path / "other")
    assert process.origin() == tmp_path / "other"


@pytest.mark.parametrize("name", process.DISKS)
def test_a_folder_that_lacks_something_is_none(here: Path, name: str) -> None:
    put(here / "machine")
    (here / "machine" / name).unlink()
    assert process.version(here / "machine") == ""
    assert process.origin() is None


def test_disks_of_another_version_are_refused_with_where_to_get_others(here: Path) -> None:
    put(here / "machine", OTHER)
    with pytest.raises(EngineUnsuitable) as refused:
        process.require()
    [line] = refused.value.evidence
    assert f"in {here}/machine are {OTHER};" in line
    assert line.endswith(f"labkit needs {builder.content_tag('machine')}")
    assert refused.value.next_step.startswith("labkit bundle load FILE ")
    assert "labkit bundle save FILE --engine vm" in refused.value.next_step


def test_all_that_is_missing_is_told_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(EngineUnsuitable) as refused:
        process.require()
    assert [line.split()[0] for line in refused.value.evidence] == [*process.PROGRAMS, "its"]
    install_qemu, load = refused.value.next_step.splitlines()
    assert install_qemu.startswith("sudo apt-get install qemu-system-x86 qemu-utils ")
    assert load.strip().startswith("labkit bundle load FILE")


REMEDIES = [
    (Host("Linux", ("debian",), root=True), "", "apt-get install"),
    (Host("Linux", ("fedora",)), "", "install QEMU 8 or newer"),
    (
        DEBIAN,
        "QEMU emulator version 7.2.22 (Debian 1:7.2)",
        "install QEMU 8 or newer",
    ),  # apt-get has no other
]


@pytest.mark.parametrize(("machine", "qemu", "advice"), REMEDIES)
def test_how_to_get_qemu_depends_on_the_system(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Host, qemu: str, advice: str
) -> None:
    put(here / "machine")
    monkeypatch.setattr(process, "this_host", lambda: machine)
    if qemu:
        install(tmp_path / "bin" / process.PROGRAMS[0], qemu)
    else:
        monkeypatch.setenv("PATH", str(here))
    assert process.obstacles()
    assert process.remedy().startswith(advice)
    assert "\n" not in process.remedy()


# -- up -------------------------------------------------------------------------------------------------


def test_a_machine_that_was_saved_is_not_started_on_other_disks(here: Path) -> None:
    """Nor is what it keeps lost: disks of its version may come back."""
    put(here / "machine", OTHER)
    state = here / "vm/swarm-lab/state"
    state.mkdir(parents=True)
    kept = {"origin": "snapshot nodes", "snapshots": "nodes", "clean": ""}
    for name, content in kept.items():
        (state / name).write_text(content)
    with pytest.raises(EngineUnsuitable, match="cannot run here"):
        vm_lifecycle.power_on(EngineContext("swarm-lab"), ["nodes"], QUIET)
    assert {path.name: path.read_text() for path in state.iterdir()} == kept


def test_without_docker_it_is_told_why_a_machine_cannot_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["up", "--engine", "vm"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("EngineNotFound: no Docker engine answered\n")
    assert "nor can a virtual machine run directly:\n  its disks            not found\n" in told
    assert "which takes: labkit bundle load FILE" in told
    monkeypatch.setenv("LABKIT_ENGINE", "docker")
    assert main.main(["up"]) == 1
    assert "its disks" not in capsys.readouterr().err


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A virtual machine that carries the lab, with the images of these tags on its disk."""
    tags: set[str] = set()
    client = SimpleNamespace(version=lambda: {"Version": "26"})
    found = Endpoint("tcp://127.0.0.1:1", "the virtual machine", vm=True)
    monkeypatch.setattr(vm_lifecycle, "power_on", lambda *_: None)
    monkeypatch.setattr(EngineContext, "client", lambda _: client)
    monkeypatch.setattr(EngineContext, "endpoint", lambda _: found)
    monkeypatch.setattr(provision, "choose_topology", lambda _, lab: replace(topology.load(), lab=lab))
    monkeypatch.setattr(store, "has", lambda _, tag: tag in tags)
    monkeypatch.delenv("LABKIT_ENGINE")
    return tags


def test_no_image_is_made_in_a_machine_of_another_version(
    running: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "ensure_all", lambda *_: pytest.fail("made images"))
    monkeypatch.setattr(provision, "remove_node", lambda *_: pytest.fail("removed a node"))
    monkeypatch.setattr(vm_lifecycle, "power_off", lambda *_: pytest.fail("ended the machine"))
    running.update(builder.content_tags(topology.load().images)[1:])
    lab = Lab("old")
    with pytest.raises(ImageUnavailable):
        lab.reset()
    with pytest.raises(ImageUnavailable, match="machine of lab 'old' does not match this version") as refused:
        lab.up(reporter=QUIET)
    assert builder.content_tags(topology.load().images)[0] in refused.value.evidence[0]
    assert refused.value.next_step == "labkit down --lab old, then labkit up --lab old --engine vm"


def test_a_machine_of_this_version_is_used(running: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> NoReturn:
        raise InterruptedError

    monkeypatch.setattr(provision, "containers", reached)
    running.update(builder.content_tags(topology.load().images))
    with pytest.raises(InterruptedError):
        Lab("old").up(reporter=QUIET)
