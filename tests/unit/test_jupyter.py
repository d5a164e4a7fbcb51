"""What JupyterLab gets from us: settings, a first workspace, launcher entries, copies of the notebooks."""

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyterlab_server.config import get_federated_extensions
from jupyterlab_server.settings_utils import get_settings
from jupyterlab_server.workspaces_handler import WorkspacesManager

from labkit.jupyter import launcher, notebooks, page
from labkit.util.errors import LabError, SetupFailed
from labkit.workshop.place import extension

SCHEMAS = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
OVERRIDES: dict[str, dict[str, Any]] = json.loads((page.SETTINGS / "overrides.json").read_text())


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def effective(plugin: str, own: Path) -> dict[str, Any]:
    """A plugin's settings, as JupyterLab's server tells them to the browser."""
    answer, _ = get_settings(
        str(page.SETTINGS), str(SCHEMAS), str(own), schema_name=plugin, overrides=OVERRIDES
    )
    properties = answer["schema"]["properties"]
    return {name: body.get("default") for name, body in properties.items()} | answer["settings"]


@pytest.mark.parametrize("plugin", OVERRIDES)
def test_every_shipped_setting_is_one_that_jupyterlab_knows(plugin: str) -> None:
    package, _, name = plugin.partition(":")
    schema = json.loads((SCHEMAS / package / f"{name}.json").read_text())
    assert OVERRIDES[plugin].keys() <= schema["properties"].keys()


def test_what_users_have_set_themselves_goes_before_it(tmp_path: Path) -> None:
    tracker = "@jupyterlab/notebook-extension:tracker"
    assert effective(tracker, tmp_path)["windowingMode"] == "defer"
    own = tmp_path / "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    own.parent.mkdir(parents=True)
    own.write_text('{"windowingMode": "full"}')
    assert effective(tracker, tmp_path)["windowingMode"] == "full"


def test_the_first_workspace_is_the_one_that_jupyterlab_opens(state: Path) -> None:
    folder = page.workspaces("class-7")
    assert folder == state / "workspaces/class-7"
    opened = WorkspacesManager(str(folder)).load("default")
    assert opened["metadata"]["id"] == "default"
    assert opened["data"]["layout-restorer:data"]["left"]["current"] == "@jupyterlab/toc:plugin"


