"""Kernels in a place end when a learner hasn't used them for long, so that their memory is there for others.

Jupyter would take every word from a kernel for activity, and a live board says something whenever the swarm
changes. Here only what the learner does counts: running a cell, or clicking in a widget.
"""

import os
from datetime import UTC, datetime
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

CULL_MINUTES = "LABKIT_CULL_MINUTES"
"""The variable that says after how many minutes an unused kernel ends; 0 means never."""
_MINUTES = 60.0

_ACTS = ("execute_request", "comm_msg")


def idle_seconds() -> int:
    """After how many seconds an unused kernel ends; 0 for never."""
    try:
        return int(float(os.environ.get(CULL_MINUTES) or _MINUTES) * 60)
    except ValueError:
        return int(_MINUTES * 60)


def settings() -> dict[str, Any]:
    """Settings of Jupyter's server that end unused kernels, also those whose notebook is still open."""
    seconds = idle_seconds()
    return {
        "ServerApp.kernel_manager_class": f"{__name__}.{PlaceKernels.__name__}",
        "MappingKernelManager.cull_idle_timeout": seconds,
        "MappingKernelManager.cull_interval": max(1, min(60, seconds // 4)),
        "MappingKernelManager.cull_connected": True,
    }


class PlaceKernels(AsyncMappingKernelManager):
    """Jupyter's kernels, with a clock that only the learner's own acts set back."""

    def start_watching_activity(self, kernel_id: str) -> None:
        """Follow a kernel, as Jupyter does, and note when the learner last made it do something."""
        super().start_watching_activity(kernel_id)  # type: ignore[no-untyped-call]
        kernel = self._kernels[kernel_id]
        session = Session(config=kernel.session.config, key=kernel.session.key)
        kernel.labkit_used = datetime.now(UTC)
        stream = kernel.labkit_stream = kernel.connect_iopub()

        def listen(parts: list[bytes]) -> None:
            _, rest = session.feed_identities(parts)
            message = session.deserialize(rest, content=False)
            if acts(message["msg_type"], message["parent_header"].get("msg_type", "")):
                kernel.labkit_used = datetime.now(UTC)

        stream.on_recv(listen)

    def stop_watching_activity(self, kernel_id: str) -> None:
        """Follow it no longer."""
        super().stop_watching_activity(kernel_id)  # type: ignore[no-untyped-call]
        stream = getattr(self._kernels[kernel_id], "labkit_stream", None)
        if stream and not stream.closed():
            stream.close()

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel if the learner hasn't used it for long."""
        kernel = self._kernels.get(kernel_id)
        if kernel is not None and hasattr(kernel, "labkit_used"):
            kernel.last_activity = kernel.labkit_used
        await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]


def acts(message: str, parent: str) -> bool:
    """Whether a message from a kernel shows that somebody made it do something."""
    return message == "status" and parent in _ACTS
