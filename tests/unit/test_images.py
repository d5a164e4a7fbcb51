"""An image's tag is a hash of what it is made of; the base comes from the machine's own Debian mirror."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import images
from labkit.base_image import debian_mirror

DEBIAN = "http://deb.debian.org/debian"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images, `node` and `web`, on a base."""
    for name in ("base/build-root", "node/Dockerfile", "node/files/entrypoint", "web/Dockerfile"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"the content of {name}")
        file.chmod(0o644)
    monkeypatch.setattr(images, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folders")
def test_a_tag_names_the_image_and_a_short_hash() -> None:
    repository, _, version = images.content_tag("node").partition(":")
    assert repository == "labkit/node"
    assert len(version) == 12
    assert int(version, 16)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "node/Dockerfile").write_text("FROM other"),
    "content in a folder below": lambda folder: (folder / "node/files/entrypoint").write_text("exit"),
    "file mode": lambda folder: (folder / "node/files/entrypoint").chmod(0o755),
    "a new file": lambda folder: (folder / "node/daemon.json").touch(),
    "a removed file": lambda folder: (folder / "node/files/entrypoint").unlink(),
    "another name": lambda folder: (folder / "node/Dockerfile").rename(folder / "node/Containerfile"),
    "the base folder": lambda folder: (folder / "base/build-root").write_text("another base"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_an_image_is_made_of_changes_its_tag(folders: Path, change: Callable[[Path], object]) -> None:
    before = images.content_tag("node")
    change(folders)
    assert images.content_tag("node") != before


@pytest.mark.usefixtures("folders")
def test_another_upstream_image_changes_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.content_tag("node")
    monkeypatch.setattr(images, "UPSTREAM", "debian:another")
    assert images.content_tag("node") != before


def test_a_tag_depends_on_nothing_else(folders: Path) -> None:
    before = images.content_tag("node")
    (folders / "web/Dockerfile").write_text("FROM other")
    (folders / "node/Dockerfile").touch()
    (folders / "node/Dockerfile").chmod(0o600)  # another umask, as in somebody else's checkout
    (folders / "node/empty").mkdir()
    assert images.content_tag("node") == before


def test_a_tag_is_the_same_in_every_checkout(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = images.content_tag("node")
    elsewhere = folders.rename(tmp_path_factory.mktemp("elsewhere") / "images")
    monkeypatch.setattr(images, "FOLDER", elsewhere)
    assert images.content_tag("node") == before


def test_the_real_folders_are_there() -> None:
    assert (images.FOLDER / "base/build-root").is_file()
    assert (images.FOLDER / "node/Dockerfile").is_file()


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
