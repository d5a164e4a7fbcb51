"""What is sent to learners: messages, orders to their labs, and instructors' commands, in one sequence.

The ids never go back, so a place that reconnects can say which one it saw last.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_COMMANDS = 500
"""Of all instructors; older ones are removed."""
ACTION_SECONDS = 3600.0
"""How long `begin` and `reset` wait for a place that is away: nobody wants them the next day."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY, learner TEXT NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,
    sent REAL NOT NULL, delivered REAL, ended REAL, ok INTEGER, text TEXT
);
CREATE INDEX IF NOT EXISTS inbox_of ON inbox (learner, id);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_ACTIONS = ("begin", "reset")
_EVERYBODY = ""  # in `inbox`, what is sent to all places


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


class Mail:
    """The part of the store that learners get. Every change is on disk when a method returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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

    def waiting(self, learner: str, after: int, limit: int = 200) -> list[Item]:
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

    def expire(self, before: float) -> None:
        """Delete the commands from before a moment."""
        with self._connection as connection:
            connection.execute("DELETE FROM inbox WHERE learner = ? AND sent < ?", (_EVERYBODY, before))


def _item(row: tuple[Any, ...]) -> Item:
    number, event, data, sent, delivered, ended, ok, text = row
    outcome = None if ok is None else bool(ok)
    return Item(number, event, json.loads(data), sent, delivered, ended, outcome, text or "")
