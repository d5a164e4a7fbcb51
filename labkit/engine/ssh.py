"""Engines on other hosts: a connection is `ssh HOST docker system dial-stdio`, as with Docker's own client.

docker-py needs Paramiko for ssh://, which doesn't read the user's ~/.ssh/config, and gives up without it.
"""

import socket
import subprocess
import tempfile
import threading
from typing import Any
from urllib.parse import urlsplit

import requests

from labkit.transport.dialed import Adapter, Pool

SCHEME = "ssh://"
BASE_URL = "http://ssh:80"  # docker-py wants an address; nothing ever resolves this one
_END_SECONDS = 2.0


def command(url: str) -> list[str]:
    """The command whose standard streams are the engine's HTTP connection. Raises ValueError for a bad URL.

    As in docker/cli v28.5.2, cli/connhelper: a path in the URL is the engine's socket on that host.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"no host in {url}")
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    place = ["--host", f"unix://{parts.path}"] if parts.path.strip("/") else []
    return ["ssh", "-T", *user, *port, "--", parts.hostname, "docker", *place, "system", "dial-stdio"]


class SshAdapter(Adapter):
    """Sends docker-py's requests to the engine at an ssh:// URL; errors contain ssh's own message."""

    def __init__(self, url: str) -> None:
        self._command = command(url)
        self._process: subprocess.Popen[bytes] | None = None
        # Not a pipe, because a shared SSH connection may keep it open.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        super().__init__(Pool(self._dial))

    def _dial(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            # In its own session, because after Ctrl-C labkit may clean up over this connection.
            self._process = process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said,
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # it exits when our end is closed
        return ours

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request. Raises requests.ConnectionError with what ssh said when there's no answer."""
        try:
            return super().send(*arguments, **options)
        except requests.ConnectionError as error:
            failed = error
        said = self._complaint()  # `failed` only knows that the connection ended
        raise requests.ConnectionError(OSError(said)) if said else failed

    def _complaint(self) -> str:
        """The last line that ssh printed before it exited; empty if it's still running or printed nothing."""
        try:
            if self._process:
                self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((f"ssh: {line.strip()}" for line in reversed(lines) if line.strip()), "")
