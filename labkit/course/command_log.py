"""The last commands that a learner ran with labkit: a bounded SQLite file beside the progress file.

It's kept only in a workshop, where an instructor may look over a learner's shoulder, and learners see what an
instructor runs. Terminals aren't recorded.
"""

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course import progress
from labkit.transport.commands import Result
from labkit.util.errors import redact

CLASS_URL = "LABKIT_CLASS_URL"
"""The variable that says where the class service is: it is set in a workshop's places, and nowhere else."""
CLASS_ROLE = "LABKIT_CLASS_ROLE"
INSTRUCTOR = "instructor"

KEPT = 300
COMMAND_CHARACTERS = 4_000
OUTPUT_CHARACTERS = 20_000

_BUSY_SECONDS = 2.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that it says what was sent already
    moment REAL NOT NULL,                  -- seconds of the epoch
    node TEXT NOT NULL,
    command TEXT NOT NULL,
    code INTEGER,                          -- NULL when the command was stopped
    output TEXT NOT NULL                   -- of instructors only
)
"""
_SECRETS = (
    # --password hunter2, --password=hunter2, -p hunter2 after docker login
    (re.compile(r"(--(?:password|token|secret-key|unlock-key)[ =])(?!\$)('[^']*'|\"[^\"]*\"|\S+)"), r"\1…"),
    (re.compile(r"(\blogin\b[^\n;|&]*?\s-p\s*)(?!\$)('[^']*'|\"[^\"]*\"|\S+)"), r"\1…"),
    # POSTGRES_PASSWORD=hunter2
    (
        re.compile(
            r"(?i)(\b\w*(?:password|passwd|secret|token|api_?key)\w*=)(?![/$])('[^']*'|\"[^\"]*\"|[^\s'\"]+)"
        ),
        r"\1…",
    ),
    (re.compile(r"(?i)(authorization: *(?:basic|bearer|token) )[^\s'\"]+"), r"\1…"),
    # printf hunter2 | docker secret create db_password -
    (
        re.compile(r"\b(echo|printf)\b[^\n|;&]*(\|\s*docker (?:secret create|login)\b)"),
        r"\1 … \2",
    ),
    # docker secret create db_password - <<< hunter2, or a here-document
    (re.compile(r"(\bsecret create\b[^\n]*<<<\s*)[^\n]+"), r"\1…"),
    (
        re.compile(r"(\bsecret create\b[^\n]*<<-?\s*['\"]?(\w+)['\"]?[^\n]*\n).*?(\n\s*\2\b|\Z)", re.S),
        r"\1…\3",
    ),
)


class CommandLog:
    """The record of one lab's commands. It never fails: what can't be written isn't recorded."""

    def __init__(self, _: Cluster) -> None:
        self.active = bool(os.environ.get(CLASS_URL))
        self._with_output = os.environ.get(CLASS_ROLE) == INSTRUCTOR

    def add(self, node: str, command: str, code: int | None, output: str = "") -> None:
        """Record a command that ended, or was stopped: then `code` is None. Secrets are redacted."""
        if not self.active:
            return
        entry = (
            time.time(),
            node,
            shortened(without_secrets(command.strip()), COMMAND_CHARACTERS),
            code,
            shortened(redact(output), OUTPUT_CHARACTERS) if self._with_output else "",
        )
        with contextlib.suppress(sqlite3.Error, OSError), closing(_open()) as connection, connection:
            added = connection.execute(
                "INSERT INTO commands (moment, node, command, code, output) VALUES (?, ?, ?, ?, ?)", entry
            )
            connection.execute("DELETE FROM commands WHERE id <= ?", ((added.lastrowid or 0) - KEPT,))

    def add_results(self, results: Iterable[Result]) -> None:
        """Record commands that ended by themselves."""
        for result in results:
            self.add(result.node, result.command, result.exit_code, result.stdout + result.stderr)

    def add_stopped(self, nodes: Iterable[str], command: str) -> None:
        """Record a command that was stopped on these nodes, by the learner or at its deadline."""
        for node in nodes:
            self.add(node, command, None)


def of(cluster: Cluster) -> CommandLog:
    """The record of a lab's commands."""
    return cluster.shared(CommandLog)


def file() -> Path:
    """Where the commands are kept."""
    return progress.file().with_name("commands.sqlite")


def commands(after: int = 0, limit: int = KEPT) -> list[dict[str, Any]]:
    """The newest commands behind the row `after`, at most `limit`, the oldest of them first."""
    if not file().exists():
        return []
    with closing(_open()) as connection:
        rows = connection.execute(
            "SELECT id, moment, node, command, code, output FROM commands WHERE id > ? "
            "ORDER BY id DESC LIMIT ?",
            (after, limit),
        ).fetchall()
    names = ("id", "moment", "node", "command", "code", "output")
    return [dict(zip(names, row, strict=True)) for row in reversed(rows)]


def without_secrets(command: str) -> str:
    """A command with what looks like a password, a token, or a secret's value replaced by `…`."""
    command = redact(command)
    for secret, instead in _SECRETS:
        command = secret.sub(instead, command)
    return command


def shortened(text: str, characters: int) -> str:
    """The end of a text that is too long, with a line that says so."""
    if len(text) <= characters:
        return text
    return f"… {len(text) - characters} earlier characters are left out\n{text[-characters:]}"


def _open() -> sqlite3.Connection:
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    connection.execute(_SCHEMA)
    return connection
