"""What a learner has done: one SQLite file in the user's data folder, to which records are only added."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path

from labkit import hint
from labkit.errors import LabError, redact

Kind = Literal["chapter", "exercise", "hint", "solution", "quiz", "scenario", "exam"]

_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    moment REAL NOT NULL,      -- seconds of the epoch
    lab TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,        -- of the chapter, exercise, quiz, scenario
    ok INTEGER NOT NULL,
    detail TEXT NOT NULL       -- JSON
)
"""


@dataclass(frozen=True)
class Record:
    """Something that a learner did. `moment` in seconds of the epoch; `detail` is plain data.

    A `scenario` is recorded when it begins, an `exam` when it starts and for each scenario that it grades.
    """

    moment: float
    lab: str
    kind: Kind
    name: str
    ok: bool
    detail: dict[str, Any]


_listeners: list[Callable[[Record], None]] = []


def file() -> Path:
    """Where progress is kept: in the folder LABKIT_DATA_DIR, else in the platform's own place for user data.

    On Linux that is `~/.local/share/labkit`.
    """
    chosen = os.environ.get("LABKIT_DATA_DIR")
    return (Path(chosen) if chosen else user_data_path("labkit")) / "progress.sqlite"


def record(kind: Kind, name: str, ok: bool = True, **detail: Any) -> Record:
    """Add a record, for good once this returns. Secrets in `detail` are redacted.

    Raises LabError when the file cannot be written.
    """
    text = redact(json.dumps(detail, ensure_ascii=False))
    made = Record(time.time(), hint.current_lab(), kind, name, ok, json.loads(text))
    with _open() as connection, connection:  # the second one is the transaction
        connection.execute(
            "INSERT INTO records (moment, lab, kind, name, ok, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (made.moment, made.lab, kind, name, ok, text),
        )
    for listener in list(_listeners):
        listener(made)
    return made


def records(*kinds: Kind) -> list[Record]:
    """All records of these kinds (of all when none is named), the oldest first."""
    if not file().exists():
        return []
    with _open() as connection:
        rows = connection.execute(
            "SELECT moment, lab, kind, name, ok, detail FROM records ORDER BY id"
        ).fetchall()
    found = [
        Record(moment, lab, kind, name, bool(ok), json.loads(detail))
        for moment, lab, kind, name, ok, detail in rows
    ]
    return [entry for entry in found if not kinds or entry.kind in kinds]


def solved() -> dict[str, Record]:
    """Each exercise that was solved, with the record of the first time; scenarios are exercises, too."""
    first: dict[str, Record] = {}
    for entry in records("exercise"):
        if entry.ok:
            first.setdefault(entry.name, entry)
    return first


def chapter() -> str | None:
    """The chapter that was begun last in this lab, by its name or its key; a scenario belongs to one, too."""
    begun = [entry for entry in records("chapter", "scenario") if entry.lab == hint.current_lab()]
    if not begun:
        return None
    return begun[-1].name if begun[-1].kind == "chapter" else begun[-1].name.partition(".")[0]


def hints_given(exercise: str) -> int:
    """How many hints to an exercise were given since its chapter, or a scenario, was begun last."""
    given = 0
    for entry in records("chapter", "scenario", "hint"):
        given = given + (entry.name == exercise) if entry.kind == "hint" else 0
    return given


def subscribe(listener: Callable[[Record], None]) -> Callable[[], None]:
    """Call `listener` with each record that this process adds; returns what ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener) if listener in _listeners else None


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute(_SCHEMA)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise LabError(
            f"your progress cannot be kept in {path}",
            evidence=[str(error)],
            next_step="free the disk, or choose another folder: export LABKIT_DATA_DIR=FOLDER; "
            "a damaged file can be moved away",
        ) from None
