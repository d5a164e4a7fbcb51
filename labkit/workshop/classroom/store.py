"""What the class service keeps: one SQLite file with learners, their records, and what was sent to them.

A learner's record is stored once, however often it arrives. Everything that is sent to learners gets its id
from one sequence that never goes back, so a place that reconnects can say which id it saw last.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from labkit.course.progress import Kind, Record

MOST_RECORDS = 10_000
"""Of one learner: far more than the course needs, and too few to fill the disk."""
MOST_COMMANDS = 500
"""Of all instructors; older ones are removed."""
ACTION_SECONDS = 3600.0
"""How long `begin` and `reset` wait for a place that is away: nobody wants them the next day."""

_ACTIONS = ("begin", "reset")
_EVERYBODY = ""  # in `inbox`, what is sent to all places
_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS learners (
    name TEXT PRIMARY KEY, instructor INTEGER NOT NULL, since REAL NOT NULL, seen REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    learner TEXT NOT NULL, journal TEXT NOT NULL, id INTEGER NOT NULL,  -- of the row in the progress file
    moment REAL NOT NULL, lab TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    ok INTEGER NOT NULL, detail TEXT NOT NULL, received REAL NOT NULL,
    PRIMARY KEY (learner, journal, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY, learner TEXT NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,
    sent REAL NOT NULL, delivered REAL, ended REAL, ok INTEGER, text TEXT
);
CREATE INDEX IF NOT EXISTS inbox_of ON inbox (learner, id);
CREATE TABLE IF NOT EXISTS forgotten (journal TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class Full(Exception):
    """A learner has sent more than is kept for one of them."""


@dataclass(frozen=True)
class Item:
    """Something sent to a learner. `ok` and `text` are the outcome of a `begin` or `reset` that has ended."""

    id: int
    event: str
    data: dict[str, Any]
    sent: float
    delivered: float | None = None
    ended: float | None = None
    ok: bool | None = None
    text: str = ""


@dataclass(frozen=True)
class Person:
    """Someone whose place has been in touch. `since` and `seen` in seconds of the epoch; 0 means never.

    `label` is what people call them, where that's known.
    """

    name: str
    instructor: bool
    since: float
    seen: float
    label: str = ""


class Store:
    """The file. Every change is on disk when the method that makes it returns. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(
            "PRAGMA synchronous = FULL"
        )  # a place forgets nothing that isn't on disk here
        self._connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten too
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    # -- people ---------------------------------------------------------------------------------------

    def meet(self, name: str, instructor: bool) -> None:
        """Note that someone's place has been in touch now."""
        now = time.time()
        with self._connection as connection:
            connection.execute(
                "INSERT INTO learners VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
                "SET seen = excluded.seen, instructor = excluded.instructor",
                (name, instructor, now, now),
            )

    def touch(self, name: str) -> None:
        """Note that someone's place is in touch still."""
        with self._connection as connection:
            connection.execute("UPDATE learners SET seen = ? WHERE name = ?", (time.time(), name))

    def people(self) -> list[Person]:
        """Everybody whose place has been in touch, instructors too, by name."""
        rows = self._connection.execute("SELECT name, instructor, since, seen FROM learners ORDER BY name")
        return [Person(name, bool(instructor), since, seen) for name, instructor, since, seen in rows]

    # -- records --------------------------------------------------------------------------------------

    def add_records(self, learner: str, journal: str, records: Mapping[int, Record]) -> tuple[int, int]:
        """Store records by their ids in the journal; return the highest id held, and how many were new.

        Raises Full when a learner would have more than MOST_RECORDS; then none is added.
        """
        now, forgotten = time.time(), self._forgotten(learner, journal)
        rows = [
            (learner, journal, number, *entry.identity, entry.ok, json.dumps(entry.detail), now)
            for number, entry in sorted(records.items())
            if number > forgotten
        ]
        with self._connection as connection:
            before = self._count(learner)
            connection.executemany(
                "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            new = self._count(learner) - before
            if new and before + new > MOST_RECORDS:
                raise Full(learner)  # the transaction ends without a change
        return self.last(learner, journal), new

    def last(self, learner: str, journal: str) -> int:
        """The highest id held of a journal, or 0; ids of records that were deleted count."""
        (highest,) = self._connection.execute(
            "SELECT coalesce(max(id), 0) FROM records WHERE learner = ? AND journal = ?", (learner, journal)
        ).fetchone()
        return max(int(highest), self._forgotten(learner, journal))

    def records(self, learner: str) -> list[Record]:
        """A learner's records, the oldest first. None is later than when it was received."""
        rows = self._connection.execute(
            "SELECT min(moment, received), lab, kind, name, ok, detail FROM records WHERE learner = ? "
            "ORDER BY min(moment, received), id",
            (learner,),
        )
        return [
            Record(moment, lab, cast(Kind, kind), name, bool(ok), json.loads(detail))
            for moment, lab, kind, name, ok, detail in rows
        ]

    def _count(self, learner: str) -> int:
        found = self._connection.execute("SELECT count(*) FROM records WHERE learner = ?", (learner,))
        return int(found.fetchone()[0])

    def _forgotten(self, learner: str, journal: str) -> int:
        found = self._connection.execute(
            "SELECT last FROM forgotten WHERE journal = ?", (_digest(learner, journal),)
        ).fetchone()
        return int(found[0]) if found else 0

    # -- what is sent to learners ---------------------------------------------------------------------

    def send(self, learners: Iterable[str], event: str, data: Mapping[str, Any]) -> list[int]:
        """Put something into the inboxes of learners; return the ids, in their order."""
        with self._connection as connection:
            return [self._put(connection, learner, event, data) for learner in learners]

    def publish(self, commands: Iterable[Mapping[str, Any]]) -> int:
        """Keep commands that an instructor ran, for all places; return the last id."""
        number = 0
        with self._connection as connection:
            for command in commands:
                number = self._put(connection, _EVERYBODY, "command", command)
            connection.execute(
                "DELETE FROM inbox WHERE learner = ? AND id NOT IN "
                "(SELECT id FROM inbox WHERE learner = ? ORDER BY id DESC LIMIT ?)",
                (_EVERYBODY, _EVERYBODY, MOST_COMMANDS),
            )
        return number

    def inbox(self, learner: str, after: int, limit: int = 200) -> list[Item]:
        """What a place has to be sent after the id that it saw last, the oldest first.

        Of `begin` and `reset` only the last one counts, while it is young and has no outcome yet.
        """
        rows = self._connection.execute(
            "SELECT id, event, data, sent, delivered, ended, ok, text FROM inbox AS this "
            "WHERE learner IN (?, ?) AND id > ? AND (event NOT IN (?, ?) OR (ended IS NULL AND sent > ? "
            "AND NOT EXISTS (SELECT 1 FROM inbox AS later WHERE later.learner = this.learner "
            "AND later.id > this.id AND later.event IN (?, ?)))) ORDER BY id LIMIT ?",
            (learner, _EVERYBODY, after, *_ACTIONS, time.time() - ACTION_SECONDS, *_ACTIONS, limit),
        )
        return [_item(row) for row in rows]

    def sent(self, learner: str, limit: int = 30) -> list[Item]:
        """What was sent to one learner, the newest first."""
        rows = self._connection.execute(
            "SELECT id, event, data, sent, delivered, ended, ok, text FROM inbox WHERE learner = ? "
            "ORDER BY id DESC LIMIT ?",
            (learner, limit),
        )
        return [_item(row) for row in rows]

    def delivered(self, learner: str, number: int) -> None:
        """Note that something was sent to a learner's place now."""
        with self._connection as connection:
            connection.execute(
                "UPDATE inbox SET delivered = ? WHERE learner = ? AND id = ? AND delivered IS NULL",
                (time.time(), learner, number),
            )

    def finish(self, learner: str, number: int, ok: bool, text: str) -> bool:
        """Keep the outcome of a `begin` or `reset`; return whether that learner was sent one with this id."""
        with self._connection as connection:
            changed = connection.execute(
                "UPDATE inbox SET ended = ?, ok = ?, text = ? "
                "WHERE learner = ? AND id = ? AND event IN (?, ?)",
                (time.time(), ok, text, learner, number, *_ACTIONS),
            )
            return changed.rowcount == 1

    def _put(self, connection: sqlite3.Connection, learner: str, event: str, data: Mapping[str, Any]) -> int:
        number = self._next_id(connection)
        connection.execute(
            "INSERT INTO inbox (id, learner, event, data, sent) VALUES (?, ?, ?, ?, ?)",
            (number, learner, event, json.dumps(data), time.time()),
        )
        return number

    def _next_id(self, connection: sqlite3.Connection) -> int:
        """Milliseconds of the epoch, and more than any id before: also after the file itself was lost."""
        found = connection.execute("SELECT value FROM numbers WHERE name = 'inbox'").fetchone()
        number = max(int(time.time() * 1000), (found[0] if found else 0) + 1)
        connection.execute("INSERT OR REPLACE INTO numbers VALUES ('inbox', ?)", (number,))
        return number

    # -- deleting -------------------------------------------------------------------------------------

    def forget(self, learner: str) -> bool:
        """Delete everything about a learner; return whether there was anything.

        What stays is a hash of each journal with the last id, so that no copy of those records comes back.
        """
        journals = self._connection.execute(
            "SELECT journal, max(id) FROM records WHERE learner = ? GROUP BY journal", (learner,)
        ).fetchall()
        with self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO forgotten VALUES (?, ?)",
                [(_digest(learner, journal), last) for journal, last in journals],
            )
            there = connection.execute("DELETE FROM learners WHERE name = ?", (learner,)).rowcount
            there += connection.execute("DELETE FROM records WHERE learner = ?", (learner,)).rowcount
            there += connection.execute("DELETE FROM inbox WHERE learner = ?", (learner,)).rowcount
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return there > 0

    def forget_all(self) -> None:
        """Delete everything about everybody, and the instructors' commands."""
        for person in self.people():
            self.forget(person.name)
        with self._connection as connection:
            connection.execute("DELETE FROM inbox")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def expire(self, before: float) -> list[str]:
        """Delete everybody whose place was last in touch before a moment, and commands from before it.

        Returns the names.
        """
        names = [person.name for person in self.people() if person.seen < before]
        for name in names:
            self.forget(name)
        with self._connection as connection:
            connection.execute("DELETE FROM inbox WHERE learner = ? AND sent < ?", (_EVERYBODY, before))
        return names


def _digest(learner: str, journal: str) -> str:
    return hashlib.sha256(f"{learner}\0{journal}".encode()).hexdigest()


def _item(row: tuple[Any, ...]) -> Item:
    number, event, data, sent, delivered, ended, ok, text = row
    outcome = None if ok is None else bool(ok)
    return Item(number, event, json.loads(data), sent, delivered, ended, outcome, text or "")


def as_data(item: Item) -> dict[str, Any]:
    """An item as plain data, for the page."""
    return asdict(item)
