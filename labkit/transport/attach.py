"""A process inside a container, attached through the engine's exec API: frames out, bytes in, exit code.

The only module that speaks the attach protocol; `Node.run`, the terminal, and the tunnel use it.
"""

import contextlib
import io
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
from docker.models.containers import Container

STDOUT, STDERR = 1, 2
_HEADER = struct.Struct(">BxxxL")
_POLL_SECONDS = 0.1


class Execution:
    """Starts `command` (an argument vector) in a container and attaches to it.

    With `tty` the output is one raw stream, otherwise the engine frames it: 8 bytes of stream number and
    length, then the payload (Docker Engine API, "Attach to a container", stream format).
    """

    def __init__(
        self,
        client: docker.DockerClient,
        container_id: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        tty: bool = False,
    ) -> None:
        self._api = client.api
        self.tty = tty
        created = self._api.exec_create(
            container_id, list(command), environment=dict(env or {}), stdin=stdin, tty=tty
        )
        self.id: str = created["Id"]
        raw: Any = self._api.exec_start(self.id, tty=tty, socket=True)
        # docker-py returns the raw socket, but it has read the reply's header through a buffer, which may
        # already contain the first frames. So continue with that buffer, and take it away from the reply,
        # which would flush a closed buffer when it's collected (Python 3.13 complains about that).
        reply = raw._response.raw._fp
        self._reader: Any = reply.fp
        reply.fp = None
        self._socket: socket.socket = getattr(raw, "_sock", raw)  # under TLS, a TLSSocket
        self._socket.settimeout(
            None
        )  # the client's timeout is for its calls; a process may be silent for longer

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (stream number, bytes) as they arrive, until the process ends or `close` is called."""
        while True:
            frame = self.read_frame()
            if frame is None:
                return
            yield frame

    def read_frame(self) -> tuple[int, bytes] | None:
        """Wait for the next frame; None at the end of the output.

        Raises ConnectionResetError if the connection breaks in the middle of a frame.
        """
        if self.tty:
            data = self._reader.read1(65536)
            return (STDOUT, data) if data else None
        header = self._reader.read(_HEADER.size)
        if not header:
            return None
        if len(header) == _HEADER.size:
            stream, length = _HEADER.unpack(header)
            data = self._reader.read(length)
            if len(data) == length:
                return stream, data
        raise ConnectionResetError("the connection to the process broke in the middle of its output")

    def write(self, data: bytes) -> None:
        """Send bytes to the process's standard input."""
        self._socket.sendall(data)

    def close_stdin(self) -> None:
        """Close the process's standard input; its output still arrives."""
        self._socket.shutdown(socket.SHUT_WR)

    def fileno(self) -> int:
        """For polling a process that isn't expected to print anything: output may already be in a buffer."""
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Limit each wait for the process; there is no limit at first. A late answer raises TimeoutError."""
        self._socket.settimeout(seconds)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process's terminal its size in characters."""
        self._api.exec_resize(self.id, height=rows, width=columns)

    def exit_code(self) -> int | None:
        """The process's exit code; None while it's running, which it may be after its output has ended."""
        state = self._api.exec_inspect(self.id)
        return None if state["Running"] or state["ExitCode"] is None else int(state["ExitCode"])

    def wait(self) -> int:
        """Wait for the process to end; return its exit code."""
        while (code := self.exit_code()) is None:
            threading.Event().wait(_POLL_SECONDS)
        return code

    def close(self) -> None:
        """Drop the connection. A process notices only when it reads or writes; otherwise it keeps running."""
        with contextlib.suppress(OSError):  # the other side has closed it already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._reader.close()


def put_file(container: Container, path: str, data: bytes = b"") -> None:
    """Write a file in a container, which needn't be running."""
    folder, _, name = path.rpartition("/")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    container.put_archive(folder, archive.getvalue())
