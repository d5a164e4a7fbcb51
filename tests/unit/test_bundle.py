"""A bundle is refused, before anything changes, unless it is whole and fits; a save is whole or not there."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from labkit.bundle import __main__ as bootstrap
from labkit.bundle import manifest as manifests
from labkit.bundle import save as saving
from labkit.bundle import verify, wheels
from labkit.bundle.load import load as load_into
from labkit.bundle.manifest import MANIFEST, Manifest, this_python
from labkit.engine import doctor, selection
from labkit.engine.selection import EngineContext
from labkit.engine.vm import process as processes
from labkit.images import builder, store
from labkit.util.console import ProgressReporter
from labkit.util.errors import BundleInvalid, EngineNotFound, LabError, SetupFailed
from tests.bundles import (
    IMAGE_LIST,
    MEMBERS,
    PROJECT,
    bundle,
    content_tags,
    machine_bundle,
    manifest_of,
    write,
)

QUIET = ProgressReporter(quiet=True)


def check(file: Path) -> Manifest:
    return verify.check(file, lambda *_: None)


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return bundle(tmp_path / "lab.bundle")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project with the files of the small bundle."""
    for name, content in PROJECT.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "swarm-lab"


# -- whole or refused -----------------------------------------------------------------------------------


def test_a_whole_bundle_is_read_to_its_end(whole: Path) -> None:
    seen: list[tuple[int, int]] = []
    manifest = verify.check(whole, lambda done, total: seen.append((done, total)))
    assert manifest == manifest_of(MEMBERS)
    assert seen == sorted(seen)
    assert all(done <= total == whole.stat().st_size for done, total in seen)


def test_the_manifest_is_json_with_its_format_first(whole: Path) -> None:
    with tarfile.open(whole) as tar:
        text = (tar.extractfile(MANIFEST) or io.BytesIO()).read()
    assert next(iter(json.loads(text).items())) == ("format", 1)
    assert manifests.parse(text, whole) == manifest_of(MEMBERS)


@pytest.mark.parametrize("name", [*MEMBERS, MANIFEST])
def test_a_flipped_bit_in_any_member_is_refused(whole: Path, name: str) -> None:
    with tarfile.open(whole) as tar:
        member = tar.getmember(name)
    content = bytearray(whole.read_bytes())
    content[member.offset_data + member.size // 2] ^= 1
    whole.write_bytes(content)
    with pytest.raises(BundleInvalid) as refused:
        check(whole)
    assert "labkit bundle save lab.bundle" in refused.value.next_step
    if name != MANIFEST:
        assert refused.value.evidence == (f"{name}: changed since it was saved",)


@pytest.mark.parametrize("name", [*MEMBERS, MANIFEST])
def test_a_flipped_bit_in_any_header_is_refused(whole: Path, name: str) -> None:
    with tarfile.open(whole) as tar:
        at = tar.getmember(name).offset
    content = bytearray(whole.read_bytes())
    content[at] ^= 1
    whole.write_bytes(content)
    with pytest.raises(BundleInvalid):
        check(whole)


def test_a_bundle_cut_anywhere_is_refused(whole: Path) -> None:
    content = whole.read_bytes()
    with tarfile.open(whole) as tar:
        last = tar.getmembers()[-1]
    for length in [*range(0, last.offset_data + last.size, 512), last.offset_data + last.size - 1]:
        whole.write_bytes(content[:length])
        with pytest.raises(BundleInvalid):
            check(whole)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_missing_member_is_named(tmp_path: Path, name: str) -> None:
    members = {**MEMBERS, MANIFEST: manifest_of(MEMBERS).to_json()}
    del members[name]
    with pytest.raises(BundleInvalid, match="damaged") as refused:
        check(write(tmp_path / "lab.bundle", members))
    assert refused.value.evidence == (f"{name}: missing",)


def test_a_member_that_the_manifest_does_not_list_is_named(tmp_path: Path) -> None:
    members = {**MEMBERS, "wheels/b-1-py3-none-any.whl": b"", MANIFEST: manifest_of(MEMBERS).to_json()}
    with pytest.raises(BundleInvalid, match="damaged") as refused:
        check(write(tmp_path / "lab.bundle", members))
    assert refused.value.evidence == ("wheels/b-1-py3-none-any.whl: not in the manifest",)


def test_a_member_of_the_same_length_is_not_the_same(tmp_path: Path) -> None:
    members = {**MEMBERS, "images.tar.gz": bytes(len(IMAGE_LIST)), MANIFEST: manifest_of(MEMBERS).to_json()}
    with pytest.raises(BundleInvalid, match="damaged"):
        check(write(tmp_path / "lab.bundle", members))


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid) as refused:
        check(write(tmp_path / "lab.bundle", {MANIFEST: manifest_of(MEMBERS).to_json()}))
    assert len(refused.value.evidence) == 6
    assert refused.value.evidence[-1] == "and 1 more"


