"""JupyterLab in a browser as tests see it: open a notebook, run it, wait for states, look at what came out.

Clicks go where a learner clicks; states are read from JupyterLab's own model (`window.jupyterapp`), because
what is scrolled out of sight is not in the page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page

ARTIFACTS = Path(__file__).parents[2] / ".artifacts" / "browser"
# Nodes that start or stop add or remove a network interface. Chromium, not Firefox, then drops the requests
# under way, to loopback too (issues.chromium.org/41465264). A page that was loading has to be loaded again;
# one that is there asks again by itself. This, CUT_OFF, and CANCELED are the errors in the console that fail
# no test.
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
SECONDS = 30.0  # how long a state may take to come about, if a test does not say otherwise

# What scripts say of a request that was dropped in this way, or that was under way when the page was left. A
# server that is away, or refuses, has an error of its own besides.
CUT_OFF = "TypeError: Failed to fetch"
# JupyterLab's own words when a kernel restarts while it is being asked something, such as by the debugger.
CANCELED = "message before replies were done"


@dataclass
class JupyterLab:
    """One page of the browser. `folder` holds the notebooks that this JupyterLab serves."""

    page: "Page"
    base: str
    token: str
    folder: Path
    errors: list[str] = field(default_factory=list)
    network_changed: bool = False

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def open(self, path: str | None = None) -> None:
        """Open JupyterLab, with a file where `path` names one, and wait until it is all there."""
        tree = f"/tree/{quote(path)}" if path else ""
        url = f"{self.base}lab{tree}?token={self.token}"
        for _ in range(3):
            self.network_changed = False
            try:
                self._load(url)
            except Exception as error:  # Playwright's own: it need not be there for this module to be read
                self.network_changed = self.network_changed or NETWORK_CHANGED in str(error)
                if not self.network_changed:
                    raise
            if not self.network_changed:
                return
        raise AssertionError("the machine's network did not stop changing")

    def _load(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_function("window.jupyterapp")
        self.page.evaluate("jupyterapp.restored.then(() => null)")
        # The launcher, or the file, comes last and takes the focus.
        self.page.wait_for_function("jupyterapp.shell.currentWidget")
        self._wait_for_splash()

    def open_notebook(self, name: str) -> "Notebook":
        """Open a notebook of the folder, such as `01-create-a-swarm.ipynb`, and wait for its kernel."""
        self.open(name)
        return self.notebook(name)

    def open_cells(self, cells: Sequence[str], name: str = "test.ipynb") -> "Notebook":
        """Make a notebook of code cells, replacing the one of this name, and open it."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.folder / name)
        return self.open_notebook(name)

    def notebook(self, name: str) -> "Notebook":
        """A notebook that is open already, once it is shown and its kernel is ready."""
        notebook = Notebook(self, name)
        notebook.wait_for("panel.context.isReady && panel.sessionContext.isReady && idle()", seconds=60)
        return notebook

    def terminal(self, name: str) -> "Terminal":
        """The open terminal of this name, once its shell has shown a prompt or said something."""
        terminal = Terminal(self, name)
        terminal.wait_for_text(r"\S")
        return terminal

    def launcher_entry(self, section: str, label: str) -> "Locator":
        """An entry of the launcher, such as `Chapters`, `Create a swarm`."""
        sections = self.page.locator(".jp-Launcher-section").filter(
            has=self.page.get_by_role("heading", name=section)
        )
        return sections.locator(".jp-LauncherCard").filter(has_text=label)

    def menu(self, *path: str) -> None:
        """Choose from the menu bar: `menu("Run", "Run All Cells")`."""
        first, *rest = path
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{re.escape(first)}$")).click()
        for item in rest:
            self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(item)}$")).last.click()

    def execute(self, command: str, **args: Any) -> None:
        """Run one of JupyterLab's commands, and wait for its end."""
        self.page.evaluate(
            "([command, args]) => jupyterapp.commands.execute(command, args).then(() => null)",
            [command, args],
        )

    def theme(self, name: str) -> None:
        """Switch to the theme `light` or `dark`, and wait until it is applied."""
        title = f"JupyterLab {name.capitalize()}"
        self.execute("apputils:change-theme", theme=title)
        self.page.wait_for_function("title => document.body.dataset.jpThemeName === title", arg=title)
        self._wait_for_splash()

    def screenshot(self, name: str) -> Path:
        """Keep what the page shows as `.artifacts/browser/NAME.png`; the path is printed."""
        path = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        print(f"screenshot: {path}")
        return path

    def _wait_for_splash(self) -> None:
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            text = f"{message.text} {message.location.get('url', '')}".strip()
            if NETWORK_CHANGED in text:
                self.network_changed = True
            elif not any(harmless in text for harmless in (CANCELED, CUT_OFF)):
                self.errors.append(text)


# Runs in the page: `panel`, `cells`, `idle` and `wanted` are for the expressions of the methods below.
_NOTEBOOK = """
([name, wanted]) => {
    const panel = [...jupyterapp.shell.widgets('main')].find(widget => widget.context?.path === name);
    if (!panel) return false;
    const cells = (panel.content?.widgets ?? []).filter(cell => cell.model.type === 'code');
    const idle = () => panel.sessionContext.session?.kernel?.status === 'idle';
    return (%s);
}
"""


