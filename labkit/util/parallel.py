"""The same work on several things at once."""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def in_parallel(
    work: Callable[[T], None], items: Iterable[T], *, on_interrupt: Callable[[], None] | None = None
) -> None:
    """Do `work` on all items at once, in a thread each; wait for all of them, then raise the first failure.

    No thread is still running when this returns or raises, even after an interrupt, so a caller can safely
    clean up or release a lock. After an interrupt, `on_interrupt` is called first; it tells long work to
    stop. The first of several failures is often the cause of the others.
    """
    todo = list(items)
    crew = _Crew(work, len(todo))
    interrupt: BaseException | None = None
    try:
        for item in todo:
            threading.Thread(target=crew.attempt, args=(item,), name="labkit-parallel").start()
    except BaseException as error:  # an interrupt, or no more threads allowed
        crew.closed = True
        interrupt = error
    told = False
    while True:
        try:
            if interrupt and on_interrupt and not told:
                told = True
                on_interrupt()
            crew.join()
            break
        except (KeyboardInterrupt, SystemExit) as error:
            interrupt = error
    if interrupt:
        raise interrupt
    if crew.failures:
        raise crew.failures[0]


class _Crew(Generic[T]):
    """Counts the threads at work. Threads themselves can't be asked: one whose `start` or `join` was
    interrupted may be running without our knowledge, or look finished.
    """

    def __init__(self, work: Callable[[T], None], size: int) -> None:
        self._work = work
        self._to_come, self._busy = size, 0
        self._changed = threading.Condition()
        self.closed = False  # threads that haven't begun by now won't
        self.failures: list[BaseException] = []

    def attempt(self, item: T) -> None:
        with self._changed:
            if self.closed:
                return
            self._to_come -= 1
            self._busy += 1
        try:
            self._work(item)
        except BaseException as error:
            self.failures.append(error)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def join(self) -> None:
        """Wait until no thread is at work and none is still to come."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and (self.closed or not self._to_come))
