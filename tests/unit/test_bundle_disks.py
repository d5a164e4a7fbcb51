"""The virtual machine's disks come out of a bundle whole or not at all, and never under a machine's feet."""

import errno
import fcntl
import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from labkit.bundle import disks, verify
from labkit.images import builder
from labkit.util.console import ProgressReporter
from labkit.util.errors import BundleInvalid, LabError
from tests.bundles import disks as made
from tests.bundles import machine_bundle, saved, saved_as_blobs, tar

OTHER = "labkit/machine:000000000000"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labkit's state folder, of this test's own."""
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("LABKIT_MACHINE", raising=False)
    return tmp_path / "state"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return machine_bundle(tmp_path / "lab.bundle")


def load(file: Path) -> str:
    """Load the disks as `labkit bundle load` does; return what was said."""
    disks.load(file, verify.check(file, lambda *_: None), ProgressReporter(said := io.StringIO()))
    return said.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    """What is in a folder, but labkit's locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def put(state: Path, version: str) -> dict[str, bytes]:
    """Let disks of another version be there."""
    there = {name: content for name, content in made(version).items() if name != "machine/initrd"}
    there["machine/initrd"] = b"an older one"
    (state / "machine").mkdir(parents=True)
    for name, content in there.items():
        (state / name).write_bytes(content)
    return there


# -- out of the archive ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("archive", [saved, saved_as_blobs])
def test_the_disks_are_found_in_whichever_layer_they_are(
    tmp_path: Path, state: Path, archive: Callable[..., bytes], pack: Callable[[bytes], bytes]
) -> None:
    wanted = list(made().items())
    others = {"usr/machine/id": b"no", "machine/other": b"no", "machines/id": b"no", "id": b"no"}
    layers = [tar(others), tar(wanted[:2]), tar({}), tar([*wanted[2:4], ("etc/x", b"")]), tar(wanted[4:])]
    said = load(machine_bundle(tmp_path / "lab.bundle", archive(*map(pack, layers))))
    assert contents(state) == made()
    assert f"in {state}/machine" in said


def test_loading_twice_writes_once(whole: Path, state: Path) -> None:
    load(whole)
    before = {path.name: path.stat().st_ino for path in (state / "machine").iterdir()}
    assert "already in" in load(whole)
    assert {path.name: path.stat().st_ino for path in (state / "machine").iterdir()} == before


def test_disks_that_are_not_whole_are_loaded_again(whole: Path, state: Path) -> None:
    load(whole)
    (state / "machine/data.qcow2").unlink()
    load(whole)
    assert contents(state) == made()


