"""The same work on several things at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")


def in_parallel(work: Callable[[T], None], items: Iterable[T]) -> None:
    """Do `work` on all items at once, a thread each; raise the first failure without waiting for the rest."""
    todo = list(items)
    if not todo:
        return
    pool = ThreadPoolExecutor(len(todo))
    try:
        for future in as_completed([pool.submit(work, item) for item in todo]):
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
