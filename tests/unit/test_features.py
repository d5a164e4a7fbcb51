"""Whether a step of the course can be taken on this kernel, and what is said where it cannot."""

from types import SimpleNamespace

import pytest

from labkit import engine, features, images
from labkit.engine import Probe
from labkit.errors import LabError
from labkit.lab import Lab


def line(key: str, ok: bool | None) -> Probe:
    return Probe(key, f"{key} title", ok, "found", "a chapter", "" if ok else "advice")


class Kernel:
    """What probes find; counts how often they are asked."""

    def __init__(self, ip_vs: bool | None, esp: bool | None) -> None:
        self.found, self.asked = {"ip_vs": line("ip_vs", ip_vs), "esp": line("esp", esp)}, 0

    def examine(self, _: str | None) -> dict[str, Probe]:
        self.asked += 1
        return self.found


def kernel(monkeypatch: pytest.MonkeyPatch, ip_vs: bool | None, esp: bool | None = True) -> Kernel:
    made = Kernel(ip_vs, esp)
    monkeypatch.setattr(features, "_known", {})
    monkeypatch.setattr(engine, "find", lambda: SimpleNamespace(url="unix:///here.sock"))
    monkeypatch.setattr(engine, "client", lambda: None)
    monkeypatch.setattr(engine, "of_lab", lambda _: None)
    monkeypatch.setattr(engine, "examine_kernel", made.examine)
    monkeypatch.setattr(images, "installed_tag", lambda *_: "labkit/node:1")
    return made


def test_nothing_is_said_of_what_is_there_and_it_is_probed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = kernel(monkeypatch, ip_vs=True)
    assert Lab("one").can("mesh") and Lab("one").can("mesh") and Lab("one").can("encryption")
    assert capsys.readouterr().out == ""
    assert made.asked == 1


@pytest.mark.parametrize(
    ("feature", "part", "instead"),
    [("mesh", "ip_vs", "ports in host mode"), ("encryption", "ESP", "overlay networks")],
)
def test_what_is_missing_is_named_in_one_sentence_with_what_works(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    feature: str,
    part: str,
    instead: str,
) -> None:
    kernel(monkeypatch, ip_vs=False, esp=False)
    assert not Lab("one").can(feature)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("Skipped") and part in said and instead in said
    assert said.count(". ") == 0 and said.endswith(".")


def test_what_could_not_be_probed_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kernel(monkeypatch, ip_vs=None)
    assert not Lab("one").can("mesh")
    made.found["ip_vs"] = line("ip_vs", True)
    assert Lab("one").can("mesh")


def test_an_unknown_feature_names_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, ip_vs=True)
    with pytest.raises(LabError, match="mesh, encryption"):
        Lab("one").can("meshes")
