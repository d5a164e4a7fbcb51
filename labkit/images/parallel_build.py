"""Builds images that depend on each other, several at a time, and stops them all when one fails."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Mapping

import docker
from docker.errors import DockerException
from docker.types import CancellableStream
from requests import Response
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks

from labkit.util.parallel import in_parallel

AT_ONCE = 3
"""How many builds run at a time, even on two cores: a build also waits for the mirror and the disk."""


def missing(
    names: Iterable[str],
    below: Callable[[str], Collection[str]],
    present: Callable[[str], bool],
) -> dict[str, set[str]]:
    """The images to build for `names`, foundations first, each with the ones that it has to wait for.

    `below` returns the images that one is built on. The foundations of an existing image aren't needed.
    """
    found: dict[str, set[str]] = {}
    there: set[str] = set()

    def visit(name: str) -> None:
        if name in found or name in there:
            return
        if present(name):
            there.add(name)
            return
        foundations = list(dict.fromkeys(below(name)))
        for other in foundations:
            visit(other)
        found[name] = {other for other in foundations if other in found}

    for name in names:
        visit(name)
    return found


def build_all(
    client: docker.DockerClient,
    todo: Mapping[str, Collection[str]],
    build: Callable[[docker.DockerClient, str], object],
    at_once: int = AT_ONCE,
) -> None:
    """Call `build` for every image in `todo`, as soon as the ones that it waits for are done.

    Each thread has its own client. If a call raises, or after an interrupt, the others are stopped by closing
    their connections, which makes the engine cancel the builds. No thread is still running when this returns
    or raises.
    """
    plan, connections = _Plan(todo), Connections()
    failures: list[BaseException] = []  # in chronological order: the first one may have caused the others

    def work(_: int) -> None:
        own = twin(client)
        connections.follow(own)
        try:
            while (name := plan.next()) is not None:
                build(own, name)
                plan.done(name)
        except BaseException as error:
            failures.append(error)
            plan.stop()
            connections.close()
            raise

    def stop() -> None:
        plan.stop()
        connections.close()

    try:
        in_parallel(work, range(min(at_once, len(todo))), on_interrupt=stop)
    except Exception as error:
        if failures and error is not failures[0]:
            raise failures[0] from None
        raise


def twin(client: docker.DockerClient) -> docker.DockerClient:
    """A client for another thread: it has its own session, but uses the same connection pool.

    docker-py's sessions aren't thread-safe. Its adapters are, because they lock their pools.
    """
    api = object.__new__(type(client.api))
    api.__dict__.update(client.api.__dict__)
    api.hooks, api.cookies = default_hooks(), RequestsCookieJar()
    other = object.__new__(type(client))
    other.__dict__.update(client.__dict__, api=api)
    return other


class Connections:
    """The connections on which several clients are receiving an answer, so that they can be closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[int, Response] = {}
        self._closed = False

    def follow(self, client: docker.DockerClient) -> None:
        """Track the connections that a client opens from now on; it makes one call after another."""

        def note(response: Response, **_: object) -> None:
            with self._lock:
                self._latest[id(client)] = response
                closed = self._closed
            if closed:
                _close(response)

        client.api.hooks["response"].append(note)

    def close(self) -> None:
        """Close them, and every one that is opened from now on."""
        with self._lock:
            self._closed = True
            latest = list(self._latest.values())
        for response in latest:
            _close(response)


def _close(response: Response) -> None:
    with contextlib.suppress(
        OSError, AttributeError, DockerException
    ):  # its answer has been read, or it's closed
        CancellableStream(iter(()), response).close()


class _Plan:
    """Hands out the images whose foundations are done."""

    def __init__(self, todo: Mapping[str, Collection[str]]) -> None:
        self._waiting = {name: set(others) for name, others in todo.items()}
        self._unfinished = set(todo)
        self._stopped = False
        self._changed = threading.Condition()

    def next(self) -> str | None:
        """The next image to build, as soon as there is one; None if there is nothing left to start."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._waiting or self._ready())
            if self._stopped or not self._waiting:
                return None
            name = self._ready()[0]
            del self._waiting[name]
            return name

    def _ready(self) -> list[str]:
        return [name for name, others in self._waiting.items() if not others & self._unfinished]

    def done(self, name: str) -> None:
        with self._changed:
            self._unfinished.discard(name)
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
