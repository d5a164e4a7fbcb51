"""Talks to QEMU's monitor (QMP, https://www.qemu.org/docs/master/interop/qmp-spec.html)."""

import json
from typing import Any, Protocol

from labkit.util.errors import LabError

LINE_SECONDS = 300.0  # how long QEMU may take to answer: it's silent while it saves the VM


class Line(Protocol):
    """A connection to one of the VM's sockets. A wait of more than LINE_SECONDS raises TimeoutError."""

    def sendall(self, data: bytes) -> None: ...

    def readline(self) -> bytes: ...

    def close(self) -> None: ...


class Monitor:
    """One conversation over an open line; use it in a `with` statement."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._receive()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer. Raises LabError if QEMU refuses, OSError if it has exited."""
        self._line.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "return" not in (reply := self._receive()):
            if "error" in reply:
                raise LabError(
                    f"the virtual machine refused `{command}`", evidence=[str(reply["error"].get("desc"))]
                )
        return reply["return"]

    def save(self, snapshot: str) -> None:
        """Save the running VM, which pauses during that time, as `snapshot` on its disk."""
        # The human command, because QMP's snapshot-save is a job that must be told every disk.
        said = self.execute("human-monitor-command", **{"command-line": f"savevm {snapshot}"})
        if said.strip():
            raise LabError("the virtual machine could not be saved", evidence=said.splitlines())

    def _receive(self) -> dict[str, Any]:
        data = self._line.readline()
        try:
            reply: dict[str, Any] = json.loads(data)
        except ValueError as error:  # nothing, or half a line, from a VM that is stopping
            raise ConnectionResetError("QEMU has closed its monitor") from error
        return reply
