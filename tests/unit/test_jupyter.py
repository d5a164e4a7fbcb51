"""What JupyterLab gets from us: settings, a first workspace, launcher entries, copies of the notebooks."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyterlab_server.config import get_federated_extensions
from jupyterlab_server.settings_utils import get_settings
from jupyterlab_server.workspaces_handler import WorkspacesManager

from labkit import jupyter, jupyter_launcher
from labkit.errors import SetupFailed

SCHEMAS = Path(jupyter.sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
OVERRIDES: dict[str, dict[str, Any]] = json.loads((jupyter.SETTINGS / "overrides.json").read_text())


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def effective(plugin: str, own: Path) -> dict[str, Any]:
    """A plugin's settings, as JupyterLab's server tells them to the browser."""
    answer, _ = get_settings(
        str(jupyter.SETTINGS), str(SCHEMAS), str(own), schema_name=plugin, overrides=OVERRIDES
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
    folder = jupyter._workspaces("class-7")
    assert folder == state / "workspaces/class-7"
    opened = WorkspacesManager(str(folder)).load("default")
    assert opened["metadata"]["id"] == "default"
    assert opened["data"]["layout-restorer:data"]["left"]["current"] == "@jupyterlab/toc:plugin"


def test_what_was_open_is_kept_at_the_next_start() -> None:
    folder = jupyter._workspaces("class-7")
    (workspace,) = folder.iterdir()
    workspace.write_text("{}")
    assert jupyter._workspaces("class-7") == folder
    assert workspace.read_text() == "{}"


def test_own_notebooks_are_copies_and_stay_as_they_are(tmp_path: Path) -> None:
    own = tmp_path / "my/notebooks"
    assert jupyter._course(own) == own
    chapters = sorted(path.name for path in jupyter.NOTEBOOKS.glob("*.ipynb"))
    assert sorted(path.name for path in own.iterdir()) == chapters
    (own / chapters[0]).write_text("mine")
    (own / chapters[1]).unlink()
    jupyter._course(own)
    assert (own / chapters[0]).read_text() == "mine"
    assert (own / chapters[1]).read_bytes() == (jupyter.NOTEBOOKS / chapters[1]).read_bytes()
    assert jupyter._course(None) == jupyter.NOTEBOOKS


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupFailed, match="could not be copied to") as caught:
        jupyter._course(tmp_path / "file")
    assert "labkit start --notebooks" in caught.value.next_step


def test_the_launcher_has_every_chapter_by_its_title_then_every_node() -> None:
    entries = jupyter_launcher.entries(jupyter.NOTEBOOKS, ["manager1", "worker1"])
    chapters = sorted(path.name for path in jupyter.NOTEBOOKS.glob("*.ipynb"))
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
    assert jupyter_launcher.title(path) == "03-mine"
    path.write_text("no notebook at all")
    assert jupyter_launcher.title(path) == "03-mine"


def test_the_extension_is_one_that_jupyterlab_finds() -> None:
    (found,) = get_federated_extensions([str(jupyter.EXTENSIONS)]).values()
    script = Path(found["ext_path"], found["jupyterlab"]["_build"]["load"]).read_text()
    assert f"['{found['name']}'] =" in script
    assert f"page.{jupyter_launcher.PAGE_CONFIG_KEY}." in script
