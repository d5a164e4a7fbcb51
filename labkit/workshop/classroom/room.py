"""The class while it runs: who is connected, who watches whom, and what the page has to be shown next."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.course.progress import Record
from labkit.workshop.classroom import rows, standing
from labkit.workshop.classroom.roster import Roster
from labkit.workshop.classroom.standing import Standing
from labkit.workshop.classroom.store import Person, Store
from labkit.workshop.classroom.syllabus import Part

GRACE_SECONDS = 20.0
"""How long a place may be between two connections before it counts as not connected."""

_MOST_CONNECTIONS = 4  # of one learner; the oldest one ends when there are more
_BEHIND = 500  # events that a page may be behind before its stream ends; it starts over with everything


@dataclass(eq=False)
class Connection:
    """An open inbox. `wake` is set when there is something to send, or when it has ended."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def end(self) -> None:
        self.ended = True
        self.wake.set()


@dataclass(eq=False)
class Subscription:
    """An open stream of events to a page; None ends it."""

    who: str
    queue: asyncio.Queue[tuple[str, Any] | None] = field(default_factory=lambda: asyncio.Queue(_BEHIND))

    def put(self, event: tuple[str, Any] | None) -> None:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)


class Room:
    """Everybody in a class. All methods are called from the service's event loop."""

    def __init__(self, store: Store, parts: Sequence[Part], roster: Roster, keep_days: float) -> None:
        self.store, self.parts, self.keep_days = store, parts, keep_days
        self._roster = roster
        self.closing = False
        self._exercises = {part.name: tuple(part.tasks) for part in parts}
        self._connections: dict[str, list[Connection]] = {}
        self._pages: set[Subscription] = set()
        self._watchers: dict[str, list[Subscription]] = {}
        self._views: dict[str, Mapping[str, Any]] = {}
        self._standings: dict[str, Standing] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self._left: dict[str, float] = {}
        self._changed = asyncio.Event()

    # -- places ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def connected(self, name: str, instructor: bool) -> Iterator[Connection]:
        """An inbox that is open as long as the block runs."""
        connection = Connection()
        mine = self._connections.setdefault(name, [])
        mine.append(connection)
        for surplus in mine[:-_MOST_CONNECTIONS]:
            surplus.end()
        self.store.meet(name, instructor)
        self.changed()
        try:
            yield connection
        finally:
            mine.remove(connection)
            if not mine:
                self._connections.pop(name, None)
                self._left[name] = time.time()
                self.store.meet(name, instructor)
            self.changed()

    def add_records(self, name: str, instructor: bool, journal: str, records: Mapping[int, Record]) -> int:
        """Store a learner's records; return the highest id that is held. Raises store.Full."""
        self.store.meet(name, instructor)
        last, new = self.store.add_records(name, journal, records)
        if new:
            self._standings.pop(name, None)
        self.changed()
        return last

    def finish(self, name: str, number: int, ok: bool, text: str) -> bool:
        """Keep the outcome of a `begin` or `reset`, and show it; return whether there was such a one."""
        found = self.store.mail.finish(name, number, ok, text)
        if found:
            self._tell("outcome", {"name": name, "id": number, "ok": ok, "text": text})
            self.changed()
        return found

    def wake(self, *names: str) -> None:
        """Let these inboxes, or all of them, look for something new."""
        for name in names or tuple(self._connections):
            for connection in self._connections.get(name, ()):
                connection.wake.set()

    # -- watching -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watching(self, name: str, who: str) -> Iterator[Subscription]:
        """Watch a learner as long as the block runs; the learner is shown who does."""
        subscription = Subscription(who)
        self._watchers.setdefault(name, []).append(subscription)
        if name in self._views:
            subscription.put(("view", self._views[name]))
        self.wake(name)
        try:
            yield subscription
        finally:
            self._watchers[name].remove(subscription)
            if not self._watchers[name]:
                self._watchers.pop(name)
                self._views.pop(name, None)
            self.wake(name)

    def watchers(self, name: str) -> str:
        """Who watches a learner, as text; empty when nobody does."""
        return ", ".join(sorted({watcher.who for watcher in self._watchers.get(name, ())}))

    def show(self, name: str, view: Mapping[str, Any]) -> bool:
        """Show a learner's view to those who watch; return whether anybody does. Only then is it kept."""
        if name not in self._watchers:
            return False
        self._views[name] = view
        for watcher in self._watchers[name]:
            watcher.put(("view", view))
        return True

    # -- instructors ----------------------------------------------------------------------------------

    def learners(self) -> list[Person]:
        """Everybody who isn't an instructor, and who has been here or is expected."""
        expected = self._roster.names()
        here = {person.name: person for person in self.store.people()}
        found = [here.get(name) or Person(name, False, 0, 0) for name in sorted({*here, *expected})]
        return [
            replace(person, label=expected.get(person.name, "")) for person in found if not person.instructor
        ]

    def send(self, event: str, data: Mapping[str, Any], to: Sequence[str] | None) -> dict[str, int]:
        """Send something to learners, or to all; return the ids by name. Unknown names are left out."""
        known = [person.name for person in self.learners()]
        names = known if to is None else [name for name in dict.fromkeys(to) if name in known]
        ids = dict(zip(names, self.store.mail.send(names, event, data), strict=True))
        if names:
            self.wake(*names)
            self.changed()
        return ids

    def publish(self, commands: Sequence[Mapping[str, Any]]) -> int:
        """Send an instructor's commands to all places; return the last id."""
        number = self.store.mail.publish(commands)
        self.wake()
        return number

    def forget(self, name: str) -> bool:
        """Delete everything about a learner; return whether there was anything."""
        found = self.store.forget(name)
        self._standings.pop(name, None)
        self._left.pop(name, None)
        self.changed()
        return found

    def forget_all(self) -> None:
        """Delete everything about everybody."""
        self.store.forget_all()
        self._standings.clear()
        self._left.clear()
        self.changed()

    def expire(self, before: float) -> None:
        """Delete whoever was last in touch before a moment, unless they're connected now."""
        for name in self._connections:
            self.store.touch(name)
        for name in self.store.expire(before):
            self._standings.pop(name, None)
        self.changed()

    # -- the page -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def page(self, who: str) -> Iterator[Subscription]:
        """A page that is open as long as the block runs: it gets every row that changes."""
        subscription = Subscription(who)
        self._pages.add(subscription)
        try:
            yield subscription
        finally:
            self._pages.discard(subscription)

    def rows(self) -> list[dict[str, Any]]:
        """Every learner's row, whoever is stuck first."""
        now = time.time()
        people = self.learners()
        found = {person.name: self.standing(person.name) for person in people}
        made = [rows.row(person, found, self._is_here(person, now), now) for person in people]
        return sorted(made, key=rows.order)

    def standing(self, name: str) -> Standing:
        """Where a learner stands."""
        if name not in self._standings:
            self._standings[name] = standing.fold(self.store.records(name), self._exercises)
        return self._standings[name]

    def changed(self) -> None:
        """Something may look different now: `refresh` is due."""
        self._changed.set()

    async def change(self, seconds: float) -> None:
        """Wait until something changes, at most so long: time alone makes learners stuck."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    def refresh(self) -> None:
        """Send all pages the rows that look different than before."""
        now = {row["name"]: row for row in self.rows()}
        for name in self._shown.keys() - now.keys():
            self._tell("gone", {"name": name})
        different = [row for name, row in now.items() if self._shown.get(name) != row]
        if different:
            self._tell("learners", {"now": time.time(), "learners": different})
        self._shown = now

    def close(self) -> None:
        """End all streams, so that the service can stop."""
        self.closing = True
        for connections in self._connections.values():
            for connection in connections:
                connection.end()
        for subscription in [*self._pages, *(found for all_ in self._watchers.values() for found in all_)]:
            subscription.put(None)

    def _tell(self, event: str, data: Mapping[str, Any]) -> None:
        for subscription in self._pages:
            subscription.put((event, data))

    def _is_here(self, person: Person, now: float) -> bool:
        return person.name in self._connections or now - self._left.get(person.name, 0) < GRACE_SECONDS

    def is_connected(self, name: str) -> bool:
        """Whether a learner's inbox is open."""
        return name in self._connections
