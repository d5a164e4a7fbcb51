"""The class service: `python -m labkit.workshop.classroom.service`, a service of the hub.

`settings` lists the environment variables that it reads.
"""

import asyncio
import logging
import os
import re
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from labkit.workshop.classroom import instructors, page, places, syllabus
from labkit.workshop.classroom.intake import MOST_BYTES
from labkit.workshop.classroom.room import Room
from labkit.workshop.classroom.roster import Roster
from labkit.workshop.classroom.settings import Settings
from labkit.workshop.classroom.store import Store

LOOK_SECONDS = 10.0
"""How often the rule is applied although nothing happened."""

_EXPIRE_SECONDS = 3600.0
_DAY = 86_400.0
_TOGETHER_SECONDS = 0.2  # what changes within this time is shown at once


def application(settings: Settings, room: Room) -> Application:
    """The service as a tornado application."""
    auth = HubOAuth(
        api_token=settings.token,
        api_url=settings.hub_api,
        base_url=settings.prefix,
        hub_prefix=f"{settings.hub_base}hub/",
        oauth_client_id=f"service-{settings.name}",
        oauth_redirect_uri=f"{settings.prefix}oauth_callback",
        access_scopes={f"access:services!service={settings.name}"},
    )
    routes: list[tuple[str, type[RequestHandler]]] = [*places.ROUTES, *instructors.ROUTES]
    begin = re.escape(settings.prefix)
    return Application(
        [(begin + path, handler) for path, handler in routes]
        + [(begin + path, handler, arguments) for path, handler, arguments in page.ROUTES],
        default_handler_class=page.Missing,
        room=room,
        hub_auth=auth,
        instructors=settings.instructors,
        admin_token=settings.token,
        cookie_secret=_cookie_secret(settings.data),
        log_function=_log,
    )


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises OSError for an address in use, sqlite3.Error for a damaged file."""
    store = Store(settings.data / "class.sqlite")
    room = Room(store, syllabus.parts(), Roster(settings.data), settings.keep_days)
    server = HTTPServer(application(settings, room), xheaders=True, max_body_size=MOST_BYTES)
    server.listen(settings.port, settings.address)
    work = [asyncio.create_task(_look(room)), asyncio.create_task(_expire(room))]
    try:
        await stop.wait()
    finally:
        server.stop()
        room.close()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await server.close_all_connections()
        store.close()


async def _look(room: Room) -> None:
    """Show the pages what has changed, and who has become stuck since."""
    while not room.closing:
        await room.change(LOOK_SECONDS)
        room.refresh()
        await asyncio.sleep(_TOGETHER_SECONDS)


async def _expire(room: Room) -> None:
    """Delete what has been kept for as long as the page says."""
    while True:
        room.expire(time.time() - room.keep_days * _DAY)
        await asyncio.sleep(_EXPIRE_SECONDS)


def _cookie_secret(folder: Path) -> str:
    """The secret that signs cookies; it's kept, so that a page outlives a restart of the service."""
    path = folder / "cookie-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def _log(handler: RequestHandler) -> None:
    """A line for what failed; paths have no query, because that holds the XSRF token."""
    if handler.get_status() >= 500:
        logging.getLogger("labkit.class").warning(
            "%s %s: %s", handler.request.method, handler.request.path, handler.get_status()
        )


async def main(environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(Settings.read(environment), stop)


def _run() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(main(os.environ))


if __name__ == "__main__":
    _run()
