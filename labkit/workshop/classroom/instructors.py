"""What instructors see and do: the page's API, and the same for `control`, which has the service's token."""

import secrets
import time
from dataclasses import asdict
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado.web import HTTPError, RequestHandler

from labkit.course import chapters
from labkit.util.errors import LabError
from labkit.workshop.classroom import export, intake, stuck
from labkit.workshop.classroom.handlers import Handler, Stream, each, refusal, until_closed
from labkit.workshop.classroom.room import Subscription

TERMINAL = "Instructor"
"""From whom messages are that were sent from the host's command line."""


class Instructor(HubOAuthenticated, Handler):
    """A request of an instructor: a user who may open this service and is in the instructors' group.

    A browser shows its cookie and, with everything that isn't a visit to a page, the XSRF token.
    """

    who: str = ""

    def initialize(self) -> None:
        self.hub_auth: HubOAuth = self.settings["hub_auth"]

    async def prepare(self) -> None:
        token = self.hub_auth.get_token(self, in_cookie=False)
        if token and secrets.compare_digest(token.encode(), self.settings["admin_token"].encode()):
            self.who, self._token_authenticated = TERMINAL, True
            return
        try:
            model: dict[str, Any] | None = await self.hub_auth.get_user(self, sync=False)
        except HTTPError:
            raise HTTPError(503, reason="The hub doesn't answer") from None
        if model is None:
            self.unknown()
            return
        allowed = self.hub_auth.check_scopes(self.hub_auth.access_scopes, model)
        if not allowed or self.settings["instructors"] not in model.get("groups", ()):
            raise refusal(403, "this page is for instructors")
        self.who = str(model["name"])

    def unknown(self) -> None:
        """Nobody is logged in. Raises HTTPError here; the page sends the browser to the hub."""
        raise refusal(403, "log in again: open the class page")

    def hub_login(self) -> str:
        """Where the hub lets a browser log in; the answer sets a cookie for the way back."""
        found: str = self.get_login_url()  # type: ignore[no-untyped-call]
        return found

    def get_current_user(self) -> dict[str, Any] | None:
        return {"name": self.who} if self.who else None

    def known(self, name: str) -> str:
        """A learner's name, when there is such a learner. Raises HTTPError."""
        if name not in {person.name for person in self.room.learners()}:
            raise refusal(404, f"there is no learner '{name}'")
        return name


class Callback(HubOAuthCallbackHandler, Handler):
    """Where the hub sends a browser after the login."""

    def initialize(self) -> None:
        self.hub_auth: HubOAuth = self.settings["hub_auth"]


class Class(Instructor):
    """`GET api/class`: everything that the page shows of the class."""

    def get(self) -> None:
        self.answer(everything(self))


class Learner(Instructor):
    """`GET api/learners/NAME`: what was sent to them; `DELETE`: delete everything about them."""

    def get(self, name: str) -> None:
        sent = [asdict(item) for item in self.room.store.mail.sent(self.known(name))]
        self.answer({"name": name, "now": time.time(), "sent": sent})

    def delete(self, name: str) -> None:
        self.room.forget(self.known(name))
        self.answer({"deleted": [name]})


class Learners(Instructor):
    """`DELETE api/learners`: delete everything about everybody."""

    def delete(self) -> None:
        names = [person.name for person in self.room.store.people()]
        self.room.forget_all()
        self.answer({"deleted": names})


class Messages(Instructor):
    """`POST api/messages`: a message to some learners or to all."""

    def post(self) -> None:
        to, text = self.sent(intake.message)
        self.deliver("message", {"text": text, "from": self.who}, to)

    def deliver(self, event: str, data: dict[str, Any], to: list[str] | None) -> None:
        """Send it, and answer to whom. Raises HTTPError for a name that nobody has."""
        for name in to or ():
            self.known(name)
        ids = self.room.send(event, data, to)
        here = [name for name in ids if self.room.is_connected(name)]
        self.answer({"sent": ids, "connected": here})


class Begin(Messages):
    """`POST api/begin`: bring labs into a chapter's starting state."""

    def post(self) -> None:
        wanted, to = self.sent(lambda body: (intake.chapter(body), intake.recipients(body)))
        try:
            name, _ = chapters.find(wanted)
        except LabError as error:
            raise refusal(400, f"{error.what}; {error.next_step}") from None
        self.deliver("begin", {"chapter": name}, to)


class Reset(Messages):
    """`POST api/reset`: turn the nodes of a learner's lab into bare engines. Never of all labs at once."""

    def post(self) -> None:
        to = self.sent(intake.recipients)
        if not to:
            raise refusal(400, "name the learners whose labs are to be reset")
        self.deliver("reset", {}, to)


class Export(Instructor):
    """`GET api/export/csv` and `GET api/export/json`: what everybody did, as a file."""

    def get(self, kind: str) -> None:
        day = time.strftime("%Y-%m-%d")
        self.set_header("Content-Disposition", f'attachment; filename="class-{day}.{kind}"')
        text = export.as_csv(self.room) if kind == "csv" else export.as_json(self.room)
        self.set_header("Content-Type", "text/csv; charset=utf-8" if kind == "csv" else "application/json")
        self.finish(text)


class Pages(Instructor, Stream):
    """`GET api/stream`: the class, and then every change of it, as server-sent events."""

    _subscription: Subscription | None = None

    async def get(self) -> None:
        self.begin()
        with until_closed(), self.room.page(self.who) as self._subscription:
            await self.event("class", everything(self))
            async for name, data in each(self._subscription.queue, self):
                await self.event(name, data)

    def on_connection_close(self) -> None:
        if self._subscription is not None:
            self._subscription.put(None)


class Watch(Instructor, Stream):
    """`GET api/learners/NAME/view`: a learner's view, for as long as the stream is open."""

    _subscription: Subscription | None = None

    async def get(self, name: str) -> None:
        self.known(name)
        self.begin()
        with until_closed(), self.room.watching(name, self.who) as self._subscription:
            await self.keep_alive()
            async for event, data in each(self._subscription.queue, self):
                await self.event(event, data)

    def on_connection_close(self) -> None:
        if self._subscription is not None:
            self._subscription.put(None)


def everything(handler: Instructor) -> dict[str, Any]:
    """What the page shows of the class."""
    room = handler.room
    return {
        "now": time.time(),
        "user": handler.who,
        "keep_days": room.keep_days,
        "rule": list(stuck.RULE),
        "order": stuck.ORDER,
        "course": [part.as_data() for part in room.parts],
        "learners": room.rows(),
    }


ROUTES: list[tuple[str, type[RequestHandler]]] = [
    ("oauth_callback", Callback),
    ("api/class", Class),
    ("api/stream", Pages),
    ("api/messages", Messages),
    ("api/begin", Begin),
    ("api/reset", Reset),
    ("api/learners", Learners),
    ("api/learners/([^/]+)", Learner),
    ("api/learners/([^/]+)/view", Watch),
    ("api/export/(csv|json)", Export),
]
