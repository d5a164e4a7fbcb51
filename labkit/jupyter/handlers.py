"""What the JupyterLab server answers beyond JupyterLab's own addresses: how much of each chapter is done."""

import asyncio
import json
from collections.abc import Callable, Mapping

from jupyter_server.base.handlers import APIHandler
from tornado import web


class ProgressHandler(APIHandler):
    """Answers with what `read` returns, which it calls again for each request."""

    # A page that asks every few seconds doesn't keep an idle server from being stopped.
    _track_activity = False

    def initialize(self, read: Callable[[], Mapping[str, str]]) -> None:
        self._read = read

    @web.authenticated
    async def get(self) -> None:
        """Write the JSON object. Other requests are served while it's read."""
        self.finish(json.dumps(await asyncio.to_thread(self._read)))
