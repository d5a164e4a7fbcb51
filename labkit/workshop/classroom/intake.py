"""What places and instructors may send: every field is checked, and nothing is larger than its bound."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any, cast, get_args

from labkit.course.progress import Kind, Record
from labkit.util.errors import redact

MOST_BYTES = 4 * 1024 * 1024
"""Of one request's body."""
MOST_RECORDS = 500
"""In one request; a place sends more in several."""
MESSAGE_LETTERS = 2000

_NAME = re.compile(r"[A-Za-z0-9][\w.:-]{0,99}", re.ASCII)
_LATEST = 4e9  # seconds of the epoch, in 2096
_LARGEST = 2**53
_STRING, _ITEMS, _DEPTH, _DETAIL = 2000, 100, 5, 16 * 1024  # of a record's detail
_BOARD, _DESCRIPTION = 600 * 1024, 4000
_COMMANDS, _COMMAND, _OUTPUT = 50, 4000, 64 * 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Refused(ValueError):
    """What was sent isn't what may be sent; the message says what is wrong with it."""


def parse(body: bytes) -> Any:
    """The JSON of a request's body. Raises Refused."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON in UTF-8") from None


def records(body: Any) -> tuple[str, dict[int, Record]]:
    """The journal and its records by id. Raises Refused; a detail that's too large is shortened instead."""
    sent = _object(body, "the body")
    try:
        journal = str(uuid.UUID(_string(sent.get("journal"), "journal", 60)))
    except ValueError:
        raise Refused("journal is not a UUID") from None
    entries = _list(sent.get("records"), "records", MOST_RECORDS)
    found = [_record(_object(entry, f"record {number}")) for number, entry in enumerate(entries, start=1)]
    return journal, dict(found)


def done(body: Any) -> tuple[int, bool, str]:
    """The outcome of a `begin` or `reset`: its id, whether it worked, and a text. Raises Refused."""
    sent = _object(body, "the body")
    return (
        _id(sent.get("id")),
        _flag(sent.get("ok"), "ok"),
        _text(sent.get("text", ""), "text", MESSAGE_LETTERS),
    )


def view(body: Any) -> dict[str, Any]:
    """What a learner's place shows to those who watch. Raises Refused."""
    sent = _object(body, "the body")
    commands = _list(sent.get("commands", []), "commands", _COMMANDS)
    board = _string(sent.get("board", ""), "board", _BOARD)
    return {
        "board": _CONTROL.sub("", board),
        "text": _text(sent.get("text", ""), "text", _DESCRIPTION),
        "commands": [_command(_object(entry, "a command")) for entry in commands],
    }


def commands(body: Any) -> list[dict[str, Any]]:
    """Commands that an instructor ran, with their outputs. Raises Refused."""
    found = []
    for entry in _list(body, "the body", _COMMANDS):
        output = entry.get("output", "") if isinstance(entry, dict) else ""
        found.append({**_command(_object(entry, "a command")), "output": _cut(output, _OUTPUT)})
    return found


def message(body: Any) -> tuple[list[str] | None, str]:
    """To whom (None for all), and what. Raises Refused."""
    sent = _object(body, "the body")
    text = _text(sent.get("text"), "text", MESSAGE_LETTERS).strip()
    if not text:
        raise Refused("text is empty")
    return recipients(sent), text


def recipients(body: Any) -> list[str] | None:
    """The names in `to`, or None for all. Raises Refused."""
    to = _object(body, "the body").get("to")
    return None if to is None else [_string(name, "to", 255) for name in _list(to, "to", 1000)]


def chapter(body: Any) -> str:
    """The chapter to begin, whether it exists or not. Raises Refused."""
    return _string(_object(body, "the body").get("chapter"), "chapter", 100)


def clean(text: str) -> str:
    """Text without control characters and without what changes the direction of writing."""
    return _CONTROL.sub("", text)


def _record(entry: dict[str, Any]) -> tuple[int, Record]:
    kind, name, moment = entry.get("kind"), entry.get("name"), entry.get("moment")
    if kind not in get_args(Kind):
        raise Refused("kind is unknown")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refused("name is not one of an exercise or a chapter")
    if not _is_number(moment) or not 0 <= cast(float, moment) < _LATEST:
        raise Refused("moment is not in seconds of the epoch")
    lab = _text(entry.get("lab"), "lab", 100)
    detail = _shortened(_object(entry.get("detail"), "detail"))
    ok = _flag(entry.get("ok"), "ok")
    return _id(entry.get("id")), Record(float(cast(float, moment)), lab, cast(Kind, kind), name, ok, detail)


def _shortened(detail: dict[str, Any]) -> dict[str, Any]:
    """A record's detail, without what nobody would read to its end. Secrets are redacted."""
    kept = cast(dict[str, Any], _bounded(detail, _DEPTH))
    if len(json.dumps(kept)) <= _DETAIL:
        return kept
    small = {key: value for key, value in kept.items() if isinstance(value, bool | int | float)}
    return {**small, "shortened": True}


def _bounded(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact(clean(value)[:_STRING])
    if isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value[:_ITEMS]] if depth else []
    if isinstance(value, dict):
        some = list(value.items())[:_ITEMS] if depth else []
        return {clean(str(key))[:_STRING]: _bounded(item, depth - 1) for key, item in some}
    return value if value is None or isinstance(value, bool) or _is_number(value) else None


def _command(entry: dict[str, Any]) -> dict[str, Any]:
    code, moment = entry.get("code"), entry.get("moment")
    for number, name in ((code, "code"), (moment, "moment")):
        if number is not None and not _is_number(number):
            raise Refused(f"{name} is not a number")
    return {
        "moment": moment,
        "node": _cut(entry.get("node", ""), 200),
        "command": _cut(entry.get("command", ""), _COMMAND),
        "code": code,
    }


def _cut(value: Any, letters: int) -> str:
    if not isinstance(value, str):
        raise Refused("a text is missing")
    text = redact(clean(value.replace("\r\n", "\n")))
    return text if len(text) <= letters else f"{text[:letters]}\n… (shortened)"


def _object(value: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = _of(value, what, "an object", lambda it: isinstance(it, dict))
    return found


def _list(value: Any, what: str, most: int) -> list[Any]:
    kind = f"a list of at most {most}"
    found: list[Any] = _of(value, what, kind, lambda it: isinstance(it, list) and len(it) <= most)
    return found


def _string(value: Any, what: str, letters: int) -> str:
    kind = f"a text of at most {letters} letters"
    found: str = _of(value, what, kind, lambda it: isinstance(it, str) and len(it) <= letters)
    return found


def _text(value: Any, what: str, letters: int) -> str:
    return clean(_string(value, what, letters))


def _flag(value: Any, what: str) -> bool:
    found: bool = _of(value, what, "true or false", lambda it: isinstance(it, bool))
    return found


def _id(value: Any) -> int:
    def valid(found: Any) -> bool:
        return isinstance(found, int) and not isinstance(found, bool) and 0 < found < _LARGEST

    return int(_of(value, "id", "a positive number", valid))


def _of(value: Any, what: str, kind: str, valid: Callable[[Any], bool]) -> Any:
    if not valid(value):
        raise Refused(f"{what} is not {kind}")
    return value


def _is_number(value: Any) -> bool:
    """Whether it's a number that every reader of JSON can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _no_constant(name: str) -> None:
    raise ValueError(name)
