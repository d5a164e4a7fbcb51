"""Who may log in: everyone with a code of their own, or, in an open workshop, anyone with the shared one."""

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from tornado.web import HTTPError
from traitlets import Int, Unicode

from labkit.workshop import codes, roster
from labkit.workshop.hub import settings


class CodeAuthenticator(Authenticator):
    """A code for each learner, printed on a card; only hashes are stored."""

    codes_file = Unicode(help="The file with the codes' hashes by login.").tag(config=True)

    async def authenticate(self, _: Any, data: dict[str, str]) -> str | None:
        """The login of whoever gives their name and their code, otherwise None."""
        login = roster.login_of(data.get("username", ""))
        stored = settings.read_codes(Path(self.codes_file)).get(login)
        right = await asyncio.to_thread(codes.matches, data.get("password", ""), stored or codes.nobody())
        return login if right and stored else None


class OpenAuthenticator(SharedPasswordAuthenticator):
    """One code for all, who choose a name themselves. Anyone can be anyone."""

    seats = Int(help="How many names there can be, besides the instructors'.").tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Any:
        """What JupyterHub's own class says, unless the name is new and no seat is left."""
        login = roster.login_of(data.get("username", ""))
        given = {**data, "username": login, "password": codes.as_typed(data.get("password", ""))}
        found = await super().authenticate(handler, given) if login else None  # type: ignore[no-untyped-call]
        if found and not found.get("admin") and handler.find_user(login) is None:
            taken = len(handler.users) - len(self.admin_users)
            if taken >= self.seats:
                raise HTTPError(
                    403, f"This workshop is full: all {self.seats} places are taken. Ask your instructor."
                )
        return found
