"""An image's tag is a hash of what it is made of; the real folders; the machine's own Debian mirror."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.images import base_image, builder, catalog, dockerfile
from labkit.images.base_image import debian_mirror
from labkit.images.catalog import BankImage
from labkit.util.deadline import Deadline

DEBIAN = "http://deb.debian.org/debian"


BASE = "ARG BASE=debian:trixie-slim\n"
FILES = {
    "base/build-root": "exec mmdebstrap",
    "node/Dockerfile": BASE + "FROM ${BASE}",
    "node/files/entrypoint": "exec dockerd",
    "nginx/Dockerfile": BASE + "FROM ${BASE}",
    "web/Dockerfile": "ARG NGINX=labkit/nginx\nARG VERSION=1\nFROM ${NGINX}",
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images on a base: `node`, `nginx`, and `web` on `nginx`."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    monkeypatch.setattr(builder, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folders")
def test_a_tag_names_the_image_and_a_short_hash() -> None:
    repository, _, version = builder.content_tag("node").partition(":")
    assert repository == "labkit/node"
    assert len(version) == 12
    assert int(version, 16)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "node/Dockerfile").write_text(BASE),
    "content in a folder below": lambda folder: (folder / "node/files/entrypoint").write_text("exit"),
    "file mode": lambda folder: (folder / "node/files/entrypoint").chmod(0o755),
    "a new file": lambda folder: (folder / "node/daemon.json").touch(),
    "a removed file": lambda folder: (folder / "node/files/entrypoint").unlink(),
    "another name": lambda folder: (folder / "node/Dockerfile").rename(folder / "node/Containerfile"),
    "the base folder": lambda folder: (folder / "base/build-root").write_text("another base"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_an_image_is_made_of_changes_its_tag(folders: Path, change: Callable[[Path], object]) -> None:
    before = builder.content_tag("node")
    change(folders)
    assert builder.content_tag("node") != before


@pytest.mark.usefixtures("folders")
def test_another_upstream_image_changes_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    before = builder.content_tag("node")
    monkeypatch.setattr(builder, "UPSTREAM", "debian:another")
    assert builder.content_tag("node") != before


def test_a_tag_depends_on_nothing_else(folders: Path) -> None:
    before = builder.content_tag("node")
    (folders / "web/Dockerfile").write_text("FROM other")
    (folders / "nginx/Dockerfile").write_text("FROM other")
    (folders / "node/Dockerfile").touch()
    (folders / "node/Dockerfile").chmod(0o600)  # another umask, as in somebody else's checkout
    (folders / "node/empty").mkdir()
    (folders / "node/__pycache__").mkdir()
    (folders / "node/__pycache__/log.cpython-311.pyc").touch()
    assert builder.content_tag("node") == before


def test_a_tag_is_the_same_in_every_checkout(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = builder.content_tag("node")
    elsewhere = folders.rename(tmp_path_factory.mktemp("elsewhere") / "images")
    monkeypatch.setattr(builder, "FOLDER", elsewhere)
    assert builder.content_tag("node") == before


@pytest.mark.usefixtures("folders")
def test_a_dockerfile_names_what_it_stands_on() -> None:
    assert builder.foundations("base") == {}
    assert builder.foundations("node") == {"BASE": "base"}
    assert builder.foundations("web") == {"NGINX": "nginx"}  # VERSION is no image


@pytest.mark.parametrize("file", ["nginx/Dockerfile", "base/build-root"])
def test_a_change_below_changes_what_stands_on_it_and_nothing_beside(folders: Path, file: str) -> None:
    before = {name: builder.content_tag(name) for name in ("base", "nginx", "web", "node")}
    (folders / file).write_text(BASE + "another")
    changed = {name for name, tag in before.items() if builder.content_tag(name) != tag}
    assert changed == ({"nginx", "web"} if file.startswith("nginx") else set(before))


def test_the_bank_is_made_of_its_folders_and_its_table(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "registry").mkdir()
    (folders / "registry/Dockerfile").write_text(BASE)
    monkeypatch.setattr(catalog, "IMAGES", (BankImage("web:1", "web"),))
    monkeypatch.setattr(catalog, "PLUGINS", ())
    assert builder.foundations("bank") == {"registry": "registry", "web": "web"}
    before = builder.content_tag("bank")
    monkeypatch.setattr(catalog, "IMAGES", (BankImage("web:1", "web"), BankImage("web:2", "web")))
    with_another_image = builder.content_tag("bank")
    (folders / "nginx/Dockerfile").write_text(BASE + "another")  # two levels below the bank
    assert len({before, with_another_image, builder.content_tag("bank")}) == 3


# -- the real folders -----------------------------------------------------------------------------------

NAMES = sorted(folder.name for folder in builder.FOLDER.iterdir())
SCRIPTS = sorted(
    path
    for path in builder.FOLDER.rglob("*")
    if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
)


def test_every_folder_is_an_image() -> None:
    assert "node" in NAMES
    for name in NAMES:
        assert (builder.FOLDER / name / ("build-root" if name == "base" else "Dockerfile")).is_file(), name


@pytest.mark.parametrize("name", [*NAMES, "bank"])
def test_what_an_image_stands_on_is_there(name: str) -> None:
    below = builder.foundations(name)
    assert below or name == "base"
    assert set(below.values()) <= set(NAMES)
    assert builder.content_tag(name).startswith(f"labkit/{name}:")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "base"])
def test_a_dockerfile_starts_from_the_labs_images_alone(name: str) -> None:
    text = (builder.FOLDER / name / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    known = {"scratch", *stages, *(f"${{{argument}}}" for argument in builder.foundations(name))}
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= known
    assert set(re.findall(r"^COPY --from=(\S+)", text, re.MULTILINE)) <= stages


@pytest.mark.parametrize("name", [name for name in NAMES if name != "base"])
def test_a_stage_that_only_the_build_needs_says_so(name: str) -> None:
    """Else it would stay on the learner's machine, as an image without a name."""
    text = (builder.FOLDER / name / "Dockerfile").read_text()
    _, *stages, _last = re.split(r"^FROM ", text, flags=re.MULTILINE)
    for stage in stages:
        if "RUN " in stage:
            assert f"LABEL {dockerfile.STAGE_LABEL}={name}\n" in stage


