"""The class from the host's command line; run by `docker exec` in the service's container, with its token.

    python -m labkit.workshop.classroom.control status [--json]
    python -m labkit.workshop.classroom.control message TEXT [--to NAME]…
    python -m labkit.workshop.classroom.control begin CHAPTER [--to NAME]…
    python -m labkit.workshop.classroom.control reset NAME
    python -m labkit.workshop.classroom.control forget NAME | --all
    python -m labkit.workshop.classroom.control export csv|json

Exit codes: 0 done, 1 it failed (message on stderr), 2 wrong usage.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from labkit.util.console import table
from labkit.util.errors import LabError
from labkit.util.text import counted
from labkit.workshop.classroom.settings import Settings

_TIMEOUT_SECONDS = 30.0
_HEADER = ("LEARNER", "STATE", "CHAPTER", "EXERCISE", "FOR", "SOLVED", "LAST CHECK")
_WIDEST = 60  # letters of the last column


class Client:
    """Asks the running service. Raises LabError when it refuses, or when it doesn't answer."""

    def __init__(self, settings: Settings) -> None:
        host = "127.0.0.1" if settings.address == "0.0.0.0" else settings.address
        self._base = f"http://{host}:{settings.port}{settings.prefix}api/"
        self._token = settings.token

    def ask(self, method: str, path: str, body: Any = None) -> str:
        """The answer to a request, as text."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return str(answer.read().decode("utf-8"))
        except urllib.error.HTTPError as error:
            raise LabError("the class service refused", evidence=[_reason(error)]) from None
        except OSError as error:
            raise LabError(
                "the class service doesn't answer",
                evidence=[str(error)],
                next_step="look at the log of the workshop's class container",
            ) from None


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        print(_run(Client(Settings.read(environment)), options))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(client: Client, options: argparse.Namespace) -> str:
    """Do what a command asks for; return what to print."""
    match options.command:
        case "status":
            text = client.ask("GET", "class")
            return text if options.json else render(json.loads(text))
        case "message":
            return _sent(client, "messages", {"text": options.text, "to": options.to})
        case "begin":
            return _sent(client, "begin", {"chapter": options.chapter, "to": options.to})
        case "reset":
            return _sent(client, "reset", {"to": [options.name]})
        case "forget":
            path = "learners" if options.all else f"learners/{quote(options.name, safe='')}"
            deleted = json.loads(client.ask("DELETE", path))["deleted"]
            return f"Deleted everything about {counted(len(deleted), 'learner')}."
        case _:
            return client.ask("GET", f"export/{options.format}").removesuffix("\n")


def _sent(client: Client, path: str, body: Any) -> str:
    found = json.loads(client.ask("POST", path, body))
    sent, away = len(found["sent"]), len(found["sent"]) - len(found["connected"])
    if not sent:
        return "Nobody has arrived yet, so it wasn't sent."
    waits = f" {away} of them will get it when their place connects." if away else ""
    return f"Sent to {counted(sent, 'learner')}.{waits}"


def render(found: Mapping[str, Any]) -> str:
    """The class as a table for a terminal, whoever is stuck first."""
    titles = {part["name"]: part["title"] for part in found["course"]}
    rows = [_row(row, titles, found["now"]) for row in found["learners"]]
    if not rows:
        return "Nobody has arrived yet."
    stuck = sum(row["state"] == "stuck" for row in found["learners"])
    return f"{table(rows, _HEADER)}\n\n{counted(len(rows), 'learner')}, {stuck} stuck."


def _row(row: Mapping[str, Any], titles: Mapping[str, str], now: float) -> tuple[str, ...]:
    solved = sum(mark["solved"] is not None for mark in row["marks"].values())
    return (
        row["name"] if row["label"] == row["name"] else f"{row['name']} ({row['label']})",
        row["word"],
        titles.get(row["chapter"] or "", "-"),
        row["exercise"] or row["place"] or "-",
        _lasting(now - row["since"]) if row["since"] else "-",
        str(solved),
        _verdict(row["verdict"]),
    )


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "-"
    if verdict["ok"]:
        return f"✓ {verdict['exercise']}"
    text = f"✗ {verdict['exercise']}: {'; '.join(verdict['points'])}"
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _lasting(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="control", description="Steer the class service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status").add_argument("--json", action="store_true")
    for name, what in (("message", "text"), ("begin", "chapter")):
        command = commands.add_parser(name)
        command.add_argument(what)
        command.add_argument("--to", action="append", metavar="NAME")
    commands.add_parser("reset").add_argument("name")
    forget = commands.add_parser("forget").add_mutually_exclusive_group(required=True)
    forget.add_argument("name", nargs="?")
    forget.add_argument("--all", action="store_true")
    commands.add_parser("export").add_argument("format", choices=("csv", "json"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
