"""What JupyterLab gets from us: settings, a first workspace, launcher entries, copies of the notebooks."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.serverapp import ServerApp
from jupyterlab_server.config import get_federated_extensions
from jupyterlab_server.settings_utils import get_settings
from jupyterlab_server.workspaces_handler import WorkspacesManager
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from labkit.cluster.cluster import Cluster
from labkit.course import exercises, progress, quiz
from labkit.jupyter import launcher, notebooks, page
from labkit.util.errors import LabError, SetupFailed
from labkit.workshop.place import extension

SCHEMAS = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
OVERRIDES: dict[str, dict[str, Any]] = json.loads((page.SETTINGS / "overrides.json").read_text())


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the progress of this test alone."""
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "progress"))
    return tmp_path / "progress"


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
    assert [entry["label"] for entry in entries[:2]] == ["00 Why orchestrate", "01 Create a swarm"]
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


def test_a_card_names_its_chapter_for_the_progress(tmp_path: Path) -> None:
    entries = launcher.entries(notebooks.CHECKOUT, ["manager1"])
    assert [entry["chapter"] for entry in entries[:-1]] == list(launcher.progress())
    assert "chapter" not in entries[-1]
    (tmp_path / "10-mine.ipynb").write_text("no notebook at all")
    (mine,) = launcher.entries(tmp_path, [])
    assert mine["label"] == "10-mine"  # the number once
    assert mine["chapter"] not in launcher.progress()


def test_what_is_done_of_a_chapter_is_counted(own_progress: Path) -> None:
    journal = progress.of(Cluster("mine"))
    tasks = list(exercises.tasks("create"))
    assert launcher.progress()["create-a-swarm"] == (
        f"0 of {len(tasks)} exercises solved\n0 of 5 quiz questions answered"
    )
    assert "scenarios solved" in launcher.progress()["prove-it"]
    journal.record("exercise", tasks[0], ok=False)
    journal.record("exercise", tasks[1])
    journal.record("quiz", "create.1", ok=False)  # a wrong answer is an answer
    assert launcher.progress()["create-a-swarm"] == (
        f"1 of {len(tasks)} exercises solved\n1 of 5 quiz questions answered"
    )
    for name in tasks:
        journal.record("exercise", name)
    assert "Done" not in launcher.progress()["create-a-swarm"]
    for number in range(1, len(quiz.load("create")) + 1):
        journal.record("quiz", f"create.{number}")
    assert launcher.progress()["create-a-swarm"] == (
        f"✓ Done: all {len(tasks)} exercises solved\nand the quiz answered"
    )
    (own_progress / "progress.sqlite").write_text("no database")
    assert launcher.progress() == {}


def ask_for_progress(server: ServerApp, *tokens: str) -> list[HTTPResponse]:
    """What the server answers a page with each of these tokens."""

    async def ask() -> list[HTTPResponse]:
        socket, port = bind_unused_port()
        http = HTTPServer(server.web_app)
        http.add_sockets([socket])
        url = f"http://127.0.0.1:{port}{server.base_url}{launcher.PROGRESS_PATH}?token="
        try:
            return [await AsyncHTTPClient().fetch(url + token, raise_error=False) for token in tokens]
        finally:
            http.stop()

    return asyncio.run(ask())


@pytest.mark.usefixtures("own_progress")
def test_the_server_tells_the_progress_to_those_who_have_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(tmp_path / kind))
    settings = [
        "IdentityProvider.token=secret",
        "ServerApp.allow_root=True",
        f"ServerApp.root_dir={tmp_path}",
    ]
    app = ServerApp(base_url="/user/ada/", log_level="ERROR")
    app.initialize([f"--{setting}" for setting in settings], find_extensions=False, new_httpserver=False)
    launcher.install(app.web_app, notebooks.CHECKOUT, ["manager1"])
    assert app.web_app.settings["page_config_data"][launcher.PAGE_CONFIG_KEY][-1]["label"] == "manager1"
    first, nobody = ask_for_progress(app, "secret", "wrong")
    assert (first.code, nobody.code) == (200, 403)
    assert json.loads(first.body) == launcher.progress()
    progress.of(Cluster("mine")).record("exercise", "create.1")
    (second,) = ask_for_progress(app, "secret")
    assert json.loads(second.body)["create-a-swarm"].startswith("1 of ")


@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        ("swarm-lab", launcher.PAGE_CONFIG_KEY, launcher.PROGRESS_PATH),
        ("swarm-lab-workshop", extension.PAGE_CONFIG_KEY, f"{extension.PREFIX}/"),
    ],
)
def test_the_extensions_are_those_that_jupyterlab_finds(name: str, key: str, path: str) -> None:
    found = get_federated_extensions([str(page.EXTENSIONS)])[name]
    assert Path(found["ext_path"]).name == name  # JupyterLab asks for its files below this name
    script = Path(found["ext_path"], found["jupyterlab"]["_build"]["load"]).read_text()
    assert f"['{name}'] =" in script
    assert f"page.{key}" in script
    assert f"settings.baseUrl + '{path}'" in script
