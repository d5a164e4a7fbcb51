"""Everything runs on arm64 except the virtual machine, which refuses in words."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import DockerException

from labkit.engine import vm_probe
from labkit.engine.doctor import Probe
from labkit.engine.host_info import Host, this_host
from labkit.engine.selection import EngineContext
from labkit.engine.vm import process
from labkit.images import architecture, base_image, builder
from labkit.util.errors import EngineUnsuitable, ImageUnavailable, LabError

ROOT = Path(__file__).parents[2]
# What may name a processor: the virtual machine, what says that it needs this one, an example of a name.
NAMES_ONE = (
    "labkit/images/sources/vm/",
    "labkit/images/architecture.py",
    "labkit/images/published.py",
    "labkit/engine/vm/process.py",
    "labkit/bundle/manifest.py",
)
REFUSAL = "this processor is arm64, and the virtual machine is for x86-64 (amd64) only"


def engine(arch: str) -> SimpleNamespace:
    """An engine that says what its processor is, and answers nothing else."""
    return SimpleNamespace(version=lambda: {"Arch": arch})


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("x86_64", "amd64"),
        ("AMD64", "amd64"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
        ("riscv64", "riscv64"),
    ],
)
def test_processors_have_dockers_names(monkeypatch: pytest.MonkeyPatch, machine: str, name: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert architecture.of_host() == this_host().architecture == name


def test_an_arm64_engine_is_never_asked_to_build_the_virtual_machine() -> None:
    with pytest.raises(EngineUnsuitable) as refused:
        builder.ensure(engine("arm64"), "machine", print)  # type: ignore[arg-type]
    assert list(refused.value.evidence) == [REFUSAL]
    assert refused.value.next_step.endswith("labkit up --engine docker")


def test_the_other_images_do_not_ask_for_a_processor() -> None:
    found = SimpleNamespace(tags=["labkit/storage:latest"])
    client = SimpleNamespace(images=SimpleNamespace(get=lambda _: found))  # has no `version` to ask
    assert builder.ensure(client, "storage", print) == builder.content_tag("storage")  # type: ignore[arg-type]


def test_on_an_arm64_host_no_virtual_machine_runs_directly_and_qemu_is_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arm = replace(Host("Linux", ("debian",)), architecture="arm64")
    monkeypatch.setattr(process, "this_host", lambda: arm)
    assert process.obstacles() == [REFUSAL]
    with pytest.raises(EngineUnsuitable) as refused:
        process.require()
    assert list(refused.value.evidence) == [REFUSAL]
    assert "apt-get" not in refused.value.next_step
    assert refused.value.next_step.endswith("labkit up --engine docker")


def doctor_line(monkeypatch: pytest.MonkeyPatch, version: Callable[[], dict[str, str]]) -> Probe:
    """The doctor's line about the virtual machine, for a kernel without a routing mesh."""
    context = EngineContext("arm", "docker")
    monkeypatch.setattr(context, "vm", lambda: None)
    monkeypatch.setattr(context, "own_client", lambda *_: SimpleNamespace(version=version))
    monkeypatch.setattr(vm_probe, "_kvm", lambda _: None)
    return vm_probe.offer(context, [Probe("ip_vs", "ip_vs (mesh)", False, "missing", "04", "")])


def test_the_doctor_does_not_offer_it_to_an_arm64_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = doctor_line(monkeypatch, lambda: {"Arch": "arm64"})
    assert probe.advice == f"a virtual machine would have ip_vs, but it cannot run here: {REFUSAL}"


def test_the_doctor_offers_it_to_an_x86_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "labkit up --lab arm --engine vm: has ip_vs"
        in doctor_line(monkeypatch, lambda: {"Arch": "amd64"}).advice
    )


def test_the_doctor_survives_an_engine_that_stops_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> dict[str, str]:
        raise DockerException("gone")

    assert "--engine vm" in doctor_line(monkeypatch, silent).advice


def test_a_base_for_another_processor_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on an Arm server, reached over ssh from a laptop: the laptop's mmdebstrap is of no use."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(base_image, "_pull", lambda *_: "no registry")
    with pytest.raises(ImageUnavailable) as refused:
        base_image.make(engine("arm64"), "labkit/base:1", tmp_path, print)  # type: ignore[arg-type]
    assert list(refused.value.evidence) == [
        "no registry",
        "this computer is amd64; the Docker engine's is arm64",
    ]


def test_a_base_for_the_same_processor_gets_as_far_as_mmdebstrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(base_image, "_pull", lambda *_: "no registry")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="mmdebstrap, which could build it, is not installed"):
        base_image.make(engine("arm64"), "labkit/base:1", tmp_path, print)  # type: ignore[arg-type]


def test_nothing_but_the_virtual_machine_names_a_processor() -> None:
    named = re.compile(r"x86|amd64|aarch64|arm64|lib64/|linux-gnu", re.IGNORECASE)
    files = [ROOT / "docker-compose.dind.yml", *(ROOT / "labkit").rglob("*")]
    found = [
        f"{relative}:{number}: {line.strip()}"
        for path in files
        if path.is_file() and path.suffix not in (".pyc", ".png", ".ipynb", ".json")
        for relative in [path.relative_to(ROOT).as_posix()]
        if not relative.startswith(NAMES_ONE)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if named.search(line)
    ]
    assert found == []
