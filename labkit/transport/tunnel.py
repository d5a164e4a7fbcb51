"""Real HTTP clients for a node's engine, without an open port.

HTTP runs over the standard streams of `docker system dial-stdio` on the node, as in docker-py's own SSH
transport (docker/transport/sshconn.py). A call takes about 2 ms, whereas an exec takes 80 ms.
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

import docker
import requests
import urllib3

from labkit.transport import api_version
from labkit.transport.attach import STDOUT, Execution
from labkit.transport.dialed import Adapter, Pool, mount

ANSWER_SECONDS = 10.0
ERRORS = (OSError, HTTPException, ValueError, urllib3.exceptions.HTTPError, docker.errors.DockerException)
"""What `Tunnel.get` and `Lines` raise if an engine doesn't answer."""

PING = "/_ping"
_JSON, _TEXT = "application/json", "text/plain"
_BASE_URL = "http://node:80"  # docker-py wants a port; nothing ever resolves this address


@dataclass(frozen=True)
class Answer:
    """An engine's answer: HTTP status, its state in the swarm (only for `/_ping`), and the JSON body.

    The state is that of the header `Swarm`: `active/manager`, `active/worker`, `inactive`, and others.
    """

    status: int
    swarm: str | None
    body: Any


class Tunnel:
    """The connections of all threads to the engine inside one container, two of which stay open.

    Requests use the API version that suits the engine. The first `/_ping`, which takes about 2 ms, finds it
    out, and each later one checks it, because the container may restart with another engine.
    """

    def __init__(self, client: Callable[[], docker.DockerClient], container_id: str) -> None:
        """`client` returns the calling thread's client of the outer engine."""
        self._client, self._container_id = client, container_id
        self._pool = Pool(self._dial)
        self._versions = ("", "")  # the version that the engine announced, and the one to use

    def _dial(self) -> "Stream":
        return dial(self._client(), self._container_id)

    def open_api(self, timeout: int = 30) -> docker.APIClient:
        """Return a docker-py client; `timeout` in seconds limits each call. Not thread-safe.

        This and its calls raise requests.ConnectionError if the node doesn't answer.
        """
        try:
            version = self._version(timeout)
        except ERRORS as error:
            raise requests.ConnectionError(error) from error
        return _TunnelledClient(self._pool, version, timeout)

    def get(self, path: str, timeout: float = ANSWER_SECONDS) -> Answer:
        """The answer to a GET request, at half of docker-py's cost. Thread-safe.

        `timeout` in seconds limits the wait. Raises one of ERRORS if there is no answer.
        """
        return self._ping(timeout) if path == PING else self._ask(path, timeout)

    def lines(self, path: str) -> "Lines":
        """Open a separate connection for an endless answer, such as `/events`. Raises one of ERRORS."""
        version = self._version(ANSWER_SECONDS)
        return Lines(self._dial(), version, path)

    def _version(self, timeout: float) -> str:
        """The API version to use with the engine. Raises one of ERRORS."""
        if not self._versions[1]:
            self._ping(timeout)
        return self._versions[1]

    def _ping(self, timeout: float) -> Answer:
        reply = self._request(PING, timeout)
        newest = api_version.announced(reply.headers)
        if newest is None:
            raise HTTPException(f"{PING} was not answered by a Docker engine")
        if newest != self._versions[0]:
            self._versions = (
                newest,
                api_version.choose(newest, lambda: json.loads(self._request("/version", timeout).data)),
            )
        swarm = reply.headers.get("Swarm")
        if swarm is None and reply.status == 200:
            swarm = self._swarm_state(timeout)
        return Answer(reply.status, swarm, None)

    def _swarm_state(self, timeout: float) -> str | None:
        """What the header `Swarm` would say, from the answer to `/info`; Docker 20.10 doesn't send it."""
        try:
            info = self._ask("/info", timeout).body
        except urllib3.exceptions.ReadTimeoutError:
            # Only a manager asks others before it answers (moby v20.10.24, daemon/cluster/swarm.go, Info).
            return "active/manager"
        swarm = info.get("Swarm") if isinstance(info, dict) else None
        if not swarm:
            return None
        state = str(swarm["LocalNodeState"])
        role = "manager" if swarm["ControlAvailable"] else "worker"
        return f"{state}/{role}" if state == "active" else state

    def _ask(self, path: str, timeout: float) -> Answer:
        reply = self._request(f"/v{self._version(timeout)}{path}", timeout)
        return Answer(reply.status, None, json.loads(reply.data) if _kind(reply) == _JSON else None)

    def _request(self, path: str, timeout: float) -> urllib3.BaseHTTPResponse:
        reply = self._pool.urlopen("GET", path, timeout=timeout, retries=False)
        # If a connection breaks within the headers, it looks as if they had ended.
        if _kind(reply) not in (_JSON, _TEXT):
            raise HTTPException(f"{path} was answered in part, or not by an engine")
        return reply


def _kind(reply: urllib3.BaseHTTPResponse) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0]


class Lines:
    """The lines of an endless answer; `close` ends it, from any thread."""

    def __init__(self, stream: "Stream", version: str, path: str) -> None:
        self._stream, self._version, self._path = stream, version, path

    def __iter__(self) -> Iterator[bytes]:
        """Send the request, and yield lines until either side closes. Raises one of ERRORS."""
        connection = HTTPConnection("node")
        connection.sock = self._stream  # it has everything that's needed of a socket
        self._stream.settimeout(ANSWER_SECONDS)
        connection.request("GET", f"/v{self._version}{self._path}")
        response = connection.getresponse()
        if response.status != 200:
            raise HTTPException(f"{self._path} answered {response.status} {response.reason}")
        self._stream.settimeout(None)
        yield from response

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._stream.close()


def open_api(client: docker.DockerClient, container_id: str, timeout: int = 30) -> docker.APIClient:
    """A docker-py client of the engine inside a container, with its own connections; `close` ends them.

    Raises requests.ConnectionError if the engine doesn't answer.
    """
    return Tunnel(lambda: client, container_id).open_api(timeout)


class _TunnelledClient(docker.APIClient):
    def __init__(self, pool: Pool, version: str, timeout: int) -> None:
        super().__init__(base_url=_BASE_URL, version=version, timeout=timeout)
        mount(self, _BASE_URL, Adapter(pool))


def dial(client: docker.DockerClient, container_id: str) -> "Stream":
    """Connect to the engine inside the container. Closing the stream ends the process there."""
    return Stream(Execution(client, container_id, ["docker", "system", "dial-stdio"], stdin=True))


class Stream:
    """What `http.client` needs of a socket, over a process's standard streams."""

    def __init__(self, process: Execution) -> None:
        self._process = process

    def sendall(self, data: bytes) -> None:
        self._process.write(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Output(self._process))

    def fileno(self) -> int:
        """For urllib3, which polls it: an idle connection that becomes readable has been dropped."""
        return self._process.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self._process.settimeout(seconds)

    def close(self) -> None:
        self._process.close()


class _Output(io.RawIOBase):
    """The process's standard output as a raw stream."""

    def __init__(self, process: Execution) -> None:
        self._process = process
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            frame = self._process.read_frame()
            if frame is None:
                return 0
            stream, data = frame
            if stream == STDOUT:
                self._left = data
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
