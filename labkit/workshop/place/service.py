"""The class service as a place sees it: an HTTP client that sends, and that keeps a stream of events open."""

import json
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx

_ANSWER_SECONDS = 20.0
_SILENCE_SECONDS = 60.0  # after which a connection counts as dead: the service says something more often
_REFUSALS = (400, 404, 413, 422)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 5.0


class Away(Exception):
    """The service didn't answer, or not as it should. Try again later."""


class Refused(Away):
    """The service says that what it was sent is wrong, or too much at once. The same again won't help."""


@dataclass(frozen=True)
class Event:
    """A server-sent event. `id` is None if it has no number, or none that is a number."""

    id: int | None
    event: str
    data: dict[str, Any]


class Service:
    """The API for places below `url`, which a token opens."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/api/",
            headers={"Authorization": f"token {token}"},
            timeout=_ANSWER_SECONDS,
            trust_env=False,  # a proxy for the internet doesn't know this network
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, path: str, body: object) -> Any:
        """Send something; return what the service answers, None for an empty answer. Raises Away, Refused."""
        try:
            answer = await self._client.post(path, json=body)
            if answer.status_code in _REFUSALS:
                raise Refused(f"{path}: {answer.status_code} {answer.text[:200]}")
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (httpx.HTTPError, ValueError) as error:
            raise Away(f"{path}: {error!r}") from None

    async def events(self, last: int) -> AsyncGenerator[Event, None]:
        """What comes behind the event `last`, until the service ends it. Raises Away."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last else {})}
        timeout = httpx.Timeout(_ANSWER_SECONDS, read=_SILENCE_SECONDS)
        try:
            async with self._client.stream("GET", "inbox", headers=headers, timeout=timeout) as answer:
                answer.raise_for_status()
                parser = Parser()
                async for line in answer.aiter_lines():
                    if event := parser.feed(line):
                        yield event
        except httpx.HTTPError as error:
            raise Away(f"inbox: {error!r}") from None


class Parser:
    """Makes events of the lines of a stream. What isn't a JSON object is passed over."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}

    def feed(self, line: str) -> Event | None:
        """Take a line; return the event that it completes."""
        if line:
            if not line.startswith(":"):
                name, _, value = line.partition(":")
                self._fields.setdefault(name, []).append(value.removeprefix(" "))
            return None
        fields, self._fields = self._fields, {}
        try:
            data = json.loads("\n".join(fields["data"]))
        except (KeyError, ValueError):
            return None
        if not isinstance(data, dict):
            return None
        number = fields.get("id", [""])[-1]
        return Event(int(number) if number.isdecimal() else None, fields.get("event", ["message"])[-1], data)


class Backoff:
    """How long to wait before the next attempt: longer each time, and never all places at once."""

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def next(self) -> float:
        """Seconds to wait now."""
        seconds, self._seconds = self._seconds, min(2 * self._seconds, _LONGEST_SECONDS)
        return seconds * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked."""
        self._seconds = _FIRST_SECONDS
