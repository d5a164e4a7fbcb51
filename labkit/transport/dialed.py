"""HTTP over connections that something else opens, such as a process, for `requests` and docker-py."""

from collections.abc import Callable
from typing import Any

import docker
import urllib3
import urllib3.connection
from docker.transport.basehttpadapter import BaseHTTPAdapter

Dial = Callable[[], Any]
"""Opens a connection: a socket, or an object with everything that `http.client` needs of a socket."""


class Pool(urllib3.HTTPConnectionPool):
    """Keeps two connections open, and opens and closes more as needed."""

    def __init__(self, dial: Dial) -> None:
        super().__init__("dialed", maxsize=2)
        self._dial = dial

    def _new_conn(self) -> "_Connection":
        return _Connection(self._dial)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, dial: Dial) -> None:
        super().__init__("dialed")
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial()


class Adapter(BaseHTTPAdapter):
    """Sends a session's requests through a pool, whatever their address says."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        super().__init__()

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Pool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


def mount(api: docker.APIClient, base_url: str, adapter: Adapter) -> None:
    """Make a docker-py client with this address send its calls through the adapter."""
    api.trust_env = False  # this host's proxy doesn't apply here
    api.mount(base_url, adapter)
    api._custom_adapter = adapter  # type: ignore[attr-defined]  # docker-py closes it with the client
