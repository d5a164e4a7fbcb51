"""The same work on several things at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def in_parallel(
    work: Callable[[T], None], items: Iterable[T], done: Callable[[T], None] | None = None
) -> None:
    """Do `work` on all items at once, a thread each; raise the first failure without waiting for the rest."""
    todo = list(items)
    if not todo:
        return
    pool = ThreadPoolExecutor(len(todo))
    try:
        futures = {pool.submit(work, item): item for item in todo}
        pending = set(futures)
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                if done:
                    done(futures[future])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
