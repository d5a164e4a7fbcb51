"""The entries that the engine writes into a container's FIFO: four bytes of length, then a protobuf message.

Sources: Docker's page "Docker log driver plugins" (framing); moby, api/types/plugins/logdriver/entry.proto
(the message's fields).
"""

import logging
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

LIMIT = 1024 * 1024  # bytes of an entry; the engine's are far smaller: it cuts lines at 16 KiB
START = re.compile(rb"\x00[\x00-\x10]..\x0a\x06std(?:out|err)\x10", re.DOTALL)

say = logging.getLogger("webdav-log")


class Entry(NamedTuple):
    source: str
    time: int  # nanoseconds since 1970
    line: bytes
    more: bool  # the line goes on in the source's next entry


def take_entries(data: bytearray) -> list[Entry]:
    """Take the complete entries off the front of `data`; the beginning of the next one stays.

    What is no entry is skipped: a plugin that was killed while it read leaves half an entry to its successor.
    """
    entries = []
    start = 0
    while len(data) - start > 4:
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        try:
            if not 0 < end - start - 4 <= LIMIT or data[start + 4] != 0x0A:
                raise ValueError("no entry")
            if end > len(data):
                break
            entries.append(decode_entry(bytes(data[start + 4 : end])))
            start = end
        except (ValueError, IndexError):
            found = START.search(data, start + 1)
            skipped = (found.start() if found else max(start + 1, len(data) - 12)) - start
            say.warning("%d bytes of a log could not be read", skipped)
            start += skipped
    del data[:start]
    return entries


def decode_entry(message: bytes) -> Entry:
    """Decode moby's LogEntry. Raises ValueError or IndexError when it is none."""
    values: dict[int, Any] = dict(fields(message))
    last = dict(fields(values.get(5, b""))).get(1, 0)
    more = bool(values.get(4, 0)) and not last
    return Entry(values[1].decode() if 1 in values else "", values.get(2, 0), values.get(3, b""), more)


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: numbers and byte strings, which is all that LogEntry has."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, at = varint(message, at)
        if key & 7 == 0:
            yield key >> 3, number
        elif key & 7 == 2 and at + number <= len(message):
            yield key >> 3, message[at : at + number]
            at += number
        else:
            raise ValueError("a field is cut off, or of a type that LogEntry has not")


def varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
