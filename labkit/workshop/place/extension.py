"""The extension of Jupyter's server that runs the courier, and through which browsers hear of it."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from labkit.course import command_log, progress
from labkit.jupyter import launcher
from labkit.topology import topology
from labkit.workshop.place.audience import Audience
from labkit.workshop.place.courier import Courier
from labkit.workshop.place.ledger import Ledger
from labkit.workshop.place.service import Service

PAGE_CONFIG_KEY = "swarmLabWorkshop"
"""Where extension/workshop finds in the page's configuration that there is a workshop."""
PREFIX = "labkit/class"
MODULE = __name__

_KEEP_ALIVE_SECONDS = 15.0


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": MODULE}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Called by Jupyter's server once its other parts are there."""
    launcher.install(app.web_app, Path(app.root_dir), [node.name for node in topology.load().nodes])
    url, token = os.environ.get(command_log.CLASS_URL), os.environ.get("JUPYTERHUB_API_TOKEN")
    if not (url and token):
        app.log.info("There is no class service here: %s isn't set.", command_log.CLASS_URL)
        return
    ledger = Ledger(progress.file().with_name("class.sqlite"))
    audience = Audience(ledger)
    service = Service(url, token)
    is_instructor = os.environ.get(command_log.CLASS_ROLE) == command_log.INSTRUCTOR
    courier = Courier(service, ledger, audience, app.log, instructor=is_instructor)
    app.web_app.settings.setdefault("page_config_data", {})[PAGE_CONFIG_KEY] = {"instructor": is_instructor}
    parts = {"audience": audience, "ledger": ledger}
    app.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(app.base_url, PREFIX, "events"), EventsHandler, parts),
            (url_path_join(app.base_url, PREFIX, "seen"), SeenHandler, parts),
        ],
    )
    running: list[asyncio.Task[None]] = []
    app.io_loop.add_callback(lambda: running.append(asyncio.ensure_future(courier.run())))


class _Handler(APIHandler):
    auth_resource = "contents"  # who may read the notebooks may read this
    _track_activity = False  # an open tab isn't work

    def initialize(self, audience: Audience, ledger: Ledger) -> None:
        self.audience, self.ledger = audience, ledger


class EventsHandler(_Handler):
    """Server-sent events: `state` at first, then `item` and `watch` as they happen."""

    @authenticated
    @authorized
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        queue = self.audience.join()  # before the state is read: nothing is lost in between
        try:
            await self._send("state", await asyncio.to_thread(self.audience.state))
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    self.write(": still here\n\n")
                    await self.flush()
                    continue
                if event is None:
                    return
                await self._send(*event)
        except StreamClosedError:
            pass  # the tab was closed
        finally:
            self.audience.leave(queue)

    async def _send(self, event: str, data: Any) -> None:
        self.write(f"event: {event}\ndata: {json.dumps(data)}\n\n")
        await self.flush()


class SeenHandler(_Handler):
    """Takes the numbers of what the learner has seen: `{"ids": [1, 2]}`."""

    @authenticated
    @authorized
    async def post(self) -> None:
        body = self.get_json_body()
        numbers = body.get("ids") if isinstance(body, dict) else None
        if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
            raise HTTPError(400, "ids has to be a list of numbers")
        await asyncio.to_thread(self.ledger.mark_seen, numbers)
        for number in numbers:
            try:
                self.audience.tell_item(number)
            except LookupError:
                continue  # too old to be kept
        self.set_status(204)
        self.finish()
