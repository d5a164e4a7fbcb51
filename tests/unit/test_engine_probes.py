"""What the probes conclude, and how they are shown."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from labkit.engine import doctor
from labkit.engine.doctor import EVERY, Probe, as_json, essentials_missing, require_room, table
from labkit.engine.endpoints import Endpoint
from labkit.engine.selection import EngineContext
from labkit.util.errors import EngineUnsuitable

# Recorded from a 20.10 engine on a kernel without ip_vs and ESP.
OUTPUT = """\
disk\tok\t82 GB free
overlay\tok\tmounted one on a volume, deleted a file of a lower layer
vxlan\tok\tmade an interface, put it on a bridge
bridge_nf\tok\tbridged packets pass iptables
ip_vs\tno\tRTNETLINK answers: No such file or directory
esp\tno\tError: Requested AEAD algorithm not found.
fuse\tunsure\tnot probed: probe.sh: 60: mknod: not found
inotify\tunsure\tenough for about 6 labs with 15 tasks each: 128 instances per user
"""
INFO = {
    "ServerVersion": "20.10.24+dfsg1",
    "KernelVersion": "6.1.0-41-amd64",
    "NCPU": 2,
    "MemTotal": 25_276_411_904,
    "CgroupVersion": "1",
    "CgroupDriver": "cgroupfs",
}
ENGINE = Endpoint("unix:///here.sock", "here", api_version="1.41")
KERNEL = {"disk", "overlay", "bridge_nf", "vxlan", "ip_vs", "esp", "fuse", "inotify"}
KEYS = ["engine", "kernel", "cpus", "memory", "cgroup", *doctor._KERNEL, "registry"]


class Engine:
    """A docker client of which `examine` sees only what a test decides."""

    def __init__(self, registry: Exception | None = None) -> None:
        self.images, self.registry = self, registry

    def info(self) -> dict[str, Any]:
        return INFO

    def get_registry_data(self, _: str) -> None:
        if self.registry:
            raise self.registry

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(EngineContext, "endpoint", lambda _: ENGINE)
    monkeypatch.setattr(EngineContext, "client", lambda *_, **__: engine)
    monkeypatch.setattr(doctor, "_run_script", lambda *_: OUTPUT)
    return engine


def by_key(image: str | None = "node") -> dict[str, Probe]:
    return {probe.key: probe for probe in doctor.examine(EngineContext("test"), image)}


@pytest.mark.usefixtures("engine")
def test_every_line_is_there_in_a_stable_order() -> None:
    assert list(by_key()) == KEYS
    assert set(doctor._KERNEL) == KERNEL


@pytest.mark.usefixtures("engine")
def test_verdicts_follow_the_script() -> None:
    found = by_key()
    assert {key: found[key].ok for key in KERNEL} == {
        "disk": True,
        "overlay": True,
        "vxlan": True,
        "bridge_nf": True,
        "ip_vs": False,
        "esp": False,
        "fuse": None,
        "inotify": None,
    }
    assert found["esp"].found == "Error: Requested AEAD algorithm not found."
    assert found["engine"].found == "20.10.24+dfsg1, API 1.41 (unix:///here.sock)"


@pytest.mark.usefixtures("engine")
def test_advice_stands_where_it_is_needed_and_fits() -> None:
    found = by_key()
    assert all(probe.advice == "" for probe in found.values() if probe.ok)
    assert all(probe.advice for probe in found.values() if not probe.ok)
    assert found["inotify"].advice.startswith("sudo sysctl fs.inotify.max_user_instances=512")
    assert "modprobe ip_vs" in found["ip_vs"].advice
    assert found["fuse"].advice == doctor._NODE_IMAGE  # not probed: a modprobe would be a guess


@pytest.mark.usefixtures("engine")
def test_without_an_image_the_kernel_is_not_probed() -> None:
    found = by_key(None)
    assert {found[key].found for key in KERNEL} == {"not probed: no image yet"}
    assert {found[key].ok for key in KERNEL} == {None}
    assert found["cpus"].ok


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImageNotFound("404"), "not probed: the engine has no image node"),
        (APIError("500", explanation="unable to apply caps"), "not probed: unable to apply caps"),
        (TimeoutError("too slow"), "not probed: too slow"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_a_probe_that_cannot_run_says_why(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(doctor, "_run_script", fail)
    assert by_key()["vxlan"].found == reason


@pytest.mark.usefixtures("engine")
def test_lines_that_the_script_did_not_reach_are_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_run_script", lambda *_: "disk\tok\t9 GB free\n")
    found = by_key()
    assert (found["disk"].ok, found["esp"].ok) == (True, None)
    assert found["esp"].found == "not probed: the probe exited early"


@pytest.mark.parametrize(
    ("error", "ok", "reason"),
    [
        (None, True, "reachable"),
        (APIError("500", explanation='Get "https://r/v2/": dial tcp: no such host'), False, "no such host"),
        (TimeoutError(), False, "no answer within 10 s"),
    ],
)
def test_registry(engine: Engine, error: Exception | None, ok: bool, reason: str) -> None:
    engine.registry = error
    found = by_key()["registry"]
    assert (found.ok, found.found) == (ok, reason)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"NCPU": 1}, "cpus"), ({"MemTotal": 3_900_000_000}, "memory"), ({"CgroupDriver": "none"}, "cgroup")],
)
def test_a_small_machine_is_told(change: dict[str, Any], key: str) -> None:
    before = doctor._judge_system(INFO, ENGINE, "")
    after = doctor._judge_system(INFO | change, ENGINE, "")
    assert (before[key].ok, after[key].ok) == (True, False)


def line(key: str, ok: bool | None, needed_by: str = EVERY, advice: str = "") -> Probe:
    return Probe(key, key.upper(), ok, f"found {key}", needed_by, advice)


def test_table_is_aligned_and_marked() -> None:
    shown = table([line("a", True), line("long", False, "05-connect", "do this"), line("c", None)])
    assert shown.splitlines() == [
        "✓ A     every chapter  found a",
        "✗ LONG  05-connect     found long",
        "    → do this",
        "– C     every chapter  found c",
    ]


def test_table_says_shared_advice_once_below_the_last() -> None:
    shown = table([line("a", None, advice="same"), line("b", None, advice="same"), line("c", True)])
    assert [text.strip() for text in shown.splitlines()][2] == "→ same"
    assert shown.count("same") == 1


@pytest.mark.usefixtures("engine")
def test_table_fits_100_columns() -> None:
    for image in ("node", None):
        shown = table(doctor.examine(EngineContext("test"), image))
        assert max(map(len, shown.splitlines())) <= 100
        assert len(shown.splitlines()) > len(KEYS)


def test_json_has_stable_keys_and_is_serialisable() -> None:
    shown = as_json([line("a", True), line("b", None)])
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) == {"ready", "probes"}
    assert [set(each) for each in shown["probes"]] == [
        {"key", "title", "ok", "found", "needed_by", "advice"}
    ] * 2


@pytest.mark.parametrize(
    ("probe", "ready"),
    [
        (line("a", True), True),
        (line("a", None), True),
        (line("a", False, "05-connect-overlays"), True),
        (line("a", False), False),
    ],
)
def test_ready_means_that_every_chapter_has_what_it_needs(probe: Probe, ready: bool) -> None:
    assert as_json([probe])["ready"] is ready
    assert bool(essentials_missing([probe])) is not ready


@pytest.mark.parametrize(("free", "enough"), [(999_999_999, False), (1_000_000_000, True)])
def test_a_disk_that_is_nearly_full_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, enough: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    engine: Any = SimpleNamespace(info=lambda: {"DockerRootDir": str(tmp_path)})
    with nullcontext() if enough else pytest.raises(EngineUnsuitable, match="nearly full"):
        require_room(engine)


def test_the_disk_of_an_engine_elsewhere_is_not_judged_by_this_machines(tmp_path: Path) -> None:
    engine: Any = SimpleNamespace(info=lambda: {"DockerRootDir": str(tmp_path / "elsewhere")})
    require_room(engine)
