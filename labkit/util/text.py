"""Formats counts and lists, and sorts names and versions."""

import re
from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names in natural order: worker2 before worker10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def version_number(version: str) -> tuple[int, ...]:
    """A version such as `1.41` as numbers to compare."""
    return tuple(int(part) for part in version.split("."))
