"""Several questions to several nodes' engines in one round trip: HTTP pipelining (RFC 9112, 9.3.2)."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import docker
from urllib3.util.wait import wait_for_read

from labkit.tunnel import Stream, dial

if TYPE_CHECKING:
    from labkit.node import Node

API_VERSION = "v1.45"  # of Docker 26.1, which the node image has
DEFAULT_TIMEOUT = 10.0
ERRORS = (OSError, HTTPException, ValueError, docker.errors.DockerException)


@dataclass(frozen=True)
class Answer:
    """An engine's answer: HTTP status, the header `Swarm` (of `/_ping` alone) and the JSON body."""

    status: int
    swarm: str | None
    body: Any


class Pipeline:
    """A connection to a node's engine that takes several GET requests at once. Not safe across threads."""

    def __init__(self, client: docker.DockerClient, container_id: str) -> None:
        self._stream: Stream = dial(client, container_id)
        self._reader = self._stream.makefile("rb")

    def send(self, paths: Sequence[str], timeout: float) -> None:
        """Ask; the answers are to be received in the same order, each within `timeout` seconds."""
        self._stream.settimeout(timeout)
        requests = (f"GET /{API_VERSION}{path} HTTP/1.1\r\nHost: node\r\n\r\n" for path in paths)
        self._stream.sendall("".join(requests).encode())

    def receive(self) -> Answer:
        """The next answer. Raises one of ERRORS when there is none; then close the connection."""
        response = self._begin()
        data = response.read()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return Answer(response.status, response.getheader("Swarm"), json.loads(data) if is_json else None)

    def follow(self, path: str) -> Iterator[Any]:
        """The JSON lines of an answer without end, such as `/events`, until either side hangs up.

        Raises one of ERRORS when the engine does not answer.
        """
        self.send([path], timeout=DEFAULT_TIMEOUT)
        response = self._begin()
        self._stream.settimeout(None)
        for line in response:
            yield json.loads(line)

    @property
    def broken(self) -> bool:
        """Whether the other side has closed it, as it does when the node goes off; for between questions."""
        return bool(wait_for_read(self._stream, timeout=0))  # type: ignore[arg-type]  # it has a fileno

    def _begin(self) -> HTTPResponse:
        response = HTTPResponse(_Shared(self._reader))  # type: ignore[arg-type]
        response.begin()
        return response

    def close(self) -> None:
        """Drop the connection; the process in the node ends with it."""
        self._stream.close()


class _Shared:
    """Lets one `HTTPResponse` after the other read from the same buffer, which none of them closes."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> "_Shared":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def close(self) -> None:
        pass


def ask(
    nodes: "Iterable[Node]", *paths: str, timeout: float = DEFAULT_TIMEOUT
) -> dict[str, list[Answer] | None]:
    """Ask several nodes' engines the same; the answers by the node's name, None where there were none.

    `timeout` in seconds bounds the wait for each answer.
    """
    nodes = list(nodes)
    try:
        asked = [(node, _send(node, paths, timeout)) for node in nodes]  # all, before the first is waited for
        return {node.name: _receive(node, line, len(paths)) if line else None for node, line in asked}
    except BaseException:  # an interrupt: what still comes answers nothing any more
        for node in nodes:
            node.drop_pipeline()
        raise


def _send(node: "Node", paths: Sequence[str], timeout: float) -> Pipeline | None:
    try:
        line = node.pipeline
        line.send(paths, timeout)
        return line
    except ERRORS:
        node.drop_pipeline()
        return None


def _receive(node: "Node", line: Pipeline, count: int) -> list[Answer] | None:
    try:
        return [line.receive() for _ in range(count)]
    except ERRORS:
        node.drop_pipeline()  # what still comes would be taken for the answer to the next question
        return None
