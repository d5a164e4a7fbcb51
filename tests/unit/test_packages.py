"""This machine's own set-up commands, with a stand-in for apt-get."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.util import packages
from labkit.util.errors import SetupFailed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="labkit sets up Linux only")

# It can install once it has read the package lists, and reads them unless it is offline.
APT = """#!/bin/sh
echo "$*" >>"$CALLS"
echo "what apt says"
case $* in
    *install*) [ -e "$LISTS/main_Packages" ] ;;
    *update*) [ -z "$OFFLINE" ] && touch "$LISTS/main_Packages" ;;
esac
"""
INSTALL = "install -y --no-install-recommends docker.io iptables"


class Apt:
    """A Debian machine's apt, and what was asked of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.lists = folder / "calls", folder / "lists"
        self.said: list[str] = []
        self.lists.mkdir()
        program = folder / "bin/apt-get"
        program.parent.mkdir()
        program.write_text(APT)
        program.chmod(0o755)
        for name, value in {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "CALLS": str(self.log),
            "LISTS": str(self.lists),
            "OFFLINE": "",
            "LABKIT_STATE_DIR": str(folder / "state"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(packages, "_LISTS", self.lists)

    def install(self) -> None:
        packages.apt_install(["docker.io", "iptables"], self.said.append)

    @property
    def calls(self) -> list[str]:
        """Its calls, without the option that makes it wait for another apt."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix("-o DPkg::Lock::Timeout=120 ") for line in lines]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    return Apt(tmp_path, monkeypatch)


def test_package_lists_that_are_missing_are_read_first(apt: Apt) -> None:
    apt.install()
    assert apt.calls == ["update", INSTALL]
    assert apt.said == ["updated the package lists", "installed docker.io iptables"]


def test_package_lists_that_are_there_are_not_read_again(apt: Apt) -> None:
    (apt.lists / "main_Packages").touch()
    apt.install()
    assert apt.calls == [INSTALL]


def test_outdated_package_lists_are_read_again_after_a_failure(apt: Apt) -> None:
    (apt.lists / "old_Packages.lz4").touch()
    apt.install()
    assert apt.calls == [INSTALL, "update", INSTALL]


def test_apts_last_lines_are_the_evidence(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "yes")
    with pytest.raises(SetupFailed, match=r"`apt-get .*update` exited 1") as caught:
        apt.install()
    assert caught.value.evidence == ("what apt says",)
    assert "state/apt-get.log" in caught.value.next_step
    assert apt.said == []


def test_a_failed_installation_is_not_tried_again_with_lists_that_are_new(
    apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_LISTS", apt.lists / "elsewhere")
    (apt.lists.parent / "bin/apt-get").write_text(APT.replace('[ -e "$LISTS/main_Packages" ]', "exit 100"))
    with pytest.raises(SetupFailed, match="exited 100"):
        apt.install()
    assert apt.calls == ["update", INSTALL]


@pytest.mark.usefixtures("apt")
def test_a_command_that_hangs_is_stopped() -> None:
    with pytest.raises(
        SetupFailed, match="`tail -f /dev/null` was still running after 0 s, so it was stopped"
    ):
        packages.run(("tail", "-f", "/dev/null"), 0.0)


@pytest.mark.usefixtures("apt")
def test_a_missing_program_is_an_error_in_three_parts() -> None:
    with pytest.raises(SetupFailed, match=r"`systemctl-of-nobody start docker` could not run: No such file"):
        packages.run(("systemctl-of-nobody", "start", "docker"), 1)


@pytest.fixture
def typed_ahead() -> Iterator[None]:
    """Somebody types at this process's standard input, where a command could read it."""
    before = os.dup(0)
    reader, writer = os.pipe()
    os.write(writer, b"yes\n")
    os.dup2(reader, 0)
    yield
    os.dup2(before, 0)
    for number in (before, reader, writer):
        os.close(number)


@pytest.mark.usefixtures("apt", "typed_ahead")
def test_a_command_asks_nobody_and_its_output_goes_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    script = 'read line || echo "end of input"; echo "$DEBIAN_FRONTEND"; [ -f /dev/stdout ] && echo "a file"'
    packages.run(("sh", "-c", script), 30)
    assert packages.tail(tmp_path / "state/sh.log") == ["end of input", "noninteractive", "a file"]


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert packages.tail(log) == []
    log.write_bytes(b"\n".join(b"%d" % number for number in range(20)) + b"\n\xff")
    assert packages.tail(log, 3) == ["18", "19", "\N{REPLACEMENT CHARACTER}"]
    assert len(packages.tail(log)) == 10
