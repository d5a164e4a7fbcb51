"""What all of the service's handlers have in common: safe headers, errors as JSON, and streams of events."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from labkit.workshop.classroom import intake
from labkit.workshop.classroom.intake import Refused
from labkit.workshop.classroom.room import Room

KEEP_ALIVE_SECONDS = 15.0
STREAM_SECONDS = 3600.0
"""After so long a stream ends, and whoever reads it shows again who they are."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class Handler(RequestHandler):
    """A request to the service."""

    @property
    def room(self) -> Room:
        found: Room = self.settings["room"]
        return found

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def answer(self, data: Any, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        known = error.log_message if isinstance(error, HTTPError) and status_code < 500 else None
        self.answer({"error": known or self._reason}, status_code)

    def sent(self, valid: Callable[[Any], Any]) -> Any:
        """The request's body, as a function of `intake` reads it. Raises HTTPError where that refuses it."""
        try:
            return valid(intake.parse(self.request.body))
        except Refused as problem:
            raise refusal(400, str(problem)) from None


class Stream(Handler):
    """A request that is answered by server-sent events."""

    def begin(self) -> None:
        """Send the headers; proxies must not keep events back."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")
        self._until = time.monotonic() + STREAM_SECONDS

    async def event(self, name: str, data: Any, number: int | None = None) -> None:
        """Send an event. Raises StreamClosedError when nobody listens any more."""
        head = "" if number is None else f"id: {number}\n"
        self.write(f"{head}event: {name}\ndata: {json.dumps(data)}\n\n")
        await self.flush()

    async def keep_alive(self) -> None:
        """Send a comment, so that nobody takes a quiet stream for a dead one. Raises StreamClosedError."""
        self.write(": still here\n\n")
        await self.flush()

    @property
    def over(self) -> bool:
        """Whether the stream has been open for as long as it may."""
        return self.room.closing or time.monotonic() > self._until


async def each(
    queue: "asyncio.Queue[tuple[str, Any] | None]", stream: Stream
) -> AsyncIterator[tuple[str, Any]]:
    """The events of a queue until it ends or the stream is over; between them the stream is kept alive."""
    while not stream.over:
        found: tuple[str, Any] | None = None
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                found = await queue.get()
        except TimeoutError:
            await stream.keep_alive()
            continue
        if found is None:
            return
        yield found


@contextlib.contextmanager
def until_closed() -> Any:
    """The block ends quietly when whoever reads the stream has gone."""
    with contextlib.suppress(StreamClosedError):
        yield


def refusal(status: int, text: str) -> HTTPError:
    """An error whose text is shown to whoever asked."""
    return HTTPError(status, text.replace("%", "%%"))
