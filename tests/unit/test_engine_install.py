"""Providing an engine: what is done, what is asked, and what is left to the user."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from labkit.engine import daemon, find, install
from labkit.engine.endpoints import Endpoint
from labkit.engine.host_info import Host
from labkit.engine.install import ensure
from labkit.engine.rootless import PODMAN
from labkit.util import lock, packages
from labkit.util.errors import EngineNotFound, LabBusy, SetupFailed

ENGINE = Endpoint("unix:///var/run/docker.sock", "/var/run/docker.sock", api_version="1.41")
DEBIAN = Host("Linux", ("debian",), root=True)


class World:
    """A Debian machine of stand-ins: an engine answers once `running` is true."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = False
        self.calls: list[str] = []
        self.said: list[str] = []
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("LABKIT_STATE_DIR", str(folder / "state"))
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        monkeypatch.setattr(install, "own_engine", self.find)
        monkeypatch.setattr(packages, "apt_install", self.apt_install)
        monkeypatch.setattr(packages, "run", self.run)
        monkeypatch.setattr(daemon, "start", self.start_in_background)
        self.evidence = "/var/run/docker.sock   no such file"
        self.be(DEBIAN)

    def be(self, machine: Host) -> None:
        self.monkeypatch.setattr(install, "this_host", lambda: machine)

    def find(self) -> Endpoint:
        if self.running:
            return ENGINE
        raise EngineNotFound(
            "no Docker engine answered", evidence=[self.evidence], next_step="do it yourself"
        )

    def apt_install(self, packages: Sequence[str], say: Callable[[str], None]) -> None:
        self.calls.append(f"install {' '.join(packages)}")
        say("installed")

    def run(self, command: Sequence[str], _seconds: float) -> None:
        self.calls.append(" ".join(command))
        self.running = True

    def start_in_background(self, say: Callable[[str], None]) -> None:
        self.calls.append("dockerd")
        self.running = True
        say("started dockerd")

    def ensure(self, ask: Callable[[str], bool] | None = None) -> Endpoint:
        return ensure(self.said.append, ask)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_an_engine_that_runs_is_left_alone(world: World) -> None:
    world.running = True
    assert world.ensure(pytest.fail) == ENGINE
    assert (world.calls, world.said) == ([], [])


def test_root_without_a_terminal_goes_ahead_and_says_each_thing(world: World) -> None:
    assert world.ensure() == ENGINE
    assert world.calls == ["install docker.io iptables", "dockerd"]
    assert world.said == ["installed", "started dockerd"]


def test_a_set_up_that_fails_is_told_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SetupFailed("`apt-get` exited 100", evidence=["what apt says"])

    monkeypatch.setattr(packages, "apt_install", fail)
    with pytest.raises(SetupFailed, match="exited 100"):
        world.ensure()
    assert world.calls == []


def test_installed_engine_is_only_started(world: World) -> None:
    world.be(Host("Linux", ("debian",), root=True, dockerd=True))
    world.ensure()
    assert (world.calls, world.said) == (["dockerd"], ["started dockerd"])


def test_systemd_starts_it_by_the_unit(world: World) -> None:
    world.be(Host("Linux", ("debian",), root=True, dockerd=True, systemd=True))
    world.ensure()
    assert world.calls == ["systemctl start docker"]
    assert world.said == ["started Docker with systemd"]


@pytest.mark.parametrize(
    ("dockerd", "question"),
    [(False, "Install Debian's docker.io and start it?"), (True, "Start the installed one?")],
)
def test_with_a_terminal_it_asks_first(world: World, dockerd: bool, question: str) -> None:
    world.be(Host("Linux", ("debian",), root=True, dockerd=dockerd))
    asked: list[str] = []

    def say_no(text: str) -> bool:
        asked.append(text)
        return False

    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure(say_no)
    assert question in asked[0]
    assert world.calls == []
    assert world.ensure(lambda _: True) == ENGINE


@pytest.mark.parametrize(
    "machine",
    [Host("Linux", ("debian",)), Host("Linux", ("fedora",), root=True), Host("Darwin", root=True)],
)
def test_what_is_the_users_to_do_is_left_to_the_user(world: World, machine: Host) -> None:
    world.be(machine)
    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure()
    assert (world.calls, world.said) == ([], [])


@pytest.mark.parametrize("reason", [find.PERMISSION_DENIED, PODMAN])
def test_a_socket_that_is_taken_is_left_alone(world: World, reason: str) -> None:
    world.evidence = f"/var/run/docker.sock   {reason}"
    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure()
    assert world.calls == []


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_the_users_choice_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "elsewhere")
    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure()
    assert world.calls == []


def test_a_refused_user_gets_no_second_engine(world: World) -> None:
    world.evidence = f"/var/run/docker.sock   {find.PERMISSION_DENIED}"
    with pytest.raises(EngineNotFound):
        world.ensure()
    assert world.calls == []


def test_an_engine_that_another_process_provided_meanwhile_is_taken(world: World) -> None:
    def the_other_one(_: str) -> bool:
        world.running = True
        return True

    assert world.ensure(the_other_one) == ENGINE
    assert (world.calls, world.said) == ([], [])


def test_only_one_labkit_at_a_time_provides_an_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        with pytest.raises(LabBusy), lock.hold("engine", wait=0):
            pytest.fail("held twice")
        world.running = True

    monkeypatch.setattr(daemon, "start", start)
    assert world.ensure() == ENGINE
    with lock.hold("engine", wait=0):
        pass
