"""`labkit test` provides the browser for the browser tests, or says what to do."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.cli import testing
from labkit.engine.host_info import Host
from labkit.engine.selection import EngineContext
from labkit.images.engines import DEFAULT
from labkit.util import packages
from labkit.util.console import ProgressReporter
from labkit.util.errors import SetupFailed
from tests.engines.inner import INNERS
from tests.engines.outer import OUTERS

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
        (Host("Linux", ("ubuntu", "debian"), root=True), "install Chromium or Google Chrome"),
        (Host("Darwin"), "install Chromium or Google Chrome"),
    ],
    ids=["no root", "Fedora", "Ubuntu, whose Chromium is a snap", "macOS"],
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


def test_each_engine_of_the_matrix_has_a_group_and_the_quick_one_runs_always() -> None:
    def names(option: str, groups: tuple[testing.Group, ...]) -> list[str]:
        return [group.options[1] for group in groups if group.options[:1] == (option,)]

    assert names("--outer", testing._USUAL) == ["28.5-like-29"]
    assert sorted(names("--outer", testing._USUAL + testing._SLOW)) == sorted(OUTERS)
    core = tuple(group for group in testing._SLOW if group.select == "core")
    assert sorted([*names("--inner", core), DEFAULT]) == sorted(INNERS)
    assert names("--inner", tuple(group for group in testing._SLOW if group not in core)) == ["28.5"]


@pytest.mark.parametrize(("processor", "on_vm"), [("amd64", True), ("arm64", False)], ids=["x86-64", "Arm"])
def test_the_virtual_machines_tests_run_where_it_can_run_and_are_named_where_not(
    processor: str, on_vm: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    provided: list[bool] = []

    def run_group(group: testing.Group) -> bool:
        ran.append(group.title)
        return True

    context = EngineContext("arm", "docker")
    monkeypatch.setattr(context, "own_client", lambda: SimpleNamespace(version=lambda: {"Arch": processor}))
    monkeypatch.setattr(testing, "_provide", lambda *_, vm: provided.append(vm))
    monkeypatch.setattr(testing, "_passes", lambda *_: True)
    monkeypatch.setattr(testing, "_run_group", run_group)
    assert testing.run(context, [], slow=True) == 0
    kernels = [title for title in ran if "kernel" in title]
    assert kernels == (["Full kernel smoke", "Full kernel"] if on_vm else [])
    assert {"Side by side", "Alone"} <= set(ran)
    assert provided == [on_vm]
    said = capsys.readouterr().out
    assert ("Full kernel: not run, because this processor is arm64" in said) is not on_vm
