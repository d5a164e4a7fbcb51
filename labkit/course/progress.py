"""What a learner has done: one SQLite file in the user's data folder; records are only ever added."""

import json
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from platformdirs import user_data_path

from labkit.cluster.cluster import Cluster
from labkit.course import ALIASES
from labkit.util import command_hint
from labkit.util.errors import LabError, redact

Kind = Literal["chapter", "exercise", "hint", "solution", "quiz", "prediction", "outcome", "scenario", "exam"]

_BUSY_SECONDS = 10.0
_FORMAT = 1  # of exported files
_FAR_FUTURE = 1e11  # seconds of the epoch
_SHOWN = 8  # problems of a file that cannot be imported
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

    @property
    def identity(self) -> tuple[float, str, str, str]:
        """What makes two records the same."""
        return self.moment, self.lab, self.kind, self.name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FAR_FUTURE


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# What a valid exported record holds: its fields, what its `detail` may hold, and what that must hold.
_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "moment": _is_number,
    "lab": lambda value: isinstance(value, str),
    "kind": lambda value: value in get_args(Kind),
    "name": lambda value: isinstance(value, str),
    "ok": lambda value: isinstance(value, bool),
    "detail": lambda value: isinstance(value, dict),
}
_DETAILS: Mapping[str, Callable[[Any], bool]] = {
    "seed": _is_number,
    "facts": lambda value: isinstance(value, dict),
    "there": _is_list,
    "exam": lambda value: isinstance(value, bool),
    "minutes": _is_number,
    "scenarios": _is_list,
    "answer": lambda value: isinstance(value, str),
}
_NEEDED = {
    "prediction": ("answer",),
    "scenario": ("seed", "facts", "there", "exam"),
    "start": ("minutes", "seed", "scenarios"),
}


def file() -> Path:
    """Where progress is kept: in the folder LABKIT_DATA_DIR, or in the platform's folder for user data.

    On Linux that is `~/.local/share/labkit`.
    """
    chosen = os.environ.get("LABKIT_DATA_DIR")
    return (Path(chosen) if chosen else user_data_path("labkit")) / "progress.sqlite"


class Journal:
    """The records of one lab: adds to them, reads them, and notifies its subscribers. See `of`."""

    def __init__(self, cluster: Cluster) -> None:
        self.lab = cluster.name
        self._listeners: list[Callable[[Record], None]] = []

    def record(self, kind: Kind, name: str, ok: bool = True, **detail: Any) -> Record:
        """Add a record, which is on disk once this returns. Secrets in `detail` are redacted.

        Raises LabError when the file cannot be written.
        """
        redacted = json.loads(redact(json.dumps(detail)))
        made = Record(time.time(), self.lab, kind, name, ok, redacted)
        with _open() as connection, connection:  # the second one is the transaction
            _insert(connection, made)
        for listener in self._listeners.copy():
            listener(made)
        return made

    def note(self, kind: Kind, name: str, ok: bool = True, **detail: Any) -> None:
        """Record it; if that is impossible, print why, and let the learner go on."""
        try:
            self.record(kind, name, ok, **detail)
        except LabError as error:
            print(error.report(), file=sys.stderr)

    def records(self, *kinds: Kind) -> list[Record]:
        """This lab's records of these kinds (of all when none is named), the oldest first."""
        return [entry for entry in records(*kinds) if entry.lab == self.lab]

    def chapter(self) -> str | None:
        """The chapter that was begun last, by its name or its key; a scenario belongs to one too."""
        begun = self.records("chapter", "scenario")
        if not begun:
            return None
        return begun[-1].name if begun[-1].kind == "chapter" else begun[-1].name.partition(".")[0]

    def hints_given(self, exercise: str) -> int:
        """How many hints to an exercise were given since its chapter, or a scenario, was begun last."""
        given = 0
        for entry in self.records("chapter", "scenario", "hint"):
            given = given + (entry.name == exercise) if entry.kind == "hint" else 0
        return given

    def subscribe(self, listener: Callable[[Record], None]) -> Callable[[], None]:
        """Call `listener` with each record that is added through this journal; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None


def of(cluster: Cluster) -> Journal:
    """The journal of a lab."""
    return cluster.shared(Journal)


def records(*kinds: Kind) -> list[Record]:
    """All labs' records of these kinds (of all when none is named), the oldest first."""
    if not file().exists():
        return []
    with _open() as connection:
        rows = connection.execute(
            "SELECT moment, lab, kind, name, ok, detail FROM records ORDER BY moment, id"
        ).fetchall()
    found = [_record(*row) for row in rows]
    return [entry for entry in found if not kinds or entry.kind in kinds]


