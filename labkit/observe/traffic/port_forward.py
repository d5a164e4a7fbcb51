"""Forwards published ports of nodes to the learner's browser, wherever the engine is.

A listener on this computer's loopback address forwards each connection, through the engine's exec, to the
client outside the swarm, which connects to the node's port. So the browser sees what such a client sees, and
that's nothing while the node is cut off.
"""

import contextlib
import os
import socket
import threading
from collections import Counter

from labkit.cluster.cluster import Cluster
from labkit.cluster.node import Node
from labkit.engine.selection import ERRORS
from labkit.observe.traffic import client_host
from labkit.transport.attach import STDOUT, Execution
from labkit.util.errors import LabError

_LOOPBACK = "127.0.0.1"
_HUB_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"  # which JupyterHub sets, and nobody else
_CONNECT_SECONDS = 5
_WAKE_SECONDS = 2.0  # how often the acceptor checks whether it should end
_RETRY_SECONDS = 0.1
_CHUNK = 65536
# The end of the input only closes the sending side, because a reply may still arrive. After that time
# everything ends, because the end of the input may also mean that the browser, or Python, is gone.
_REPLY_SECONDS = 10
_CONNECT = f"""
exec 3<&0
{{ cat <&3; exec >&-; sleep {_REPLY_SECONDS}; kill 0; }} | {{ nc -w {_CONNECT_SECONDS} $1 $2; kill 0; }}
"""


class PortForward:
    """Forwards connections from a free local port to a `port` of a node, until it is closed.

    `prefix` is the path of this Jupyter server behind a hub, such as `/user/anna/`.
    """

    def __init__(self, node: Node, port: int, prefix: str = "") -> None:
        self.node, self.port, self._prefix = node, port, prefix
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._listener.settimeout(_WAKE_SECONDS)
        self._local_port: int = self._listener.getsockname()[1]
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name=f"labkit-forward-{port}", daemon=True)
        self._acceptor.start()

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.url
        return f"<PortForward to port {self.port} of {self.node.name}: {state}>"

    @property
    def url(self) -> str:
        """Where the learner's browser finds the port, in HTTP.

        Behind a hub that's a path on the hub's own address, served by jupyter-server-proxy: the browser is on
        another machine. Otherwise it's on this one.
        """
        if self._prefix:
            return f"{self._prefix.rstrip('/')}/proxy/{self._local_port}/"
        return f"http://{_LOOPBACK}:{self._local_port}/"

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """End every connection and stop listening. Idempotent."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
        address = _LOOPBACK, self._local_port
        with contextlib.suppress(OSError), socket.create_connection(address, _WAKE_SECONDS):
            pass  # wakes the acceptor, which closing its socket wouldn't do on every system
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()
        for connection in connections:
            connection.join()

    def __enter__(self) -> "PortForward":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                browser, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # the browser has hung up, or too many files are open
                self._closing.wait(_RETRY_SECONDS)
                continue
            self._carry(browser)

    def _carry(self, browser: socket.socket) -> None:
        connection = _Connection(self, browser)
        try:
            with self._lock:
                if self.closed:
                    return browser.close()
                self._connections.add(connection)
            connection.start()
        except RuntimeError:  # too many threads
            connection.drop()

    def _ended(self, connection: "_Connection") -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection(threading.Thread):
    """One connection: this thread forwards what the node sends, another one what the browser sends."""

    def __init__(self, forward: PortForward, browser: socket.socket) -> None:
        super().__init__(name=f"labkit-forward-{forward.port}-down", daemon=True)
        self._forward, self._browser = forward, browser
        self._process: Execution | None = None

    def run(self) -> None:
        try:
            target = self._forward.node.address, str(self._forward.port)
            self._process = client_host.start(self._forward.node.context, _CONNECT, *target)
            try:
                up = threading.Thread(target=self._send, args=(self._process,), daemon=True)
                up.start()
                if not self._forward.closed:  # in the meantime
                    self._receive(self._process)
            finally:
                self.close()  # wakes the other thread
            up.join()
        except (LabError, *ERRORS):
            pass  # the lab is gone, so the browser sees a closed connection
        finally:
            self.drop()

    def drop(self) -> None:
        """Drop it once it no longer forwards anything, or if it never began."""
        self._browser.close()
        self._forward._ended(self)

    def close(self) -> None:
        self._hang_up()
        if self._process:
            self._process.close()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the browser has closed it already
            self._browser.shutdown(socket.SHUT_RDWR)

    def _receive(self, process: Execution) -> None:
        with contextlib.suppress(OSError, ValueError):  # one side was closed
            for stream, data in process.frames():
                if stream == STDOUT:
                    self._browser.sendall(data)

    def _send(self, process: Execution) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := self._browser.recv(_CHUNK):
                process.write(data)
            process.close_stdin()


class PortForwards:
    """The open port forwards of a cluster, by node and port; all users of a port share one."""

    def __init__(self, _: Cluster) -> None:
        self._prefix = os.environ.get(_HUB_PREFIX, "")
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], PortForward] = {}
        self._users: Counter[PortForward] = Counter()

    def use(self, node: Node, port: int) -> PortForward:
        """The forward to a port of a node: the open one, otherwise a new one. Return it with `release`."""
        key = node.container_id, port
        with self._lock:
            found = self._open.get(key)
            if found is None or found.closed:
                found = self._open[key] = PortForward(node, port, self._prefix)
            self._users[found] += 1
            return found

    def release(self, forward: PortForward) -> None:
        """Return a forward from `use`; the last user closes it."""
        with self._lock:
            self._users[forward] -= 1
            last = not self._users[forward]
            if last:
                del self._users[forward]
                self._open = {key: other for key, other in self._open.items() if other is not forward}
        if last:
            forward.close()
