"""Providing an engine: what is done, what is asked, and what is left to the user."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.engine import daemon, install
from labkit.engine.install import ensure
from labkit.engine.machine import Machine
from labkit.engine.places import Endpoint
from labkit.errors import EngineNotFound

FIND = importlib.import_module("labkit.engine.find")
ENGINE = Endpoint("unix:///var/run/docker.sock", "/var/run/docker.sock", api_version="1.41")
DEBIAN = Machine("Linux", ("debian",), root=True)

APT = """#!/bin/sh
echo "$*" >>"$CALLS"
echo "what apt says"
case $* in
    *install*) [ -e "$LISTS/main_Packages" ] && touch "$LISTS/../dockerd" ;;
    *update*) [ -z "$OFFLINE" ] && touch "$LISTS/main_Packages" ;;
esac
"""
DPKG_QUERY = "#!/bin/sh\nprintf %s 20.10.24+dfsg1-1+deb12u1\n"
SYSTEMCTL = '#!/bin/sh\necho "systemctl $*" >>"$CALLS"\ntouch "$LISTS/../running"\n'


class World:
    """A Debian machine of stand-ins: an engine answers once `running` exists."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls_file, self.lists, self.running = folder / "calls", folder / "lists", folder / "running"
        self.said: list[str] = []
        self.monkeypatch = monkeypatch
        self.lists.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("apt-get", APT), ("dpkg-query", DPKG_QUERY), ("systemctl", SYSTEMCTL)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        monkeypatch.setenv("CALLS", str(self.calls_file))
        monkeypatch.setenv("LISTS", str(self.lists))
        monkeypatch.setenv("OFFLINE", "")
        monkeypatch.setenv("LABKIT_STATE_DIR", str(folder / "state"))
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DOCKER_CONFIG", str(folder))
        monkeypatch.setattr(install, "_LISTS", self.lists)
        monkeypatch.setattr(install, "find", self.find)
        monkeypatch.setattr(daemon, "start", self.start_in_background)
        self.evidence = "/var/run/docker.sock   no such file"
        self.be(DEBIAN)

    def be(self, machine: Machine) -> None:
        self.monkeypatch.setattr(install, "this_machine", lambda: machine)

    def find(self) -> Endpoint:
        if self.running.exists():
            return ENGINE
        raise EngineNotFound(
            "no Docker engine answered", evidence=[self.evidence], next_step="do it yourself"
        )

    def start_in_background(self, say: Callable[[str], None]) -> None:
        self.running.touch()
        say("started dockerd")

    def ensure(self, ask: Callable[[str], bool] | None = None) -> Endpoint:
        return ensure(self.said.append, ask)

    @property
    def calls(self) -> list[str]:
        """The programs' calls, by their verbs."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [line.partition("Timeout=120 ")[2] or line for line in lines]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


INSTALL = "install -y --no-install-recommends docker.io iptables"


def test_an_engine_that_runs_is_left_alone(world: World) -> None:
    world.running.touch()
    assert world.ensure(pytest.fail) == ENGINE
    assert (world.calls, world.said) == ([], [])


def test_root_without_a_terminal_goes_ahead_and_says_each_thing(world: World) -> None:
    assert world.ensure() == ENGINE
    assert world.calls == ["update", INSTALL]
    assert world.said == [
        "read Debian's package lists",
        "installed docker.io 20.10.24 from Debian",
        "started dockerd",
    ]


def test_package_lists_that_are_there_are_not_read_again(world: World) -> None:
    (world.lists / "main_Packages").touch()
    world.ensure()
    assert world.calls == [INSTALL]


def test_outdated_package_lists_are_read_again_after_a_failure(world: World) -> None:
    (world.lists / "old_Packages.lz4").touch()
    world.ensure()
    assert world.calls == [INSTALL, "update", INSTALL]


def test_apts_last_lines_are_the_evidence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "yes")
    with pytest.raises(EngineNotFound, match=r"apt-get .* exited 1") as caught:
        world.ensure()
    assert caught.value.evidence == ("what apt says",)
    assert "apt-get.log" in caught.value.next_step


def test_apt_that_hangs_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "APT_SECONDS", 0.0)
    with pytest.raises(EngineNotFound, match="was stopped"):
        world.ensure()


def test_missing_program_is_an_error_in_three_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineNotFound, match="could not run: No such file"):
        world.ensure()


def test_installed_engine_is_only_started(world: World) -> None:
    world.be(Machine("Linux", ("debian",), root=True, dockerd=True))
    world.ensure()
    assert (world.calls, world.said) == ([], ["started dockerd"])


def test_systemd_starts_it_by_the_unit(world: World) -> None:
    world.be(Machine("Linux", ("debian",), root=True, dockerd=True, systemd=True))
    world.ensure()
    assert world.calls == ["systemctl start docker"]
    assert world.said == ["started Docker with systemd"]


@pytest.mark.parametrize(
    ("dockerd", "question"), [(False, "Install docker.io from Debian and start it?"), (True, "Start the one")]
)
def test_with_a_terminal_it_asks_first(world: World, dockerd: bool, question: str) -> None:
    world.be(Machine("Linux", ("debian",), root=True, dockerd=dockerd))
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
    [Machine("Linux", ("debian",)), Machine("Linux", ("fedora",), root=True), Machine("Darwin", root=True)],
)
def test_what_is_the_users_to_do_is_left_to_the_user(world: World, machine: Machine) -> None:
    world.be(machine)
    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure()
    assert (world.calls, world.said) == ([], [])


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_the_users_choice_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "elsewhere")
    with pytest.raises(EngineNotFound, match="do it yourself"):
        world.ensure()
    assert world.calls == []


def test_a_refused_user_gets_no_second_engine(world: World) -> None:
    world.evidence = f"/var/run/docker.sock   {FIND.PERMISSION_DENIED}"
    with pytest.raises(EngineNotFound):
        world.ensure()
    assert world.calls == []


def test_an_engine_that_another_process_provided_meanwhile_is_taken(world: World) -> None:
    def the_other_one(_: str) -> bool:
        world.running.touch()
        return True

    assert world.ensure(the_other_one) == ENGINE
    assert (world.calls, world.said) == ([], [])
