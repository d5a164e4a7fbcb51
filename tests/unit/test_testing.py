"""`labkit test` provides the browser for the browser tests, or says what to do."""

from pathlib import Path

import pytest

from labkit import system, testing
from labkit.console import Story
from labkit.engine.machine import Machine
from labkit.errors import SetupFailed

DEBIAN = Machine("Linux", ("debian",), root=True)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine without a browser, where apt installs what is listed here."""
    packages: list[str] = []

    def install(names: tuple[str, ...], _: object) -> None:
        packages.extend(names)

    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(testing, "_BROWSERS", ("chromium", str(tmp_path / "Applications/Chromium")))
    monkeypatch.setattr(system, "apt_install", install)
    monkeypatch.setattr(testing, "this_machine", lambda: DEBIAN)
    return packages


def test_chromium_is_installed_where_it_is_missing(installed: list[str]) -> None:
    assert testing.find_browser() is None
    testing._provide_browser(Story(quiet=True))
    assert installed == ["chromium"]


@pytest.mark.parametrize("place", ["chromium", "Applications/Chromium"])
def test_a_browser_that_is_there_is_taken(installed: list[str], tmp_path: Path, place: str) -> None:
    browser = tmp_path / place
    browser.parent.mkdir(exist_ok=True)
    browser.touch(mode=0o755)
    assert testing.find_browser() == str(browser)
    testing._provide_browser(Story(quiet=True))
    assert installed == []


@pytest.mark.parametrize(
    ("machine", "advice"),
    [
        (Machine("Linux", ("debian",)), "sudo apt-get install chromium"),
        (Machine("Linux", ("fedora",), root=True), "install Chromium or Google Chrome"),
        (Machine("Darwin"), "install Chromium or Google Chrome"),
    ],
    ids=["no root", "Fedora", "macOS"],
)
def test_where_it_is_the_users_to_do_they_are_told(
    installed: list[str], monkeypatch: pytest.MonkeyPatch, machine: Machine, advice: str
) -> None:
    monkeypatch.setattr(testing, "this_machine", lambda: machine)
    with pytest.raises(SetupFailed, match="found no Chromium") as caught:
        testing._provide_browser(Story(quiet=True))
    assert caught.value.next_step == advice
    assert installed == []
