"""What a workshop was set up with: a file of the user's, from which `labkit workshop up` brings it back."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit.topology.topology import LAB_NAME, LAB_NAME_RULE
from labkit.util import command_hint
from labkit.util.errors import LabError
from labkit.util.paths import state_dir
from labkit.workshop.codes import Hashed
from labkit.workshop.roster import Person
from labkit.workshop.subnets import POOLS

DEFAULT_NAME = command_hint.DEFAULT_WORKSHOP

GIB = 1 << 30


@dataclass(frozen=True)
class Workshop:
    """A workshop's settings. `memory` is a place's limit in bytes, `cpus` its limit in cores.

    `codes` are the hashes of the codes by login; `certificate` and `key` are in PEM. `own_certificate` says
    that they are the user's and not made here; otherwise `certificate_for` is the host that it was made for,
    and `certificate_ends` when it ends, in ISO 8601. `open_code` is shown to everyone, so it's kept as it is.
    """

    name: str
    host: str
    port: int = 443
    seats: int = 0
    people: list[Person] = field(default_factory=list)
    codes: dict[str, Hashed] = field(default_factory=dict)
    open: bool = False
    open_code: str = ""
    instructor_code: str = ""
    prestart: bool = False
    internet: bool = False
    memory: int = 2 * GIB
    cpus: float = 2.0
    processes: int = 4096
    idle_hours: float = 8.0
    runtime: str = ""
    pools: list[str] = field(default_factory=lambda: list(POOLS))
    certificate: str = ""
    key: str = ""
    own_certificate: bool = False
    certificate_for: str = ""
    certificate_ends: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address that everybody types."""
        return f"https://{self.host}{'' if self.port == 443 else f':{self.port}'}/"

    @property
    def learners(self) -> list[Person]:
        return [each for each in self.people if not each.teaches]

    @property
    def instructors(self) -> list[Person]:
        return [each for each in self.people if each.teaches]

    def token(self, name: str) -> str:
        """A secret that containers of the workshop share. Raises KeyError."""
        return self.tokens[name]

    def with_tokens(self, *names: str) -> "Workshop":
        """The same with a secret of each of these names; those that there are stay."""
        return replace(self, tokens={**{name: secrets.token_hex(32) for name in names}, **self.tokens})


def require_name(name: str) -> str:
    """Return a workshop's name. Raises LabError if it can't be one."""
    if len(name) < 2 or not LAB_NAME.fullmatch(name):
        raise LabError(f"invalid workshop name '{name}'", next_step=f"use two or more {LAB_NAME_RULE}")
    return name


def path(name: str) -> Path:
    """The file with a workshop's settings."""
    return folder() / f"{name}.json"


def cards_path(name: str) -> Path:
    """The file with the cards, as they were when the codes were made."""
    return folder() / f"{name}-cards.html"


def folder() -> Path:
    """Where workshops' files are; only their owner can read them."""
    found = state_dir() / "workshop"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


def load(name: str) -> Workshop | None:
    """A workshop's settings, or None if it wasn't set up here. Raises LabError for a file that is damaged."""
    try:
        text = path(require_name(name)).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(
            f"the settings of workshop '{name}' are damaged",
            evidence=[f"{path(name)}: {error}"],
            next_step=f"{command_hint.command('workshop', 'down', '--name', name)}, then set it up again",
        ) from None


def require(name: str) -> Workshop:
    """A workshop's settings. Raises LabError if there are none."""
    if found := load(name):
        return found
    raise LabError(
        f"there is no workshop '{name}' here",
        evidence=[f"known: {', '.join(names()) or 'none'}"],
        next_step=command_hint.command("workshop", "up", "--learners", "10"),
    )


def save(workshop: Workshop) -> None:
    """Write a workshop's settings."""
    write_private(path(workshop.name), json.dumps(asdict(workshop), indent=1, ensure_ascii=False) + "\n")


def forget(name: str) -> list[Path]:
    """Remove a workshop's files; return those that were there."""
    return [file for file in _files(name) if _unlink(file)]


def names() -> list[str]:
    """The workshops that were set up here."""
    return sorted(file.stem for file in folder().glob("*.json"))


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    part = file.with_name(f".{file.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as open_file:
        open_file.write(text)
    part.replace(file)


def _files(name: str) -> Iterator[Path]:
    yield path(name)
    yield cards_path(name)


def _unlink(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _parse(found: dict[str, Any]) -> Workshop:
    found["people"] = [Person(**each) for each in found["people"]]
    found["codes"] = {login: Hashed(**each) for login, each in found["codes"].items()}
    return Workshop(**found)
