"""What a place remembers of its dealings with the class service, in an SQLite file on the learner's volume.

How far the records were acknowledged, and what came: each with its number, so nothing is taken twice.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = 500
"""How many events are kept at most; older ones are forgotten once they are dealt with."""

ORDERS = ("begin", "reset")

_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS acknowledged (queue TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY,             -- the service's own
    event TEXT NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    moment REAL NOT NULL,               -- when it came, in seconds of the epoch
    seen INTEGER NOT NULL DEFAULT 0,    -- whether the learner has seen it
    ok INTEGER,                         -- of an order: NULL until it's carried out
    text TEXT NOT NULL DEFAULT '',      -- of an order: how it ended
    reported INTEGER NOT NULL DEFAULT 0 -- of an order: whether the service knows
);
"""
_LAST_EVENT = "last event"  # a queue of its own: the service's numbers of what came


@dataclass(frozen=True)
class Received:
    """An event from the class service. `ok` is None unless it's an order that was carried out."""

    id: int
    event: str
    data: dict[str, Any]
    moment: float
    seen: bool
    ok: bool | None
    text: str


class Ledger:
    """The file. It's opened for each access, so any thread may use it. Raises sqlite3.Error, OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    # -- what is sent -------------------------------------------------------------------------------

    def acknowledged(self, queue: str) -> int:
        """The last row of a queue that the service has."""
        with self._open() as connection:
            row = connection.execute("SELECT last FROM acknowledged WHERE queue = ?", (queue,)).fetchone()
        return int(row[0]) if row else 0

    def acknowledge(self, queue: str, last: int) -> None:
        """Remember that the service has everything up to this row."""
        with self._open() as connection:
            self._acknowledge(connection, queue, last)

    def _acknowledge(self, connection: sqlite3.Connection, queue: str, last: int) -> None:
        connection.execute(
            "INSERT INTO acknowledged VALUES (?, ?) "
            "ON CONFLICT (queue) DO UPDATE SET last = max(last, excluded.last)",
            (queue, last),
        )

    # -- what came ----------------------------------------------------------------------------------

    def last_event(self) -> int:
        """The number of the last event that came; 0 when none has."""
        return self.acknowledged(_LAST_EVENT)

    def passed(self, number: int) -> None:
        """Remember that an event came that isn't kept."""
        self.acknowledge(_LAST_EVENT, number)

    def receive(self, number: int, event: str, data: dict[str, Any]) -> bool:
        """Keep an event; False, and nothing changed, when it came before."""
        with self._open() as connection:
            added = connection.execute(
                "INSERT OR IGNORE INTO inbox (id, event, data, moment) VALUES (?, ?, ?, ?)",
                (number, event, json.dumps(data), time.time()),
            ).rowcount
            self._acknowledge(connection, _LAST_EVENT, number)
            connection.execute(
                "DELETE FROM inbox WHERE id <= (SELECT id FROM inbox ORDER BY id DESC LIMIT 1 OFFSET ?) "
                "AND (reported OR event NOT IN ('begin', 'reset'))",
                (KEPT,),
            )
        return bool(added)

    def received(self) -> list[Received]:
        """What came and is still kept, the oldest first."""
        return self._select("1")

    def find(self, number: int) -> Received:
        """One event that is kept. Raises LookupError."""
        found = self._select("id = ?", number)
        if not found:
            raise LookupError(number)
        return found[0]

    def mark_seen(self, numbers: list[int]) -> None:
        """Remember that the learner has seen these events."""
        with self._open() as connection:
            connection.executemany(
                "UPDATE inbox SET seen = 1 WHERE id = ?", [(number,) for number in numbers]
            )

    # -- orders -------------------------------------------------------------------------------------

    def open_orders(self) -> list[Received]:
        """The orders that nobody has carried out yet, the oldest first."""
        return self._select("event IN ('begin', 'reset') AND ok IS NULL")

    def finish(self, number: int, ok: bool, text: str) -> None:
        """Remember how an order ended."""
        with self._open() as connection:
            connection.execute("UPDATE inbox SET ok = ?, text = ? WHERE id = ?", (ok, text, number))

    def unreported(self) -> list[Received]:
        """The orders that were carried out, but of which the service doesn't know yet."""
        return self._select("ok IS NOT NULL AND NOT reported")

    def reported(self, number: int) -> None:
        """Remember that the service knows how an order ended."""
        with self._open() as connection:
            connection.execute("UPDATE inbox SET reported = 1 WHERE id = ?", (number,))

    def _select(self, condition: str, *values: Any) -> list[Received]:
        query = f"SELECT id, event, data, moment, seen, ok, text FROM inbox WHERE {condition} ORDER BY id"
        with self._open() as connection:
            rows = connection.execute(query, values).fetchall()
        return [
            Received(id, event, json.loads(data), moment, bool(seen), None if ok is None else bool(ok), text)
            for id, event, data, moment, seen, ok, text in rows
        ]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, in a transaction."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
