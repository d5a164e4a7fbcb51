"""The responses to requests into the swarm. Pure; parses what labkit's load generator prints."""

import json
import re
from dataclasses import dataclass

# Less than the 3 s after which a kernel gives up on an unused address, which curl reports as a refusal too.
ANSWER_SECONDS = 2
WRITE_OUT = " %{exitcode} %{http_code}"  # what curl appends to each answer

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
    """The outcome of one request.

    `entered` is the node whose published port it went to. `answered` is the task that answered, such as
    `web.3`, or `?` if the service doesn't say, or empty if none did. `node` is that task's node, or empty if
    it's unknown. `error` says in words why there was no answer.
    """

    entered: str
    answered: str = ""
    node: str = ""
    error: str = ""


def parse(line: str, service: str, seconds: float = ANSWER_SECONDS) -> Answer:
    """Read a line of the load generator: the node's name, what it answered, curl's exit code, HTTP's status.

    `seconds` is how long the request waited for an answer. The course's image `web` reports at /json which
    task of `service` it is and on which node. Any other HTTP response counts as answered by `?`.
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
    """The task and the node in an answer."""
    try:
        told = json.loads(said)
        slot, node = str(told["slot"]), str(told["node"])
    except (ValueError, LookupError, TypeError):
        return UNKNOWN, ""
    node = "" if node == "unknown" else node  # what the image says if it doesn't know its node
    if slot.isdecimal() and slot != "0":
        return f"{service}.{slot}", node
    return f"{service}.{node}" if node else UNKNOWN, node  # in global mode, a task's slot is its node's ID