def test_a_disk_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    size = 64 << 20
    archive = saved(tar(made() | {"machine/data.qcow2": bytes(size)}))
    file = machine_bundle(tmp_path / "lab.bundle", archive)
    (folder := tmp_path / "disks").mkdir()
    tracemalloc.start()
    disks.unpack(file, folder, lambda *_: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (folder / "data.qcow2").stat().st_size == size
    assert peak < size / 8


# -- refused --------------------------------------------------------------------------------------------


def linked(name: str) -> bytes:
    """A layer in which one of the disks is a link."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return written.getvalue()


def without(name: str) -> dict[str, bytes]:
    return {disk: content for disk, content in made().items() if disk != name}


ONE = "machine/system.qcow2"
LAYER = tar(made())
NOISE = tar({"machine/data.qcow2": random.Random(1).randbytes(400_000)})
REFUSED: dict[str, tuple[bytes, str]] = {
    "no gzip": (tar({"layer.tar": LAYER}), "Not a gzipped file"),
    "nothing": (b"", "empty file"),
    "gzipped nothing": (gzip.compress(b""), "empty file"),
    "gzipped text": (gzip.compress(b"text" * 1000), "invalid header"),
    "cut": (saved(LAYER)[:-2000], "ended before"),
    "broken": (saved(LAYER)[:1000] + bytes(100) + saved(LAYER)[1100:], "CRC check failed"),
    "broken in a disk": (saved(NOISE)[:100_000] + b"\xff" * 200_000, "while decompressing"),
    "no layers": (saved(), "machine/kernel: missing"),
    "a layer cut in a disk": (saved(LAYER[: len(LAYER) // 2]), "unexpected end of data"),
    "a gzipped layer cut": (saved(gzip.compress(LAYER)[:-2000]), ""),
    "a disk missing": (saved(tar(without(ONE))), f"{ONE}: missing"),
    "a disk that is a link": (saved(tar(without(ONE)), linked(ONE)), f"{ONE}: missing"),
    "a disk twice": (saved(LAYER, tar({ONE: b"another"})), f"duplicate {ONE}"),
    "another version": (saved(tar(made(OTHER))), f"the bundle has {OTHER}"),
}


@pytest.mark.parametrize(("archive", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_machine_is_refused_and_leaves_what_was_there(
    tmp_path: Path, state: Path, archive: bytes, why: str
) -> None:
    before = put(state, OTHER)
    with pytest.raises(BundleInvalid) as refused:
        load(machine_bundle(tmp_path / "lab.bundle", archive))
    assert any(why in line for line in refused.value.evidence)
    assert refused.value.next_step
    assert contents(state) == before


def test_a_full_disk_is_told_before_anything_is_written(
    whole: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(state, OTHER)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=999))
    monkeypatch.setattr(disks, "unpack", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(LabError, match="not enough disk space") as refused:
        load(whole)
    assert "LABKIT_STATE_DIR" in refused.value.next_step
    assert contents(state) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_a_load_that_ends_early_leaves_what_was_there(
    whole: Path, state: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_: int) -> NoReturn:
        raise error

    before = put(state, OTHER)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises((KeyboardInterrupt, LabError)) as ended:
        load(whole)
    if isinstance(ended.value, LabError):
        assert "No space left" in ended.value.evidence[0]
        assert ended.value.next_step == f"labkit bundle load {whole}"
    assert contents(state) == before


KILLED = """
import os, sys
from pathlib import Path
from labkit.bundle import disks, verify
from labkit.util.console import ProgressReporter

def stop(_):
    print("in the middle", flush=True)
    sys.stdin.read()

os.fsync = stop
file = Path(sys.argv[1])
disks.load(file, verify.check(file, lambda *_: None), ProgressReporter(quiet=True))
"""


def test_a_load_that_was_killed_leaves_what_was_there_and_is_done_again(whole: Path, state: Path) -> None:
    before = put(state, OTHER)
    command = [sys.executable, "-c", KILLED, str(whole)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        assert killed.stdout.readline() == "in the middle\n"
        killed.kill()
    left = contents(state)
    assert {name: left[name] for name in before} == before
    assert len(left) > len(before)
    load(whole)
    assert contents(state) == made()


# -- under a machine's feet -----------------------------------------------------------------------------


def test_a_machine_that_runs_keeps_its_disks_and_all_start_anew_next_time(whole: Path, state: Path) -> None:
    put(state, OTHER)
    kept = [state / "vm" / lab / "state" for lab in ("runs", "ended", "saved")]
    for folder in kept:
        folder.mkdir(parents=True)
        (folder / "identity").write_text("of the older disks")
    (state / "vm/ended/lock").touch()  # after a power cut
    with (state / "machine/initrd").open("rb") as disk, (kept[0].parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as QEMU holds it
        said = load(whole)
        assert disk.read() == b"an older one"
    assert "lab 'runs' keeps its old disks until labkit down --lab runs" in said
    assert said.count("keeps its old disks") == 1
    assert not any((folder / "identity").exists() for folder in kept)
    assert all(folder.exists() for folder in kept)
    assert (state / "machine/id").read_text() == builder.content_tag("machine")


def test_what_machines_keep_stays_when_the_disks_do(whole: Path, state: Path) -> None:
    load(whole)
    (folder := state / "vm/saved/state").mkdir(parents=True)
    (folder / "identity").write_text("of these disks")
    load(whole)
    assert (folder / "identity").exists()
