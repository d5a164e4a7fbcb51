"""A real JupyterLab (`labkit start`) in a real browser (Chromium). What tests use:

`jupyterlab` (fixture, per test) -> JupyterLab, a page of its own, with everything as at a first start.
    The test fails on any error in the browser's console. The server is one for all tests, on the tests'
    shared lab and on copies of the notebooks. Ask for `lab` (bare engines) or `swarm` too, to start anew.

JupyterLab
    .page                                  Playwright's page, for all that is not here
    .folder                                the folder with the served notebooks
    .open(path=None)                       JupyterLab, with a file of the folder
    .open_notebook(name) -> Notebook       opens it and waits for its kernel
    .open_cells([source, …], name="test.ipynb") -> Notebook      makes a notebook of code cells and opens it
    .notebook(name) -> Notebook            one that is open already
    .terminal(name) -> Terminal            one that is open already; a node's terminal has its name
    .launcher_entry(section, label) -> Locator
    .menu("Run", "Run All Cells")          the menu bar
    .execute(command, **args)              one of JupyterLab's commands
    .theme("light" | "dark")
    .screenshot(name) -> Path              kept in .artifacts/browser/NAME.png

Notebook (code cells are numbered from 0)
    .run_all(seconds=120)                  Run All; every cell has run, and the kernel is idle
    .run(index, seconds=30) -> str         one cell; returns its output's text
    .restart_kernel()
    .output(index) -> Locator              the output in the page: widgets, pictures
    .output_text(index) -> str             streams, results, errors
    .counts() -> list[int | None]          execution counts
    .failures() -> dict[int, str]          cell: `NAME: VALUE` of its error
    .tags(index) -> list[str]
    .wait_for(expression, argument=None, seconds=30)      JavaScript over `panel`, `cells`, `idle()`, `wanted`
    .ask(expression, argument=None) -> Any

Terminal
    .type(line)
    .text() -> str
    .wait_for_text(pattern, seconds=30) -> str

    @pytest.mark.engine, @pytest.mark.browser
    def test_slider(swarm: Lab, jupyterlab: JupyterLab) -> None:
        notebook = jupyterlab.open_cells(["from labkit import Lab\\nlab = Lab()", "lab.nodes"])
        notebook.run_all()
        assert "manager1" in notebook.output_text(1)

Wait for states, never for time: `wait_for`, or Playwright's `locator.wait_for()`, `page.wait_for_function()`.
"""

import json
import re
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from labkit import Lab
from labkit.util.paths import state_dir
from tests.browser import chromium
from tests.browser.jupyterlab import ARTIFACTS, JupyterLab
from tests.helpers import spawn, wait_for_line

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext


def pytest_runtest_setup() -> None:
    chromium.require()


@dataclass(frozen=True)
class _Server:
    base: str
    token: str
    folder: Path
    workspace: Path
    first: str  # the workspace as it was at the first start

    def clear(self) -> None:
        """End all kernels and terminals, and forget what was open."""
        for kind, key in (("sessions", "id"), ("terminals", "name")):
            for entry in self._request("GET", kind).json():
                self._request("DELETE", f"{kind}/{entry[key]}")
        self.workspace.write_text(self.first)

    def _request(self, method: str, path: str) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        answer = requests.request(method, f"{self.base}api/{path}", headers=headers, timeout=30)
        answer.raise_for_status()
        return answer


@pytest.fixture(scope="package")
def _browser() -> "Iterator[BrowserContext]":
    with chromium.launched() as browser:
        # One context for all: the server remembers the state, the browser only JupyterLab's own files.
        yield browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")


@pytest.fixture(scope="package")
def _server(_shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Server]:
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    workspaces = state_dir() / "workspaces" / _shared_lab.name
    shutil.rmtree(workspaces, ignore_errors=True)
    mine = tmp_path_factory.mktemp("jupyter")
    (mine / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    folder = mine / "notebooks"
    process = spawn(
        *("start", "--no-browser", "--lab", _shared_lab.name, "--notebooks", str(folder)),
        JUPYTER_CONFIG_DIR=str(mine),  # none of the user's settings, and none of ours in theirs
        JUPYTER_DATA_DIR=str(mine / "data"),
    )
    found = wait_for_line(process, r"(http://127\.0\.0\.1:\d+/)lab\?token=([\w-]{40,})")
    (workspace,) = workspaces.iterdir()
    yield _Server(found[1], found[2], folder, workspace, workspace.read_text())
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture
def jupyterlab(
    _server: _Server, _browser: "BrowserContext", request: pytest.FixtureRequest
) -> Iterator[JupyterLab]:
    """A page with everything as at a first start; `open…` it. Fails the test on errors in the console."""
    _server.clear()
    lab = JupyterLab(
        page=_browser.new_page(),
        base=_server.base,
        token=_server.token,
        folder=_server.folder,
    )
    yield lab
    if request.node.stash.get(_FAILED, False):
        lab.screenshot("failed-" + re.sub(r"\W+", "-", request.node.name).strip("-"))
    if lab.page.url.startswith(lab.base):
        lab.theme("light")  # a setting, which the next test would find
    errors = list(lab.errors)
    lab.page.close()
    assert not errors, "errors in the browser's console:\n" + "\n".join(errors)


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report
