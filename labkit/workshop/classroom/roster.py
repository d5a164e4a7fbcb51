"""Who is expected: the list of logins and names that the workshop's host writes into the data folder."""

import json
from pathlib import Path
from typing import Any

FILE = "people.json"
_INSTRUCTOR = "instructor"


class Roster:
    """Learners' names by login. It's read again when the file changes; without one nobody is expected."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._stamp: tuple[int, int] | None = None
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        """The learners who are expected, without instructors."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._names = _read(json.loads(self._path.read_text(encoding="utf-8")))
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is being written, or isn't there: what was read last holds
        return self._names


def _read(people: list[dict[str, Any]]) -> dict[str, str]:
    learners = (person for person in people if person["role"] != _INSTRUCTOR)
    return {str(person["login"]): str(person["name"]) for person in learners}
