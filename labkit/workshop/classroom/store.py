"""What the class service keeps: one SQLite file with learners, their records, and what was sent to them.

A learner's record is stored once, however often it arrives.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from labkit.course.progress import Kind, Record
from labkit.workshop.classroom import mail
from labkit.workshop.classroom.mail import Mail

MOST_RECORDS = 10_000
"""Of one learner: far more than the course needs, and too few to fill the disk."""

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
CREATE TABLE IF NOT EXISTS forgotten (journal TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
"""


class Full(Exception):
    """A learner has sent more than is kept for one of them."""


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
        # Places take what is acknowledged for safe, so it has to be on the disk by then.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten too
        self._connection.executescript(_SCHEMA + mail.SCHEMA)
        self.mail = Mail(self._connection)

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
        self.mail.expire(before)
        return names


def _digest(learner: str, journal: str) -> str:
    return hashlib.sha256(f"{learner}\0{journal}".encode()).hexdigest()
