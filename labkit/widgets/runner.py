"""Runs one command at a time and shows it: the command line, its output as it comes, how it ended."""

import atexit
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import ipywidgets
from traitlets import Bool

from labkit.plots import Picture
from labkit.transport.commands import CancelToken, Result, Sink, failure
from labkit.util.deadline import Deadline
from labkit.util.errors import CommandInterrupted, LabBusy
from labkit.widgets import page

T = TypeVar("T")
W = TypeVar("W", bound=ipywidgets.Widget)
Work = Callable[[Sink, CancelToken], T]
"""What a runner runs: hands its output to the sink, raises CommandInterrupted once the token is cancelled."""

_PAINT_SECONDS = 0.1
_EXIT_SECONDS = 4.0  # JupyterLab gives a kernel that it restarts five


def live_widgets(kind: type[W]) -> list[W]:
    """The widgets of a kind that are open in this kernel, as ipywidgets knows them."""
    found = list(ipywidgets.widgets.widget._instances.values())
    return [widget for widget in found if isinstance(widget, kind)]


class Runner(ipywidgets.VBox):
    """The lower part of every widget: command line, stop button, status, output, error.

    `busy` (a trait) tells whether it runs something; `result` and `error` are of the last run.
    """

    busy = Bool(False)

    def __init__(self) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self.next: Work[object] | None = None  # what runs after this
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._token = CancelToken()
        self._line, self._output, self._error = (ipywidgets.HTML() for _ in range(3))
        self._status, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        self._stop = ipywidgets.Button(
            description="Stop", icon="stop", tooltip="Stop the command on the node", disabled=True
        )
        self._stop.layout.display = "none"
        self._stop.on_click(lambda _: self.stop())
        bar = ipywidgets.HBox([self._stop, self._status], layout={"align_items": "center"})
        super().__init__([self._line, bar, self._output, self._error, self._picture])  # type: ignore[no-untyped-call]

    @property
    def blank(self) -> bool:
        """Whether nothing is shown of a command that ran: then another one may be announced."""
        return not self.busy and not self._status.value

    def clear(self) -> None:
        """Show nothing of what ran before."""
        for part in (self._status, self._output, self._error, self._picture):
            part.value = ""

    def hint(self, text: str) -> None:
        """Say which command is to run, as long as it is not known to the last word."""
        self._line.value = page.note(text)

    def announce(self, where: str, command: str) -> None:
        """Show the command that is to run, or that runs, as one types it on `where`."""
        self._line.value = page.command_line(where, command)

    def show(self, picture: Picture) -> None:
        """Show a picture below the output, until something is run again."""
        self._picture.value = picture.html()

    def run(self, work: Work[T]) -> T:
        """Run it in this thread; show what it says and how it ended.

        Raises what it raises, CommandFailed for a `Result` with an exit code other than 0, LabBusy while
        this runner runs something else.
        """
        with self._lock:
            if self.busy:
                raise LabBusy(
                    "this widget runs a command already", next_step="wait for its end, or stop it first"
                )
            self._begin()
        return self._run(work)

    def start(self, work: Work[object]) -> bool:
        """Run it in a thread of its own; errors are shown, and kept in `error`.

        False, and nothing done, while this runner runs something else.
        """
        with self._lock:
            if self.busy:
                return False
            try:
                self._begin()
                thread = threading.Thread(
                    target=self._run_quietly, args=(work,), name="labkit-widget", daemon=True
                )
                thread.start()
            except BaseException:
                self.busy = False
                raise
            self._thread = thread
            return True

    def start_instead(self, work: Work[object]) -> None:
        """Stop what runs and start this after its end. Of several such calls the last one counts."""
        with self._lock:
            self.next = work
            if not self.busy:
                return self._go_on()
            token = self._stopping()
        return token.cancel()  # at its end, what runs starts the next

    def stop(self) -> None:
        """Stop what runs, on the node too. Does not wait for its end; fine when nothing runs."""
        with self._lock:
            self.next = None
            token = self._stopping()
        token.cancel()  # without the lock, which what runs may need for its end

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of what `start` has started."""
        with self._lock:  # while it is held, a start may be in progress
            thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join(timeout)

    def _stopping(self) -> CancelToken:
        """With the lock held: what stops the present run."""
        self._stop.disabled = True
        return self._token

    def _begin(self) -> None:
        """With the lock held: from now on something runs."""
        self._token = CancelToken()
        self.busy = True  # who observes it disables the controls

    def _go_on(self) -> None:
        """Start what is to run next, unless something runs: then its end does."""
        with self._lock:
            if self.next and self.start(self.next):
                self.next = None

    def _run_quietly(self, work: Work[object]) -> None:
        with contextlib.suppress(Exception):  # it is shown; there is nobody here to raise it to
            self._run(work)

    def _run(self, work: Work[T]) -> T:
        tail = page.Tail()
        self.result, self.error = None, None
        started = time.monotonic()
        try:
            self._show_running()
            with _Painter(lambda: self._paint(tail)) as painter:

                def sink(_node: str, _stream: str, text: str) -> None:
                    tail.add(text)
                    painter.touch()

                result = work(sink, self._token)
            self.result = result
            if isinstance(result, Result) and result.exit_code:
                raise failure(result)
        except BaseException as problem:
            self.error = problem
            raise
        finally:
            try:
                self._show_end(time.monotonic() - started)
            finally:
                self._end()
        return result

    def _end(self) -> None:
        try:
            self.busy = False
        finally:  # even if an observer fails
            self._go_on()

    def _show_running(self) -> None:
        self.clear()
        self._status.value = page.note("… runs")
        self._stop.disabled = False
        self._stop.layout.display = None

    def _paint(self, tail: page.Tail) -> None:
        self._output.value = page.output(tail.text, tail.dropped)

    def _show_end(self, seconds: float) -> None:
        self._stop.layout.display = "none"
        stopped = isinstance(self.error, CommandInterrupted | KeyboardInterrupt)
        if self.error and not stopped:
            self._error.value = page.error(self.error)
        self._status.value = page.note("■ stopped" if stopped else _ended(self.result, self.error, seconds))


def _ended(result: object, error: BaseException | None, seconds: float) -> str:
    mark = "✗" if error else "✓"
    if isinstance(result, Result):
        return f"{mark} exit {result.exit_code} · {result.duration:.1f} s · on {result.node}"
    return f"{mark} {'failed' if error else 'done'} · {seconds:.1f} s"


class _Painter:
    """Calls `paint` after a `touch`, ten times a second at most, from a thread of its own, and at the end."""

    def __init__(self, paint: Callable[[], None]) -> None:
        self._paint = paint
        self._touched, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="labkit-painter", daemon=True)

    def touch(self) -> None:
        """There is something new to paint."""
        self._touched.set()

    def __enter__(self) -> "_Painter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._touched.set()
        self._thread.join()
        self._paint()

    def _work(self) -> None:
        while self._touched.wait() and not self._closed.is_set():
            self._touched.clear()
            self._paint()
            self._closed.wait(_PAINT_SECONDS)


@atexit.register
def _stop_all() -> None:
    """A kernel that ends leaves no command on a node."""
    runners = [runner for runner in live_widgets(Runner) if runner.busy]
    deadline = Deadline(_EXIT_SECONDS)  # for all together
    for runner in runners:
        with contextlib.suppress(Exception):  # the others are to be stopped too
            runner.stop()
    for runner in runners:
        runner.join(deadline.left)