@pytest.mark.parametrize("script", SCRIPTS, ids=[f"{path.parent.name}/{path.name}" for path in SCRIPTS])
def test_a_script_is_executable_and_posix(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    # What `sh -n` lets pass where sh is bash or busybox, and dash refuses.
    assert not re.search(r"\[\[ |\bfunction \w|<<<|\blocal -|&>", script.read_text())


def test_the_scripts_were_found() -> None:
    assert {"entrypoint", "lab-registry", "web", "counter"} <= {path.name for path in SCRIPTS}


def test_an_interrupted_base_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "build-root"
    script.write_text("#!/bin/sh\nsleep 300 &\necho I: $!\nwait\n")
    script.chmod(0o755)
    started: list[int] = []

    def interrupt(pid: str) -> None:
        started.append(int(pid))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        base_image._run([str(script), "trixie"], tmp_path, "", interrupt, os.environ)
    for _ in Deadline(30).attempts():
        stat = Path(f"/proc/{started[0]}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
    pytest.fail("what the script has started is still running")


# -- the Debian mirror ----------------------------------------------------------------------------------


def mirror(folder: Path, files: dict[str, str]) -> str:
    """The mirror that apt sources of these names and texts lead to."""
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return debian_mirror(folder)


LOCAL = "http://mirror.example/debian"
SOURCES = {
    "one line": ("sources.list", f"deb {LOCAL} trixie main\n"),
    "one line with options": (
        "sources.list",
        f"deb [arch=amd64 signed-by=/k.gpg] {LOCAL}/ trixie main # comment\n",
    ),
    "a file of its own": ("sources.list.d/local.list", f"deb {LOCAL} trixie main\n"),
    "deb822": (
        "sources.list.d/debian.sources",
        f"Types: deb\nURIs: {LOCAL}\nSuites: trixie\nComponents: main\n",
    ),
    "deb822 with several": (
        "sources.list.d/debian.sources",
        f"Types: deb\nURIs: https://secure.example/debian {LOCAL}/\nSuites: trixie\n",
    ),
    "after others": (
        "sources.list",
        "deb http://security.example/debian-security trixie-security main\n"
        "deb https://download.docker.com/linux/debian trixie stable\n"
        f"deb {LOCAL} trixie main\n",
    ),
}


@pytest.mark.parametrize(("name", "text"), SOURCES.values(), ids=SOURCES)
def test_the_mirror_is_the_machines_own(tmp_path: Path, name: str, text: str) -> None:
    assert mirror(tmp_path, {name: text}) == LOCAL


NO_SOURCES = {
    "nothing": {},
    "a comment": {"sources.list": f"# deb {LOCAL} trixie main\n#deb {LOCAL} trixie main\n"},
    "sources of source code": {"sources.list": f"deb-src {LOCAL} trixie main\n"},
    "Ubuntu": {"sources.list": "deb http://archive.ubuntu.com/ubuntu noble main\n"},
    "https, for which the base has no certificates": {
        "sources.list": "deb https://m.example/debian trixie main"
    },
    "a list of mirrors": {
        "sources.list.d/debian.sources": "URIs: mirror+file:///etc/apt/mirrors/debian.list\n"
    },
}


@pytest.mark.parametrize("files", NO_SOURCES.values(), ids=NO_SOURCES)
def test_without_a_mirror_it_is_debians_own(tmp_path: Path, files: dict[str, str]) -> None:
    assert mirror(tmp_path, files) == DEBIAN


def test_without_apt_it_is_debians_own(tmp_path: Path) -> None:
    assert debian_mirror(tmp_path / "no-apt") == DEBIAN


NOT_USED_BY_APT = {
    "a stanza that is switched off": ("debian.sources", f"Enabled: no\nTypes: deb\nURIs: {LOCAL}\n"),
    "a file that apt ignores": ("debian.list.save", f"deb {LOCAL} trixie main\n"),
}


@pytest.mark.parametrize(("name", "text"), NOT_USED_BY_APT.values(), ids=NOT_USED_BY_APT)
def test_what_apt_does_not_use_is_no_mirror(tmp_path: Path, name: str, text: str) -> None:
    assert mirror(tmp_path, {f"sources.list.d/{name}": text}) == DEBIAN