@dataclass(frozen=True)
class Notebook:
    """An open notebook. Code cells are numbered from 0."""

    lab: JupyterLab
    name: str

    def wait_for(self, expression: str, argument: Any = None, seconds: float = SECONDS) -> None:
        """Wait until a JavaScript expression over `panel`, `cells`, `idle()` and `wanted` holds."""
        self.lab.page.wait_for_function(
            _NOTEBOOK % expression, arg=[self.name, argument], timeout=seconds * 1000
        )

    def ask(self, expression: str, argument: Any = None) -> Any:
        """The value of such an expression, now."""
        return self.lab.page.evaluate(_NOTEBOOK % expression, [self.name, argument])

    def run_all(self, seconds: float = 120) -> None:
        """Run All from the menu; wait until every code cell has run and the kernel is idle."""
        self.lab.execute("notebook:clear-all-cell-outputs")  # and with them old execution counts
        self.lab.menu("Run", "Run All Cells")
        self.wait_for("cells.every(cell => cell.model.executionCount) && idle()", seconds=seconds)

    def run(self, index: int, seconds: float = SECONDS) -> str:
        """Run one code cell, wait until it is done, and return its output's text."""
        self.ask(
            "(panel.content.activeCellIndex = panel.content.widgets.indexOf(cells[wanted]), true)", index
        )
        self.lab.execute("notebook:clear-cell-output")  # and with it an old execution count
        self.lab.menu("Run", "Run Selected Cell")
        self.wait_for("cells[wanted].model.executionCount && idle()", index, seconds)
        return self.output_text(index)

    def restart_kernel(self) -> None:
        """Restart the kernel from the menu, as a learner does, and wait until the new one is ready."""
        self.ask(
            "(panel.restarts = 0, panel.sessionContext.statusChanged.connect("
            "(_, status) => { panel.restarts += status === 'restarting'; }))"
        )
        self.lab.menu("Kernel", "Restart Kernel…")
        self.lab.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.wait_for("panel.restarts && idle()")

    def counts(self) -> list[int | None]:
        """The execution count of each code cell."""
        return list(self.ask("cells.map(cell => cell.model.executionCount)"))

    def failures(self) -> dict[int, str]:
        """The error of each code cell that has failed, as `NAME: VALUE`."""
        found = self.ask(
            "cells.map(cell => cell.model.outputs.toJSON().find(output => output.output_type === 'error'))"
            ".map(error => error ? `${error.ename}: ${error.evalue}` : null)"
        )
        return {index: text for index, text in enumerate(found) if text}

    def tags(self, index: int) -> list[str]:
        """The tags of a code cell."""
        return list(self.ask("cells[wanted].model.getMetadata('tags') ?? []", index))

    def output(self, index: int) -> "Locator":
        """What the page shows below a code cell, scrolled into sight."""
        at = self.ask("panel.content.widgets.indexOf(cells[wanted])", index)
        cell = self.lab.page.locator(
            f".jp-NotebookPanel:not(.lm-mod-hidden) [data-windowed-list-index='{at}']"
        )
        output = cell.locator(".jp-Cell-outputArea")
        output.scroll_into_view_if_needed()
        return output

    def output_text(self, index: int) -> str:
        """The text in a code cell's output: streams, plain results, errors; widgets are not in it."""
        outputs = self.ask("cells[wanted].model.outputs.toJSON()", index)
        texts = (
            output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "")
            for output in outputs
        )
        return "".join(text if isinstance(text, str) else "".join(text) for text in texts)


_TERMINAL = """
name => {
    const all = ['main', 'down', 'left', 'right'].flatMap(area => [...jupyterapp.shell.widgets(area)]);
    return all.find(widget => widget.content?.session?.name === name)?.content;
}
"""
# xterm draws on a canvas, so the text is not in the page; it is in xterm's buffer.
_TERMINAL_TEXT = f"""
name => {{
    const buffer = ({_TERMINAL})(name)?._term?.buffer.active;
    const numbers = [...Array(buffer?.length ?? 0).keys()];
    return numbers.map(number => buffer.getLine(number).translateToString(true)).join('\\n').trimEnd();
}}
"""


@dataclass(frozen=True)
class Terminal:
    """An open terminal, by its name; a node's name where it is on a node."""

    lab: JupyterLab
    name: str

    def text(self) -> str:
        """All that the terminal shows or has scrolled away."""
        return str(self.lab.page.evaluate(_TERMINAL_TEXT, self.name))

    def wait_for_text(self, pattern: str, seconds: float = SECONDS) -> str:
        """Wait until the text matches `pattern` (`^` and `$` are the ends of lines), and return it."""
        self.lab.page.wait_for_function(
            f"([name, pattern]) => new RegExp(pattern, 'm').test(({_TERMINAL_TEXT})(name))",
            arg=[self.name, pattern],
            timeout=seconds * 1000,
        )
        return self.text()

    def type(self, line: str) -> None:
        """Type a line and Enter, at the keyboard."""
        self.lab.page.evaluate(f"name => ({_TERMINAL})(name).activate()", self.name)
        self.lab.page.keyboard.type(line)
        self.lab.page.keyboard.press("Enter")
