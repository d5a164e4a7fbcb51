"""A learner's place: its entry point, Jupyter's settings, and kernels that end when nobody uses them."""

import asyncio
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from labkit.jupyter import page
from labkit.workshop import place
from labkit.workshop.place import kernels, settings
from tests.helpers import eventually

ENTRYPOINT = Path(place.__file__).parent / "entrypoint"


class Box:
    """What the entry point finds in a container: commands that only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.seed, self.data, self.state = (folder / name for name in ("seed", "docker", "state"))
        for path in (folder / "bin", self.seed, self.data):
            path.mkdir()
        for name in ("docker", "node-entrypoint", "labkit", "jupyterhub-singleuser"):
            self.command(name, "")
        (self.seed / "image").mkdir()
        (self.seed / "image" / "layer").write_text("bytes")
        (self.seed / "engine-id").write_text("one of another engine")

    def command(self, name: str, script: str) -> None:
        program = self.folder / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{script}\n')
        program.chmod(0o755)

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LABKIT_")},
            "PATH": path,
            "HOME": str(self.folder),
            "LABKIT_SEED": str(self.seed),
            "LABKIT_ENGINE_DATA": str(self.data),
            "LABKIT_STATE_DIR": str(self.state),
            "LABKIT_RUN": str(self.folder / "run"),  # never this host's own
            **variables,
        }
        return subprocess.Popen([ENTRYPOINT, *arguments], env=environment, text=True, stderr=subprocess.PIPE)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def has_called(self, call: str) -> None:
        eventually(lambda: call in self.called(), call)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_new_place_copies_the_seed_and_starts_everything(box: Box) -> None:
    with box.start("jupyterhub-singleuser", "--ip=0.0.0.0", "--x=a b") as process:
        box.has_called("labkit up --swarm")
        eventually((box.state / "place-ready").exists, "the mark of a lab that is up")
        assert process.wait(20) == 0
    assert (box.data / "image" / "layer").read_text() == "bytes"
    assert not (box.data / "engine-id").exists()
    box.has_called("node-entrypoint ")
    box.has_called("jupyterhub-singleuser --ip=0.0.0.0 --x=a b")


def test_a_copy_that_was_cut_short_starts_over_and_a_complete_one_stays(box: Box) -> None:
    (box.data / "half").write_text("of a copy")
    with box.start():
        box.has_called("labkit up --swarm")
    assert sorted(path.name for path in box.data.iterdir()) == [".labkit-seeded", "image"]
    (box.data / "mine").write_text("made by the engine")
    box.calls.unlink()
    with box.start():
        box.has_called("labkit up --swarm")
    assert (box.data / "mine").exists()


def test_jupyterlab_does_not_wait_for_the_engine(box: Box) -> None:
    box.command("docker", f"[ -e {box.folder}/up ]")
    with box.start("jupyterhub-singleuser"):
        box.has_called("jupyterhub-singleuser ")
        assert "labkit up --swarm" not in box.called()
        (box.folder / "up").touch()
        box.has_called("labkit up --swarm")


def test_options_alone_are_for_the_hubs_command(box: Box) -> None:
    with box.start("--debug"):
        box.has_called("jupyterhub-singleuser --debug")


def test_jupyter_is_told_where_its_settings_are(box: Box) -> None:
    box.command("jupyterhub-singleuser", f'echo "$JUPYTER_CONFIG_PATH" >{box.folder}/path')
    with box.start(JUPYTER_CONFIG_PATH="/etc/other"):
        eventually(lambda: (box.folder / "path").exists() and (box.folder / "path").read_text(), "the path")
    first, other = (box.folder / "path").read_text().strip().split(":")
    assert (Path(first) / "jupyter_server_config.py").exists()
    assert other == "/etc/other"


def test_labkit_starts_no_second_engine(box: Box) -> None:
    box.command("labkit", f'echo "$DOCKER_HOST" >>{box.calls}')
    with box.start():
        box.has_called("unix:///var/run/docker.sock")


def test_a_virtual_machine_needs_no_engine_of_the_place(box: Box) -> None:
    with box.start(LABKIT_ENGINE="vm-direct"):
        box.has_called("labkit up --swarm")
    assert not list(box.data.iterdir())
    assert "node-entrypoint " not in box.called()


# -- settings -------------------------------------------------------------------------------------------


def test_a_place_has_the_settings_of_labkit_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.setenv("LABKIT_LAB", "class-7")
    config = Config()
    settings.configure(config)
    own = page.settings("class-7", tmp_path / "notebooks", ["manager1", "worker1", "worker2"])
    for name, value in own.items():
        owner, _, trait = name.partition(".")
        assert config[owner][trait] == value, name
    assert config.ServerApp.jpserver_extensions == {settings.EXTENSION: True}
    assert (tmp_path / "notebooks" / "00-why-orchestrate.ipynb").exists()


def test_settings_become_arguments_one_for_each_entry_of_a_list() -> None:
    assert page.as_arguments({"A.b": 1, "C.d": ["x", "y"]}) == ["--A.b=1", "--C.d=x", "--C.d=y"]


# -- kernels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "seconds"), [("", 3600), ("30", 1800), ("0", 0), ("0.5", 30), ("no number", 3600)]
)
def test_when_kernels_end_can_be_chosen(minutes: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_CULL_MINUTES", minutes)
    assert kernels.settings()["MappingKernelManager.cull_idle_timeout"] == seconds


# As a board does: it says something whenever the swarm changes, whether anybody looks or not.
_BOARD = """
import threading, time
from ipywidgets import HTML
board = HTML()
def paint():
    for number in range(10_000):
        board.value = str(number)
        time.sleep(0.01)
threading.Thread(target=paint, daemon=True).start()
"""


def test_a_board_keeps_no_kernel_alive_but_a_cell_does() -> None:
    async def run() -> tuple[bool, bool, bool]:
        manager: Any = kernels.PlaceKernels(cull_idle_timeout=60, cull_connected=True)
        name = await manager.start_kernel()
        client = manager.get_kernel(name).client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        kernel = manager.get_kernel(name)
        try:
            before = kernel.labkit_used
            await client.execute_interactive(_BOARD, timeout=60, output_hook=lambda _: None)
            used = await until(lambda: kernel.labkit_used > before and kernel.execution_state == "idle")
            await manager.cull_kernel_if_idle(name)
            kept = name in manager
            kernel.labkit_used = datetime.now(UTC) - timedelta(minutes=5)
            seen = kernel.last_activity
            spoke = await until(lambda: kernel.last_activity > seen)  # Jupyter hears the board
            await manager.cull_kernel_if_idle(name)
            return used and kept, spoke, name not in manager
        finally:
            client.stop_channels()
            await manager.shutdown_all(now=True)

    assert asyncio.run(run()) == (True, True, True)


async def until(wanted: Any, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True
