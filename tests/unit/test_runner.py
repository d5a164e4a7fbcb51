"""The lower part of every widget: one command at a time, what it shows, and how it is stopped."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import pytest

from labkit.transport.commands import CancelToken, Result, Sink
from labkit.util.errors import CommandFailed, CommandInterrupted, LabBusy, LabError
from labkit.widgets import page, runner
from labkit.widgets.runner import Runner, live_widgets

SECONDS = 20.0  # until a test gives up


class Work:
    """Something that runs until it is let go or stopped, and says when it has begun."""

    def __init__(self, result: object = "done") -> None:
        self.result = result
        self.begun, self.let_go, self.stopped = (threading.Event() for _ in range(3))

    def __call__(self, sink: Sink, token: CancelToken) -> Any:
        sink("worker1", "stdout", f"{self.result} begins\n")
        token.on_cancel(lambda: (self.stopped.set(), self.let_go.set()))
        self.begun.set()
        assert self.let_go.wait(SECONDS)
        if token.cancelled:
            raise CommandInterrupted("stopped")
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def is_running(self) -> bool:
        return self.begun.wait(SECONDS)


@pytest.fixture
def one() -> Iterator[Runner]:
    one = Runner()
    yield one
    one.stop()
    one.join(SECONDS)
    one.close()


def let_go(work: Work) -> Work:
    work.let_go.set()
    return work


def shown(one: Runner) -> str:
    return "".join(part.value for part in (one._line, one._status, one._output, one._error, one._picture))


def ended(exit_code: int) -> Result:
    return Result("worker1", "command", exit_code, "", "why\n", 1.5)


def test_what_runs_is_shown_with_its_end(one: Runner) -> None:
    assert one.blank
    one.announce("worker1", "hostname")
    assert one.run(let_go(Work(ended(0)))) == ended(0)
    assert "hostname" in shown(one) and "begins" in shown(one)
    assert "✓ exit 0 · 1.5 s · on worker1" in shown(one)
    assert not one.busy and not one.blank
    one.clear()
    assert one.blank


def test_a_command_that_fails_is_raised_and_shown(one: Runner) -> None:
    with pytest.raises(CommandFailed):
        one.run(let_go(Work(ended(3))))
    assert isinstance(one.error, CommandFailed)
    assert "✗ exit 3" in shown(one) and "CommandFailed: on worker1, `command` exited 3" in shown(one)


def test_one_at_a_time(one: Runner) -> None:
    work = Work()
    assert one.start(work)
    assert work.is_running() and one.busy
    assert not one.start(Work())
    with pytest.raises(LabBusy, match="runs a command already"):
        one.run(Work())
    assert not one._stop.disabled
    work.let_go.set()
    one.join(SECONDS)
    assert (one.result, one.error, one.busy) == ("done", None, False)


def test_an_error_in_a_thread_is_kept_and_shown(one: Runner) -> None:
    assert one.start(let_go(Work(LabError("it broke"))))
    one.join(SECONDS)
    assert isinstance(one.error, LabError) and one.result is None
    assert "LabError: it broke" in shown(one) and "✗ failed" in shown(one)
    assert one.start(let_go(Work()))
    one.join(SECONDS)
    assert one.error is None and "it broke" not in shown(one)


def test_stopping_ends_it_and_is_no_failure(one: Runner) -> None:
    work = Work()
    one.start(work)
    assert work.is_running()
    one._stop.click()
    one.join(SECONDS)
    assert work.stopped.is_set() and not one.busy
    assert isinstance(one.error, CommandInterrupted)
    assert "■ stopped" in shown(one) and one._error.value == ""
    one.stop()  # nothing runs: nothing happens


def test_an_interrupt_is_shown_as_a_stop(one: Runner) -> None:
    with pytest.raises(KeyboardInterrupt):
        one.run(let_go(Work(KeyboardInterrupt())))
    assert "■ stopped" in shown(one) and not one.busy


def test_another_one_starts_after_the_end_of_what_it_stopped(one: Runner) -> None:
    first, second = Work("first"), Work("second")
    one.start(first)
    assert first.is_running()
    one.start_instead(second)
    assert second.is_running() and first.stopped.is_set()
    second.let_go.set()
    one.join(SECONDS)
    assert (one.result, one.next) == ("second", None)


def ending_slowly(work: Work, hold: threading.Event) -> Callable[[Sink, CancelToken], object]:
    """The same work, which is not over before `hold` is set."""

    def slow(sink: Sink, token: CancelToken) -> object:
        try:
            return work(sink, token)
        finally:
            assert hold.wait(SECONDS)

    return slow


def test_of_several_to_come_the_last_one_counts(one: Runner) -> None:
    first, skipped, last = Work("first"), Work("skipped"), Work("last")
    hold = threading.Event()
    one.start(ending_slowly(first, hold))
    assert first.is_running()
    one.start_instead(skipped)
    one.start_instead(last)
    hold.set()
    assert last.is_running()
    last.let_go.set()
    one.join(SECONDS)
    assert one.result == "last" and not skipped.begun.is_set()


def test_what_is_to_come_starts_at_once_when_nothing_runs(one: Runner) -> None:
    work = Work()
    one.start_instead(work)
    assert work.is_running() and one.next is None
    work.let_go.set()


def test_stopping_drops_what_was_to_come(one: Runner) -> None:
    first, second = Work("first"), Work("second")
    hold = threading.Event()
    one.start(ending_slowly(first, hold))
    assert first.is_running()
    one.start_instead(second)
    one.stop()
    hold.set()
    one.join(SECONDS)
    assert not one.busy and not second.begun.is_set()


# -- what goes wrong must not leave it busy for good ----------------------------------------------------


def test_an_observer_that_fails_keeps_nobody_from_going_on(one: Runner) -> None:
    second = Work("second")

    def fail(change: Any) -> None:
        if not change["new"] and not second.begun.is_set():
            raise RuntimeError("a mistake in a widget")

    one.observe(fail, "busy")
    first = Work("first")
    one.start(first)
    assert first.is_running()
    one.start_instead(second)
    assert second.is_running()
    second.let_go.set()
    one.join(SECONDS)
    assert one.result == "second" and not one.busy


def test_an_end_that_cannot_be_shown_is_an_end(one: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("a mistake in a page")

    monkeypatch.setattr(page, "error", fail)
    with pytest.raises(RuntimeError):
        one.run(let_go(Work(LabError("it broke"))))
    assert not one.busy


def test_a_thread_that_cannot_start_is_no_run(one: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            one.start(Work())
    assert not one.busy
    assert one.run(let_go(Work())) == "done"


# -- all of a kernel ------------------------------------------------------------------------------------


def test_open_widgets_are_found_by_their_kind(one: Runner) -> None:
    other = Runner()
    assert {one, other} <= set(live_widgets(Runner))
    assert one not in live_widgets(ipywidgets.Button)
    other.close()
    assert one in live_widgets(Runner) and other not in live_widgets(Runner)


def test_a_kernel_that_ends_stops_all_that_runs(one: Runner) -> None:
    """Also when one of them cannot be stopped, and without waiting for that one forever."""
    other, works = Runner(), [Work(), Work()]
    stubborn, idle = Runner(), Runner()
    for each, work in zip((one, other), works, strict=True):
        each.start(work)
        assert work.is_running()

    def refuse() -> None:
        raise RuntimeError("a mistake")

    hung = Work()
    stubborn.start(lambda *_: hung.let_go.wait(SECONDS))
    stubborn._token.on_cancel(refuse)
    runner._EXIT_SECONDS, kept = 0.2, runner._EXIT_SECONDS
    try:
        runner._stop_all()
    finally:
        runner._EXIT_SECONDS = kept
    assert all(work.stopped.is_set() for work in works)
    assert stubborn.busy and not idle.busy
    hung.let_go.set()
    for each in (other, stubborn, idle):
        each.join(SECONDS)
        each.close()
