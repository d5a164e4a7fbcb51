"""Who takes part in a workshop: learners from a file or by number, and the instructors."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.util.errors import LabError
from labkit.util.text import counted

LEARNER, INSTRUCTOR = "learner", "instructor"
_LONGEST = 32
# What the letters of a name become that aren't an ASCII letter with an accent.
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})


@dataclass(frozen=True)
class Person:
    """Somebody with a place. `login` is the name to log in with, `name` the one on the card."""

    login: str
    name: str
    role: str = LEARNER

    @property
    def teaches(self) -> bool:
        return self.role == INSTRUCTOR


def numbered(count: int) -> list[Person]:
    """Learners without names: `learner1`, `learner2`, …"""
    return [Person(f"learner{number}", f"Learner {number}") for number in range(1, count + 1)]


def person(name: str, role: str = LEARNER) -> Person:
    """Somebody by their name, such as `Ana María`, who logs in as `ana-maria`. Raises LabError."""
    login = login_of(name)
    if not login:
        raise LabError(
            f"no login name can be made of '{name}'",
            evidence=["a login name has the letters a to z, digits, and hyphens"],
            next_step="write the name in Latin letters, or give a nickname",
        )
    return Person(login, " ".join(name.split()), role)


def login_of(name: str) -> str:
    """The name to log in with: lower-case ASCII letters and digits, with hyphens between words."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    ascii_only = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", ascii_only)[:_LONGEST].strip("-")


def read(file: Path) -> list[Person]:
    """The learners in a file: one name a line; empty lines and those that begin with `#` are left out.

    In a CSV file, the name is what stands before the first comma. Raises LabError with every line that has a
    problem.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"cannot read {file}", evidence=[str(error)], next_step="give a text file with one name a line"
        ) from None
    problems: list[str] = []
    found: dict[str, Person] = {}
    for number, name in _names(text.splitlines()):
        try:
            somebody = person(name)
        except LabError as error:
            problems.append(f"line {number}: {error.what}")
            continue
        if somebody.login in found:
            other = found[somebody.login].name
            problems.append(f"line {number}: '{name}' would log in as {somebody.login}, as '{other}' does")
        found[somebody.login] = somebody
    if problems or not found:
        raise LabError(
            f"{file} has {counted(len(problems), 'problem')}" if problems else f"{file} has no names",
            evidence=problems,
            next_step="write one name a line, each different, then run the command again",
        )
    return list(found.values())


def _names(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        name = line.partition(",")[0].strip().strip('"')
        if name and not name.startswith("#"):
            yield number, name


def distinct(people: Iterable[Person]) -> list[Person]:
    """People in order, each login once: the first one counts."""
    found: dict[str, Person] = {}
    for each in people:
        found.setdefault(each.login, each)
    return list(found.values())
