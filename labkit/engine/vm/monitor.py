"""Talks to QEMU's monitor (QMP, https://www.qemu.org/docs/master/interop/qmp-spec.html)."""

import json
from typing import Any, Protocol

from labkit.errors import LabError


class Line(Protocol):
    """A connection to one of the machine's sockets."""

    def sendall(self, data: bytes) -> None: ...

    def readline(self) -> bytes: ...

    def close(self) -> None: ...


class Monitor:
    """One conversation over an open line; use it in a `with`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._receive()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer. Raises LabError when QEMU refuses, OSError when it is gone."""
        self._line.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "return" not in (reply := self._receive()):
            if "error" in reply:
                raise LabError(
                    f"the virtual machine refused `{command}`", evidence=[str(reply["error"].get("desc"))]
                )
        return reply["return"]

    def save(self, snapshot: str) -> None:
        """Save the running machine, which stands still meanwhile, as `snapshot` on its disk."""
        # The command for people, because snapshot-save of QMP is a job that wants every disk named.
        said = self.execute("human-monitor-command", **{"command-line": f"savevm {snapshot}"})
        if said.strip():
            raise LabError("the virtual machine could not be saved", evidence=said.splitlines())

    def _receive(self) -> dict[str, Any]:
        data = self._line.readline()
        try:
            reply: dict[str, Any] = json.loads(data)
        except ValueError as error:  # nothing, or half a line, from a machine that ends
            raise ConnectionResetError("QEMU has closed its monitor") from error
        return reply
