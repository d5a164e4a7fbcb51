"""What learners' places send and receive. A place acts under the name of its token's user, and no other."""

import asyncio
from typing import Any

from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from labkit.workshop.classroom import intake
from labkit.workshop.classroom.handlers import KEEP_ALIVE_SECONDS, Handler, Stream, refusal, until_closed
from labkit.workshop.classroom.room import Connection
from labkit.workshop.classroom.store import Full


class Place(Handler):
    """A request of a place. Only a token in the header counts here, and never a browser's cookie."""

    name: str
    instructor: bool

    async def prepare(self) -> None:
        auth: HubOAuth = self.settings["hub_auth"]
        token = auth.get_token(self, in_cookie=False)
        if not token:
            raise refusal(401, "a token is missing")
        try:
            model: dict[str, Any] | None = await auth.user_for_token(token, sync=False)
        except HTTPError:
            raise HTTPError(503, reason="The hub doesn't answer") from None
        if not model or model.get("kind", "user") != "user" or not model.get("name"):
            raise refusal(403, "the hub knows no user with this token")
        self.name = str(model["name"])
        self.instructor = self.settings["instructors"] in model.get("groups", ())


class Records(Place):
    """`POST api/records`: what a learner did."""

    def post(self) -> None:
        journal, records = self.sent(intake.records)
        try:
            last = self.room.add_records(self.name, self.instructor, journal, records)
        except Full:
            raise refusal(413, "there are too many records of this learner") from None
        self.answer({"last": last})


class Done(Place):
    """`POST api/done`: the outcome of a `begin` or `reset`."""

    def post(self) -> None:
        number, ok, text = self.sent(intake.done)
        if not self.room.finish(self.name, number, ok, text):
            raise refusal(404, "nothing with this id was sent to this learner")
        self.answer({"ok": True})


class View(Place):
    """`POST api/view`: the board and the last commands, while somebody watches."""

    def post(self) -> None:
        self.answer({"watched": self.room.show(self.name, self.sent(intake.view))})


class Commands(Place):
    """`POST api/commands`: what an instructor ran in a lab of their own."""

    def post(self) -> None:
        if not self.instructor:
            raise refusal(403, "only instructors can show their commands to the class")
        self.answer({"last": self.room.publish(self.sent(intake.commands))})


class Inbox(Place, Stream):
    """`GET api/inbox`: what is sent to a learner, as server-sent events."""

    _connection: Connection | None = None

    async def get(self) -> None:
        after = self.request.headers.get("Last-Event-ID", "0")
        last = int(after) if after.isdecimal() and len(after) < 18 else 0
        self.begin()
        with until_closed(), self.room.connected(self.name, self.instructor) as self._connection:
            await self._follow(self._connection, last)

    def on_connection_close(self) -> None:
        if self._connection is not None:
            self._connection.end()

    async def _follow(self, connection: Connection, last: int) -> None:
        shown = ""
        await self.keep_alive()  # so that the place sees at once that it is connected
        while not (connection.ended or self.over):
            connection.wake.clear()
            watchers = self.room.watchers(self.name)
            if watchers != shown:
                await self.event("watch" if watchers else "unwatch", {"who": watchers} if watchers else {})
                shown = watchers
            for item in self.room.store.mail.waiting(self.name, last):
                await self.event(item.event, item.data, item.id)
                self.room.store.mail.delivered(self.name, item.id)
                last = item.id
                connection.wake.set()  # there may be more than one page of them
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await connection.wake.wait()
            except TimeoutError:
                await self.keep_alive()


ROUTES = [
    ("api/records", Records),
    ("api/done", Done),
    ("api/view", View),
    ("api/commands", Commands),
    ("api/inbox", Inbox),
]
