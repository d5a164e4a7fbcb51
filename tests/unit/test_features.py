"""Whether a step of the course can be taken on this kernel, and what is said where it cannot."""

import pytest

from labkit.cluster import features
from labkit.engine.doctor import Probe
from labkit.engine.selection import EngineContext
from labkit.images import builder
from labkit.lab import Lab
from labkit.util.errors import LabError


def line(key: str, ok: bool | None) -> Probe:
    return Probe(key, f"{key} title", ok, "found", "a chapter", "" if ok else "advice")


class Kernel:
    """What probes find; counts how often they are asked."""

    def __init__(self, ip_vs: bool | None, esp: bool | None) -> None:
        self.found, self.asked = {"ip_vs": line("ip_vs", ip_vs), "esp": line("esp", esp)}, 0

    def examine(self, *_: object) -> dict[str, Probe]:
        self.asked += 1
        return self.found


def kernel(monkeypatch: pytest.MonkeyPatch, ip_vs: bool | None, esp: bool | None = True) -> Kernel:
    made = Kernel(ip_vs, esp)
    monkeypatch.setattr(EngineContext, "client", lambda _: None)
    monkeypatch.setattr(features, "examine_kernel", made.examine)
    monkeypatch.setattr(builder, "installed_tag", lambda *_: "labkit/node:1")
    return made


def test_nothing_is_said_of_what_is_there_and_it_is_probed_once_for_a_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = kernel(monkeypatch, ip_vs=True)
    lab = Lab("one")
    assert lab.supports("mesh") and lab.supports("mesh") and lab.supports("encryption")
    assert made.asked == 1
    assert capsys.readouterr().out == ""
    assert "mesh" in repr(lab.supports("mesh"))


def test_labs_on_different_engines_have_different_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kernel(monkeypatch, ip_vs=True)
    one, other = Lab("one"), Lab("other")
    assert one.supports("mesh")
    made.found = made.found | {"ip_vs": line("ip_vs", False)}
    assert not other.supports("mesh")
    assert one.supports("mesh")


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
    support = Lab("one").supports(feature)
    assert not support
    (said,) = repr(support).splitlines()
    assert said.startswith("Skipped") and part in said and instead in said
    assert said.count(". ") == 0 and said.endswith(".")
    assert capsys.readouterr().out == ""  # a notebook shows it, a script decides for itself


def test_what_could_not_be_probed_is_said_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lab = kernel(monkeypatch, ip_vs=None), Lab("one")
    support = lab.supports("mesh")
    assert not support
    assert repr(support).startswith("Skipped") and "(found)" in repr(support)
    made.found["ip_vs"] = line("ip_vs", True)
    assert lab.supports("mesh")


def test_an_unknown_feature_names_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, ip_vs=True)
    with pytest.raises(LabError, match="mesh, encryption"):
        Lab("one").supports("meshes")


def test_the_older_name_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, ip_vs=False)
    assert repr(Lab("one").can("mesh")) == repr(Lab("one").supports("mesh"))