UNSAFE = [
    "../evil",
    "/etc/evil",
    "wheels/../../evil.whl",
    "wheels/a/b.whl",
    "swarm-lab/../evil",
    "swarm-lab/.git/x",
]
UNSAFE += [
    "wheels/.whl",
    "wheels/a.sh",
    "swarm-lab",
    "swarm-lab/",
    "swarm-lab//etc",
    "images.tar.gz/x",
    "other",
    "",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_leads_elsewhere_is_no_member(tmp_path: Path, name: str) -> None:
    assert not manifests.is_member(name)
    members = {**MEMBERS, name: b"evil"}
    with pytest.raises(BundleInvalid):
        check(write(tmp_path / "lab.bundle", {**members, MANIFEST: manifest_of(members).to_json()}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_plain_file_is_refused(whole: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("swarm-lab/link")
    link.type, link.linkname = kind, "swarm-lab/lab"
    with tarfile.open(whole, "a") as tar:
        tar.addfile(link)
    with pytest.raises(BundleInvalid, match="cannot be read"):
        check(whole)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Whichever of the two is as it should be: some readers take the first, some the last."""
    members = {**MEMBERS, MANIFEST: manifest_of(MEMBERS).to_json()}
    for pairs in (
        [("swarm-lab/lab", b"evil"), *members.items()],
        [*members.items(), ("swarm-lab/lab", b"evil")],
    ):
        with pytest.raises(BundleInvalid):
            check(write(tmp_path / "lab.bundle", pairs))


NO_BUNDLES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda file: file.unlink(missing_ok=True),
    "a folder": lambda file: file.mkdir(),
    "empty": lambda file: file.touch(),
    "a text": lambda file: file.write_text("not a tar\n" * 200),
    "a gzipped tar": lambda file: file.write_bytes(gzip.compress(bytes(10240))),
    "another tar": lambda file: write(file, {"README": b""}),
    "a manifest of nothing": lambda file: write(file, {MANIFEST: b""}),
    "a manifest that is a list": lambda file: write(file, {MANIFEST: b"[]"}),
    "a manifest that is a number": lambda file: write(file, {MANIFEST: b"1"}),
    "a manifest without a format": lambda file: write(file, {MANIFEST: b"{}"}),
    "a manifest with the format alone": lambda file: write(file, {MANIFEST: b'{"format": 1}'}),
}


@pytest.mark.parametrize("make", NO_BUNDLES.values(), ids=NO_BUNDLES)
def test_what_is_no_bundle_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "lab.bundle")
    with pytest.raises(BundleInvalid) as refused:
        check(tmp_path / "lab.bundle")
    assert refused.value.next_step


def test_another_format_is_refused_as_such_whatever_else_it_says(tmp_path: Path) -> None:
    newer = json.dumps({"format": 2, "new": True}).encode()
    with pytest.raises(BundleInvalid, match="another bundle format") as refused:
        check(write(tmp_path / "lab.bundle", {**MEMBERS, MANIFEST: newer}))
    assert "tar xf" in refused.value.next_step


# -- this machine ---------------------------------------------------------------------------------------


def test_a_bundle_fits_the_machine_and_the_checkout_that_it_is_for(whole: Path, checkout: Path) -> None:
    (checkout / "notebooks/01.ipynb").write_text("a learner's own work")
    verify.require_this_host(check(whole), whole, checkout)


UNFIT = {
    "another processor": {"platform": "linux-riscv64"},
    "another system": {"platform": "plan9-x86_64"},
    "another Python": {"pythons": ["3.1", "3.99"]},
    "a newer glibc": {"glibc": "99.1"},
}


@pytest.mark.parametrize("changes", UNFIT.values(), ids=UNFIT)
def test_a_bundle_for_another_machine_is_refused(
    tmp_path: Path, checkout: Path, changes: dict[str, Any]
) -> None:
    file = bundle(tmp_path / "lab.bundle", **changes)
    with pytest.raises(BundleInvalid) as refused:
        verify.require_this_host(check(file), file, checkout)
    assert "labkit bundle save lab.bundle" in refused.value.next_step


def test_glibc_versions_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, whole: Path, checkout: Path
) -> None:
    manifest = manifest_of(MEMBERS, glibc="2.9")
    for here, fits in (("2.31", True), ("2.9", True), ("2.5", False)):
        monkeypatch.setattr("platform.libc_ver", lambda here=here: ("glibc", here))
        assert refuses(lambda: verify.require_this_host(manifest, whole, checkout)) is not fits
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    with pytest.raises(BundleInvalid, match=r"glibc 2\.9"):
        verify.require_this_host(manifest, whole, checkout)


def refuses(action: Callable[[], object]) -> bool:
    try:
        action()
    except BundleInvalid:
        return True
    return False


@pytest.mark.parametrize("name", ["pyproject.toml", "labkit/lab.py"])
def test_a_bundle_of_another_version_is_refused_with_how_to_use_that_one(
    whole: Path, checkout: Path, name: str
) -> None:
    (checkout / name).write_text("another")
    with pytest.raises(BundleInvalid, match="another version") as refused:
        verify.require_this_host(check(whole), whole, checkout)
    assert refused.value.evidence == (f"{name} differs",)
    assert f"tar xf {whole} swarm-lab" in refused.value.next_step


# -- the script ./lab, before there is an environment ---------------------------------------------------


def test_checking_needs_nothing_but_python() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import labkit.bundle.__main__"
    subprocess.run([sys.executable, "-S", "-B", "-c", program, str(manifests.ROOT)], check=True, timeout=60)


def test_wheels_are_unpacked_and_nothing_else(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "old-1-py3-none-any.whl").touch()
    bootstrap.unpack_wheels(whole, folder)
    assert state_of(folder) == {"a-1-py3-none-any.whl": b"a wheel"}


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The project itself on a machine where nothing is set up."""
    for name, path in manifests.project_files().items():
        file = tmp_path / "fresh" / name.partition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.read_bytes())
        file.chmod(path.stat().st_mode)
    return tmp_path / "fresh"


def run_lab(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["./lab", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.mark.parametrize("damage", [False, True])
def test_the_script_refuses_before_anything_changes(tmp_path: Path, fresh: Path, damage: bool) -> None:
    file = bundle(tmp_path / "lab.bundle")  # of another version: its labkit is not this one
    if damage:
        file.write_bytes(file.read_bytes()[:3000])  # in the middle of a member
    before = state_of(tmp_path)
    done = run_lab(fresh, "bundle", "load", "../lab.bundle")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "BundleInvalid: ../lab.bundle " + ("cannot be read" if damage else "is for another version")
    )
    assert "Try: " in done.stderr
    assert state_of(tmp_path) == before


# -- load -----------------------------------------------------------------------------------------------


def load(file: Path, provide_engine: Callable[[], None], reporter: ProgressReporter) -> None:
    """Load a bundle for a lab on the kind of engine that LABKIT_ENGINE says."""
    load_into(EngineContext("swarm-lab"), file, provide_engine, reporter)


def use_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of the user's own, for amd64. The one that carries a lab may be another: it is not asked."""
    client = SimpleNamespace(version=lambda: {"Arch": "amd64"})
    monkeypatch.setattr(EngineContext, "own_client", lambda *_: client)
    monkeypatch.setattr(EngineContext, "client", lambda *_: not_reached())
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An engine for amd64 without images, that notes what is loaded into it."""
    seen: dict[str, Any] = {"tags": set(), "archives": [], "latest": set()}

    def take(_: object, archive: Iterator[bytes]) -> None:
        seen["archives"].append(b"".join(archive))
        seen["tags"].update(content_tags())

    def ensure(_: object, name: str, __: object) -> str:
        seen["latest"].add(name)
        return builder.content_tag(name)

    use_engine(monkeypatch)
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(doctor, "require_room", lambda _: None)
    monkeypatch.setattr(store, "has", lambda _, tag: tag in seen["tags"])
    monkeypatch.setattr(store, "load", take)
    monkeypatch.setattr(builder, "ensure", ensure)
    return seen


def test_loading_gives_the_engine_the_images(whole: Path, loaded: dict[str, Any]) -> None:
    load(whole, lambda: None, QUIET)
    assert loaded["archives"] == [IMAGE_LIST]
    assert loaded["latest"] == {"bank", "node", "storage"}


def test_an_engine_gets_the_machine_too(tmp_path: Path, loaded: dict[str, Any]) -> None:
    load(machine_bundle(tmp_path / "lab.bundle"), lambda: None, QUIET)
    assert len(loaded["archives"]) == 1
    assert "machine" in loaded["latest"]
    assert not (tmp_path / "state/machine").exists()


def test_loading_twice_loads_once(whole: Path, loaded: dict[str, Any]) -> None:
    load(whole, lambda: None, QUIET)
    load(whole, lambda: None, QUIET)
    assert len(loaded["archives"]) == 1


def test_the_images_of_another_processor_are_refused(tmp_path: Path, loaded: dict[str, Any]) -> None:
    with pytest.raises(BundleInvalid, match=r"are for s390x, but the Docker engine is amd64"):
        load(bundle(tmp_path / "lab.bundle", architecture="s390x"), lambda: None, QUIET)
    assert loaded["archives"] == []


def not_reached() -> NoReturn:
    pytest.fail("asked for an engine")


def test_other_content_tags_are_refused_without_an_engine(tmp_path: Path, loaded: dict[str, Any]) -> None:
    file = bundle(tmp_path / "lab.bundle", images=["labkit/node:000000000000"])
    with pytest.raises(BundleInvalid, match="images for another version") as refused:
        load(file, not_reached, QUIET)
    assert any(builder.content_tag("node") in line for line in refused.value.evidence)
    assert loaded["archives"] == []


def test_a_damaged_bundle_is_refused_without_an_engine(whole: Path, loaded: dict[str, Any]) -> None:
    whole.write_bytes(whole.read_bytes()[:-8000])
    with pytest.raises(BundleInvalid):
        load(whole, not_reached, QUIET)
    assert loaded["archives"] == []


@pytest.mark.parametrize("kind", [EngineNotFound, SetupFailed])
def test_a_machine_without_an_engine_is_told_that_a_bundle_has_none(
    tmp_path: Path,
    whole: Path,
    loaded: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[LabError],
) -> None:
    def none() -> NoReturn:
        raise kind("no Docker engine answered")

    with pytest.raises(kind) as refused:
        load(whole, none, QUIET)
    assert "a bundle does not contain a Docker engine" in refused.value.evidence[-1]
    assert loaded["archives"] == []
    monkeypatch.setenv("LABKIT_ENGINE", "docker")
    with pytest.raises(kind):  # who wants Docker gets no virtual machine
        load(machine_bundle(tmp_path / "other.bundle"), none, QUIET)
    assert not (tmp_path / "state/machine").exists()


@pytest.mark.parametrize("kind", [EngineNotFound, SetupFailed])
@pytest.mark.parametrize("chosen", ["", "vm"])
def test_without_an_engine_the_machine_is_unpacked_to_run_directly(
    tmp_path: Path,
    loaded: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[LabError],
    chosen: str,
) -> None:
    def none() -> NoReturn:
        raise kind("no Docker engine answered")

    monkeypatch.setenv("LABKIT_ENGINE", chosen)
    monkeypatch.setattr(processes, "obstacles", lambda: [])
    load(machine_bundle(tmp_path / "lab.bundle"), none, ProgressReporter(said := io.StringIO()))
    assert processes.version(tmp_path / "state/machine") == builder.content_tag("machine")
    assert said.getvalue().endswith("The lab works without internet now: labkit up --engine vm\n")
    assert loaded["archives"] == []


def test_what_else_a_machine_takes_is_told_when_it_is_unpacked(
    tmp_path: Path, loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_ENGINE", "vm-direct")
    monkeypatch.setenv("PATH", str(tmp_path))
    load(machine_bundle(tmp_path / "lab.bundle"), not_reached, ProgressReporter(said := io.StringIO()))
    *_, heading, system, image, advice, then = said.getvalue().splitlines()
    assert heading == "A virtual machine cannot run on this host yet:"
    assert "qemu-system-x86_64" in system
    assert "qemu-img" in image
    assert advice.startswith("Try: ")
    assert "QEMU 8 or newer" in advice
    assert then == "Then: labkit up --engine vm-direct"
    assert loaded["archives"] == []


@pytest.mark.parametrize("chosen", ["vm", "vm-direct"])
def test_who_wants_a_machine_is_told_that_a_bundle_has_none(
    whole: Path, loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("LABKIT_ENGINE", chosen)
    with pytest.raises(BundleInvalid, match="no virtual machine") as refused:
        load(whole, not_reached, QUIET)
    assert refused.value.next_step.endswith("labkit bundle save lab.bundle --engine vm")
    assert loaded["archives"] == []


def test_a_machine_of_another_version_is_refused_without_an_engine(
    tmp_path: Path, loaded: dict[str, Any]
) -> None:
    other = [*content_tags(), "labkit/machine:000000000000"]
    with pytest.raises(BundleInvalid, match="images for another version") as refused:
        load(machine_bundle(tmp_path / "lab.bundle", images=other), not_reached, QUIET)
    assert refused.value.evidence[0] == f"this Swarm Lab needs {builder.content_tag('machine')}"
    assert loaded["archives"] == []


# -- save -----------------------------------------------------------------------------------------------


def save(file: Path, *pythons: str) -> None:
    """Save a bundle with the kind of engine that LABKIT_ENGINE says."""
    saving.save(EngineContext("swarm-lab"), file, pythons, QUIET)


@pytest.fixture
def saveable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to save to; with an engine that has the images, and an index that has one wheel."""
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    use_engine(monkeypatch)
    monkeypatch.setattr(builder, "ensure", lambda _, name, __: builder.content_tag(name))
    monkeypatch.setattr(store, "has", lambda *_: True)
    monkeypatch.setattr(store, "size", lambda *_: 1000)
    monkeypatch.setattr(store, "save", lambda *_: iter([b"images" * 100, b"more"]))

    def download(pythons: list[str], folder: Path, _: object) -> None:
        (folder / f"a-1-cp{pythons[0].replace('.', '')}-cp311-manylinux_2_28_x86_64.whl").write_text(
            "a wheel"
        )

    monkeypatch.setattr(wheels, "download", download)
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "lab.bundle"


def test_what_is_saved_can_be_checked_and_fits(saveable: Path) -> None:
    save(saveable, "3.12")
    manifest = check(saveable)
    assert manifest.pythons == sorted({this_python(), "3.12"})
    assert manifest.images == content_tags()
    assert manifest.glibc == "2.28"
    assert (manifest.has_vm, manifest.machine) == (False, 0)
    with tarfile.open(saveable) as tar:
        names = tar.getnames()
        script = tar.getmember("swarm-lab/lab")
        content = tar.extractfile("images.tar.gz")
        assert content is not None
        assert gzip.decompress(content.read()) == b"images" * 100 + b"more"
    assert script.mode == 0o755
    assert names[0].startswith("swarm-lab/")
    assert {"swarm-lab/labkit/bundle/__main__.py", "swarm-lab/README.md", "swarm-lab/LICENSE"} < set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("swarm-lab/tests")]
    assert [path.name for path in saveable.parent.iterdir()] == ["lab.bundle"]
    assert not (saveable.parents[1] / "state/bundle").exists()


@pytest.mark.parametrize("chosen", ["vm", "vm-direct"])
def test_the_machine_is_saved_where_that_is_the_engine_of_choice(
    saveable: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(store, "save", lambda _, tags: asked.extend(tags) or iter([b"images"]))
    monkeypatch.setenv("LABKIT_ENGINE", chosen)
    save(saveable)
    manifest = check(saveable)
    assert manifest.has_vm
    assert manifest.machine == 1000
    assert manifest.images == sorted(asked) == sorted([*content_tags(), builder.content_tag("machine")])


def test_a_save_replaces_what_is_there_and_what_a_killed_one_left(saveable: Path) -> None:
    saveable.write_text("an older one")
    saveable.with_name("lab.bundle.part").write_text("half of one")
    (saveable.parents[1] / "state/bundle/wheels").mkdir(parents=True)
    save(saveable)
    check(saveable)
    assert [path.name for path in saveable.parent.iterdir()] == ["lab.bundle"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize(
    "at", ["labkit.images.store.save", "labkit.bundle.verify.check", "tarfile.TarFile.addfile"]
)
def test_a_save_that_fails_leaves_what_was_there(
    saveable: Path, monkeypatch: pytest.MonkeyPatch, at: str, error: type[BaseException]
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error("no space left on device")

    monkeypatch.setattr(at, fail)
    saveable.write_text("an older one")
    with pytest.raises((KeyboardInterrupt, LabError, *selection.ERRORS)):
        save(saveable)
    assert state_of(saveable.parent) == {"lab.bundle": b"an older one"}
    assert not (saveable.parents[1] / "state/bundle").exists()


def test_places_that_cannot_be_written_are_refused_at_once(
    saveable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "ensure", lambda *_: not_reached())
    for place, why in ((saveable.parent, "it is a folder"), (saveable / "x", "no such folder")):
        with pytest.raises(LabError) as refused:
            save(place)
        assert why in refused.value.evidence[0]
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(LabError, match="cannot be written"):
        save(saveable)


def test_a_full_disk_is_told(saveable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=500))
    with pytest.raises(LabError, match="not enough disk space") as refused:
        save(saveable)
    assert refused.value.next_step


def test_without_a_checkout_nothing_is_saved(saveable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "ROOT", saveable.parent)
    with pytest.raises(LabError, match="only be saved from a checkout"):
        save(saveable)


# -- wheels ---------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, *requires: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {each}" for each in requires)]
        archive.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines))


def test_what_another_python_needs_is_seen_in_the_wheels(tmp_path: Path) -> None:
    wheel(tmp_path, "a", 'b[more]>=1; python_version < "3.12"', 'never; sys_platform == "plan9"', "A_c")
    wheel(tmp_path, "b", 'extra-of-b>=2; extra == "more"', 'other; extra == "other"')
    wheel(tmp_path, "a_c", "a")
    assert wheels.missing("3.11", tmp_path, ["a>=1"]) == ["extra-of-b>=2"]
    assert wheels.missing("3.12", tmp_path, ["a>=1"]) == []
    assert wheels.missing("3.12", tmp_path, ["a", "z; python_version > '3'"]) == ["z"]


def test_downloading_goes_on_until_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def pip(python: str, folder: Path, wanted: list[str]) -> None:
        asked.append((python, wanted))
        wheel(folder, "a", 'b; python_version < "3.12"')
        if wanted == ["b"]:
            wheel(folder, "b")

    monkeypatch.setattr(wheels, "_pip_download", pip)
    wheels.download(["3.12", "3.11"], tmp_path, ["a"])
    assert asked == [("3.12", ["a"]), ("3.11", ["a"]), ("3.11", ["b"])]


def test_what_pip_does_not_bring_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_pip_download", lambda *_: None)
    with pytest.raises(SetupFailed, match="a"):
        wheels.download(["3.12"], tmp_path, ["a"])


def test_the_wheels_say_which_glibc_they_need() -> None:
    pure, old = "a-1-py3-none-any.whl", "b-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    either = "c-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
    assert wheels.glibc([]) == wheels.glibc([pure]) == ""
    assert wheels.glibc([pure, old]) == "2.17"
    assert wheels.glibc([either, pure, old]) == "2.27"
    assert wheels.glibc(["d-1-cp311-cp311-manylinux1_x86_64.whl"]) == "2.5"
    assert wheels.glibc(["e-1-cp311-cp311-macosx_11_0_arm64.whl"]) == ""


def test_what_installs_the_checkout_is_asked_for_too() -> None:
    wanted = wheels.requirements()
    assert [
        name
        for name in ("jupyterlab", "docker", "hatchling", "editables")
        if not any(name in one for one in wanted)
    ] == []
    assert not any("pytest" in one for one in wanted)