def test_what_was_open_is_kept_at_the_next_start() -> None:
    folder = page.workspaces("class-7")
    (workspace,) = folder.iterdir()
    workspace.write_text("{}")
    assert page.workspaces("class-7") == folder
    assert workspace.read_text() == "{}"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed labkit's notebooks, and an empty current folder."""
    folder = tmp_path / "site-packages/notebooks"
    folder.mkdir(parents=True)
    for name in ("00-first.ipynb", "01-second.ipynb"):
        (folder / name).write_text(name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(notebooks, "PACKAGED", folder)
    return folder


def visible(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_checkout_serves_its_own_notebooks(capsys: pytest.CaptureFixture[str]) -> None:
    assert notebooks.provide() == notebooks.CHECKOUT
    assert capsys.readouterr().out == ""


def test_a_chosen_folder_gets_copies_that_stay_as_they_are(tmp_path: Path) -> None:
    own = tmp_path / "my/notebooks"
    assert notebooks.provide(own) == own
    chapters = sorted(path.name for path in notebooks.CHECKOUT.glob("*.ipynb"))
    assert sorted(visible(own)) == chapters
    (own / chapters[0]).write_text("mine")
    (own / chapters[1]).unlink()
    notebooks.provide(own)
    assert (own / chapters[0]).read_text() == "mine"
    assert (own / chapters[1]).read_bytes() == (notebooks.CHECKOUT / chapters[1]).read_bytes()


def test_an_installed_labkit_copies_into_the_current_folder(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    assert notebooks.provide() == here
    assert visible(here) == visible(shipped)
    assert capsys.readouterr().out == f"Copied 2 notebooks to {here}.\n"
    assert notebooks.provide() == here
    assert capsys.readouterr().out == ""


def test_a_learners_own_files_are_never_replaced(shipped: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "00-first.ipynb").write_text("mine, from before")
    (here / "01-second.ipynb").symlink_to("nowhere")
    notebooks.provide()
    assert (here / "00-first.ipynb").read_text() == "mine, from before"
    assert (here / "01-second.ipynb").readlink() == Path("nowhere")
    assert not (here / "nowhere").exists()
    assert len(visible(shipped)) == 2


def test_a_new_version_brings_new_chapters_and_leaves_copies_alone(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    notebooks.provide()
    (here / "00-first.ipynb").write_text("edited")
    (shipped / "00-first.ipynb").write_text("newer")
    (shipped / "02-third.ipynb").write_text("new")
    capsys.readouterr()
    notebooks.provide()
    assert visible(here) == {
        "00-first.ipynb": "edited",
        "01-second.ipynb": "01-second.ipynb",
        "02-third.ipynb": "new",
    }
    assert capsys.readouterr().out == (
        f"Copied 02-third.ipynb to {here}. Swarm Lab has a newer version of 00-first.ipynb; yours stay as "
        "they are (to get a new one, rename yours and start again).\n"
    )
    (here / "00-first.ipynb").rename(here / "00-mine.ipynb")
    notebooks.provide()
    assert capsys.readouterr().out == f"Copied 00-first.ipynb to {here}.\n"
    assert (here / "00-first.ipynb").read_text() == "newer"
    assert (here / "00-mine.ipynb").read_text() == "edited"


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("record", ["", "no JSON", "[]"])
def test_a_broken_record_of_the_copies_is_no_obstacle(record: str) -> None:
    Path(notebooks.RECORD).write_text(record)
    assert len(visible(notebooks.provide())) == 2


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupFailed, match="could not be copied to") as caught:
        notebooks.provide(tmp_path / "file")
    assert "labkit start --notebooks" in caught.value.next_step


def test_missing_notebooks_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "CHECKOUT", tmp_path / "nowhere")
    with pytest.raises(LabError, match="notebooks are missing"):
        notebooks.provide()


def test_the_launcher_has_every_chapter_by_its_title_then_every_node() -> None:
    entries = launcher.entries(notebooks.CHECKOUT, ["manager1", "worker1"])
    chapters = sorted(path.name for path in notebooks.CHECKOUT.glob("*.ipynb"))
    assert [entry["args"] for entry in entries] == [
        *({"path": name} for name in chapters),
        {"name": "manager1"},
        {"name": "worker1"},
    ]
    assert [entry["label"] for entry in entries[:2]] == ["Why orchestrate", "Create a swarm"]
    assert [entry["label"] for entry in entries[-2:]] == ["manager1", "worker1"]
    assert {entry["command"] for entry in entries} == {"docmanager:open", "terminal:open"}


def test_a_notebook_without_a_title_goes_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "03-mine.ipynb"
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("# no title"), nbformat.v4.new_markdown_cell("## nor this")]
    )
    nbformat.write(book, path)
    assert launcher.title(path) == "03-mine"
    for content in ("no notebook at all", "[]", '{"cells": [{}]}'):
        path.write_text(content)
        assert launcher.title(path) == "03-mine"


@pytest.mark.parametrize(
    ("name", "key"),
    [("swarm-lab", launcher.PAGE_CONFIG_KEY), ("swarm-lab-workshop", extension.PAGE_CONFIG_KEY)],
)
def test_the_extensions_are_those_that_jupyterlab_finds(name: str, key: str) -> None:
    found = get_federated_extensions([str(page.EXTENSIONS)])[name]
    assert Path(found["ext_path"]).name == name  # JupyterLab asks for its files below this name
    script = Path(found["ext_path"], found["jupyterlab"]["_build"]["load"]).read_text()
    assert f"['{name}'] =" in script
    assert f"page.{key}" in script