def solved() -> dict[str, Record]:
    """Each exercise that was solved, with the record of the first time; scenarios are exercises too."""
    first: dict[str, Record] = {}
    for entry in records("exercise"):
        if entry.ok:
            first.setdefault(entry.name, entry)
    return first


def identity() -> str:
    """The name of the progress file, which no other one has. It's given when it is first asked for."""
    with _open() as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS journal (one INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        if not connection.execute("SELECT 1 FROM journal").fetchone():
            connection.execute("INSERT OR IGNORE INTO journal VALUES (1, ?)", (str(uuid.uuid4()),))
        return str(connection.execute("SELECT name FROM journal").fetchone()[0])


def added(after: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` records that were added behind a row, the oldest first; `id` is each one's row."""
    with _open() as connection:
        rows = connection.execute(
            "SELECT id, moment, lab, kind, name, ok, detail FROM records WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        ).fetchall()
    return [{"id": row, **asdict(_record(*entry))} for row, *entry in rows]


def _record(moment: float, lab: str, kind: Kind, name: str, ok: int, detail: str) -> Record:
    return Record(moment, lab, kind, ALIASES.get(name, name), bool(ok), json.loads(detail))


def export(path: Path) -> int:
    """Write all records to a file that `load` reads on another machine; return how many.

    Raises LabError when it cannot be written.
    """
    found = [asdict(entry) for entry in records()]
    try:
        path.write_text(json.dumps({"format": _FORMAT, "records": found}, indent=1), encoding="utf-8")
    except OSError as error:
        raise LabError(f"{path} cannot be written", evidence=[str(error)]) from None
    return len(found)


def load(path: Path) -> int:
    """Add the records of an exported file that are not here yet; return how many. Idempotent.

    Raises LabError, and adds nothing, when one of them is not valid.
    """
    exported = _parse(path)
    with _open() as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute("SELECT moment, lab, kind, name FROM records")
        known = {(moment, lab, kind, ALIASES.get(name, name)) for moment, lab, kind, name in rows}
        new = {entry.identity: entry for entry in exported if entry.identity not in known}
        for entry in new.values():
            _insert(connection, entry)
    return len(new)


def _parse(path: Path) -> list[Record]:
    """The records of an exported file. Raises LabError with what is wrong in it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()  # the database takes nothing else
        version, entries = document["format"], document["records"]
        if version != _FORMAT:
            problems = [f"its format is {version}; this version reads format {_FORMAT}"]
        else:
            found = [_problem(entry) for entry in entries]
            problems = [f"record {number}: {text}" for number, text in enumerate(found, start=1) if text]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problems = [f"{type(error).__name__}: {error}"]
    if problems:
        export = command_hint.command("progress", "--export", "FILE")
        raise LabError(
            f"{path} cannot be imported; your progress is as it was",
            evidence=problems[:_SHOWN],
            next_step=f"export it again on the other machine: {export}",
        )
    return [Record(**{**entry, "name": ALIASES.get(entry["name"], entry["name"])}) for entry in entries]


def _problem(entry: Any) -> str:
    """What is wrong with an exported record; empty when nothing is."""
    if not isinstance(entry, dict) or entry.keys() != _FIELDS.keys():
        return f"not an object with {', '.join(_FIELDS)}"
    wrong = [key for key, valid in _FIELDS.items() if not valid(entry[key])]
    if not wrong:
        detail, kind = entry["detail"], entry["kind"]
        needed = _NEEDED.get(entry["name"] if kind == "exam" else kind, ())
        present = {*needed, *detail}
        wrong = [key for key, valid in _DETAILS.items() if key in present and not valid(detail.get(key))]
    return f"missing or invalid: {', '.join(wrong)}" if wrong else ""


def _insert(connection: sqlite3.Connection, entry: Record) -> None:
    detail = redact(json.dumps(entry.detail, ensure_ascii=False))
    connection.execute(
        "INSERT INTO records (moment, lab, kind, name, ok, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (*entry.identity, entry.ok, detail),
    )


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
