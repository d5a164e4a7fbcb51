"""What all widgets are: a title, controls and a runner; they follow the swarm while they are shown."""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import command_log
from labkit.engine.selection import ERRORS
from labkit.observe import watcher
from labkit.observe.recording import Frame
from labkit.swarm.model import Snapshot
from labkit.transport.commands import DEFAULT_TIMEOUT, CancelToken, Result, Sink, run_on
from labkit.util.errors import CommandInterrupted, CommandTimedOut, LabError
from labkit.widgets import page
from labkit.widgets.described import Described
from labkit.widgets.runner import Runner, Work

T = TypeVar("T")
_log = logging.getLogger(__name__)

_LOOK_SECONDS = 3.0  # managers that look for a leader do not answer; what is known by then is shown


class Panel(Described, ipywidgets.VBox):
    """Base of the widgets. A subclass makes its controls and says in `reflect` how they show the swarm.

    While a command runs the controls are disabled. When no page shows the widget any more, its command is
    stopped and it follows the swarm no longer. Raises what `Lab.snapshot` raises.
    """

    follows: ClassVar[bool] = True
    offers: ClassVar[str] = "a panel with buttons"
    """What it shows in JupyterLab, for readers without it."""

    def __init__(self, lab: Cluster, title: str, controls: Sequence[ipywidgets.Widget] = ()) -> None:
        self.lab = lab
        self.title = title
        self.runner = Runner()
        self._open: list[Callable[[], None]] = []  # closes what is open while a page shows the widget
        self._following = False
        self._lock = threading.RLock()  # frames come from the follower's thread, clicks from the kernel's
        self._note = ipywidgets.HTML()
        self.controls = ipywidgets.VBox(list(controls))
        super().__init__(  # type: ignore[no-untyped-call]
            [ipywidgets.HTML(page.STYLE + page.title(title)), self.controls, self._note, self.runner],
            layout={"padding": "4px 0"},
        )
        self.runner.observe(lambda change: self.enable(not change["new"]), "busy")
        self._view_count = 0  # from now on the pages that show it keep it up to date
        self.observe(self._shown, "_view_count")
        if self.follows:
            self._take(lab.snapshot(timeout=_LOOK_SECONDS))

    def __repr__(self) -> str:
        return f"{self.title}\n[In JupyterLab, this cell shows {self.offers}.]"

    def close(self) -> None:
        """Take the widget off every page; stop its command, follow no longer."""
        if self.comm is not None:  # else it is closed, or was never made to the end
            self._leave()
        super().close()  # type: ignore[no-untyped-call]

    # -- for subclasses -----------------------------------------------------------------------------

    def reflect(self, snapshot: Snapshot) -> None:
        """Let the controls show what is so. Called from any thread, but not while a command runs."""

    def report(self, _snapshot: Snapshot) -> str:
        """What to say of the swarm below the controls, at each of its changes."""
        return ""

    def enable(self, enabled: bool) -> None:
        """Enable or disable the controls."""
        _enable(self.controls, enabled)

    def say(self, text: str) -> None:
        """Show a line of text below the controls."""
        self._note.value = page.note(text)

    def until_hidden(self, close: Callable[[], None]) -> None:
        """Call this once when no page shows the widget any more; from a thread."""
        with self._lock:
            self._open.append(close)

    def announce(self, command: str, snapshot: Snapshot) -> None:
        """Show a command that is to run on a manager, unless one is shown that ran."""
        with contextlib.suppress(LabError):  # no manager answers: that is told when it runs
            if self.runner.blank:
                self.runner.announce(manager(snapshot), command)

    def on(self, command: str, node: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Work[Result]:
        """The work of running a command on a node, or on a manager that answers, and showing it."""

        def work(sink: Sink, token: CancelToken) -> Result:
            name = node or manager(self.lab.snapshot(timeout=_LOOK_SECONDS))
            self.runner.announce(name, command)
            nodes, log = [self.lab.node(name)], command_log.of(self.lab)
            try:
                (result,) = run_on(nodes, command, timeout=timeout, check=False, sink=sink, token=token)
            except (CommandTimedOut, CommandInterrupted):
                log.add_stopped([name], command)
                raise
            log.add_results([result])
            return result

        return work

    def run_work(self, work: Work[T]) -> T:
        """Do it and wait for its end. Raises what it raises, CommandFailed, LabBusy."""
        return self.runner.run(self._then_look(work))

    def start_work(self, work: Work[object]) -> None:
        """Do it in a thread; errors are shown."""
        self.runner.start(self._then_look(work))

    def start_work_instead(self, work: Work[object]) -> None:
        """Stop what runs, then do it in a thread; errors are shown."""
        self.runner.start_instead(self._then_look(work))

    # -- running ------------------------------------------------------------------------------------

    def _then_look(self, work: Work[T]) -> Work[T]:
        def then_look(sink: Sink, token: CancelToken) -> T:
            try:
                return work(sink, token)
            finally:
                if self.follows:
                    with contextlib.suppress(LabError, *ERRORS):  # what `work` raises is the news
                        self._take(self.lab.snapshot(timeout=_LOOK_SECONDS), done=True)

        return then_look

    # -- following ----------------------------------------------------------------------------------

    def _take(self, snapshot: Snapshot, done: bool = False) -> None:
        with self._lock:
            self.say(self.report(snapshot))
            waits = self.runner.next or (self.runner.busy and not done)
            if not waits and snapshot.quorum is not False:  # without a quorum nobody can tell
                self.reflect(snapshot)

    def _frame(self, frame: Frame) -> None:
        try:
            self._take(frame.snapshot)
        except Exception as error:  # often, the lab is about to go; raised, it would end the following
            self._note.value = page.error(error)

    def _shown(self, change: "dict[str, int]") -> None:
        if not change["new"]:
            self._leave()
        elif self.follows:
            with self._lock:
                if not self._following:
                    self._following = True
                    self.until_hidden(watcher.subscribe(self.lab, self._frame).close)

    def _leave(self) -> None:
        self.runner.stop()
        with self._lock:
            closers, self._open = self._open, []
            self._following = False
        if closers:  # in a thread: they wait for the ends of others
            threading.Thread(target=_close_all, args=(closers,), name="labkit-leave", daemon=True).start()


def _close_all(closers: Sequence[Callable[[], None]]) -> None:
    for close in closers:
        try:
            close()
        except Exception:  # one that fails must not keep the others open
            _log.exception("a widget could not close what it had opened")


def manager(snapshot: Snapshot) -> str:
    """The name of a manager that answers. Raises LabError when there is none."""
    answering = [engine.name for engine in snapshot.engines.values() if engine.manager]
    if not answering:
        raise snapshot.no_manager()
    return snapshot.answering_manager or answering[0]


def on_click(button: ipywidgets.Button, action: Callable[[], None]) -> ipywidgets.Button:
    """Let a button do something; returns it."""
    button.on_click(lambda _: action())
    return button


def in_a_row(toggle: ipywidgets.ToggleButtons) -> None:
    """Lay out a toggle group beside its description; what is chosen has a tick, not only a colour."""
    toggle.layout = ipywidgets.Layout(display="flex", flex_flow="row", width="auto")
    longest = max(len(str(label)) for label in toggle._options_labels)
    toggle.style.button_width, toggle.style.description_width = f"calc({longest}ch + 3.5em)", "80px"

    def tick() -> None:
        toggle.icons = ["check" if index == toggle.index else "" for index in range(len(toggle.options))]

    toggle.observe(lambda _: tick(), "index")
    tick()


def _enable(widget: ipywidgets.Widget, enabled: bool) -> None:
    if widget.has_trait("disabled"):
        widget.set_trait("disabled", not enabled)
    for child in getattr(widget, "children", ()):
        _enable(child, enabled)
