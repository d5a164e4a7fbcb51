"""What came back when requests entered the swarm. Pure; reads what labkit's load generator prints."""

import json
import re
from dataclasses import dataclass

# Less than the 3 s after which a kernel gives up an address that nobody has: curl calls that a refusal too.
ANSWER_SECONDS = 2
WRITE_OUT = " %{exitcode} %{http_code}"  # what curl adds to each answer

_LINE = re.compile(r"(?P<entered>\S+) (?P<said>.*) (?P<exit>\d+) (?P<http>\d{3})")
_ERRORS = {  # curl's exit codes, "EXIT CODES" in its manual
    7: "refused: nothing listens on this port of the node",
    28: "no answer within {seconds:g} s",
    52: "the connection was closed without an answer",
    56: "the connection broke before the answer was complete",
}
UNKNOWN = "?"


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    `entered` is the node whose published port it went to. `answered` is the task that answered, such as
    `web.3` (`?` when the service does not tell), empty when none did. `node` is that task's node, empty when
    unknown. `error` says in words why there was no answer.
    """

    entered: str
    answered: str = ""
    node: str = ""
    error: str = ""


def parse(line: str, service: str, seconds: float = ANSWER_SECONDS) -> Answer:
    """Read a line of the load generator: the node's name, what it answered, curl's exit code, HTTP's status.

    `seconds` is how long the request would wait for its answer. The course's image `web` tells at /json which
    task of `service` and which node it is; whatever else answers in HTTP counts as answered by `?`.
    """
    found = _LINE.fullmatch(line)
    if not found:
        raise ValueError(f"not a line of the load generator: {line!r}")
    entered, exit_code = found["entered"], int(found["exit"])
    if exit_code:
        words = _ERRORS.get(exit_code, f"curl failed with exit code {exit_code}")
        return Answer(entered, error=words.format(seconds=seconds))
    return Answer(entered, *_who(found["said"], service))


def _who(said: str, service: str) -> tuple[str, str]:
    """The task and the node that an answer names."""
    try:
        told = json.loads(said)
        slot, node = str(told["slot"]), str(told["node"])
    except (ValueError, LookupError, TypeError):
        return UNKNOWN, ""
    node = "" if node == "unknown" else node  # the image's words when nobody told it its place
    if slot.isdecimal() and slot != "0":
        return f"{service}.{slot}", node
    return f"{service}.{node}" if node else UNKNOWN, node  # in global mode a task's slot is its node's ID
