"""`labkit test` provides the browser for the browser tests, or says what to do."""

from pathlib import Path

import pytest

from labkit.cli import testing
from labkit.engine.host_info import Host
from labkit.util import packages
from labkit.util.console import ProgressReporter
from labkit.util.errors import SetupFailed

DEBIAN = Host("Linux", ("debian",), root=True)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine without a browser, where apt installs what is listed here."""
    names: list[str] = []

    def install(wanted: tuple[str, ...], _: object) -> None:
        names.extend(wanted)

    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(testing, "_BROWSERS", ("chromium", str(tmp_path / "Applications/Chromium")))
    monkeypatch.setattr(packages, "apt_install", install)
    monkeypatch.setattr(testing, "this_host", lambda: DEBIAN)
    return names


def test_chromium_is_installed_where_it_is_missing(installed: list[str]) -> None:
    assert testing.find_browser() is None
    testing._provide_browser(ProgressReporter(quiet=True))
    assert installed == ["chromium"]


@pytest.mark.parametrize("place", ["chromium", "Applications/Chromium"])
def test_a_browser_that_is_there_is_taken(installed: list[str], tmp_path: Path, place: str) -> None:
    browser = tmp_path / place
    browser.parent.mkdir(exist_ok=True)
    browser.touch(mode=0o755)
    assert testing.find_browser() == str(browser)
    testing._provide_browser(ProgressReporter(quiet=True))
    assert installed == []


@pytest.mark.parametrize(
    ("machine", "advice"),
    [
        (Host("Linux", ("debian",)), "sudo apt-get install chromium"),
        (Host("Linux", ("fedora",), root=True), "install Chromium or Google Chrome"),
        (Host("Darwin"), "install Chromium or Google Chrome"),
    ],
    ids=["no root", "Fedora", "macOS"],
)
def test_where_it_is_the_users_to_do_they_are_told(
    installed: list[str], monkeypatch: pytest.MonkeyPatch, machine: Host, advice: str
) -> None:
    monkeypatch.setattr(testing, "this_host", lambda: machine)
    with pytest.raises(SetupFailed, match="found no Chromium") as caught:
        testing._provide_browser(ProgressReporter(quiet=True))
    assert caught.value.next_step == advice
    assert installed == []


@pytest.mark.parametrize(
    ("arguments", "only"),
    [
        (["tests/unit"], True),
        (["tests/unit/test_lock.py::test_x", "-x", "-k", "lock"], True),
        (["tests/unit", "tests/swarm/test_lab.py"], False),
        (["-k", "interrupt"], False),
        ([], False),
    ],
)
def test_unit_tests_alone_need_no_engine(arguments: list[str], only: bool) -> None:
    assert testing.only_unit(arguments) is only
