"""The grammar of `labkit workshop`: its actions and what they take."""

import argparse
from collections.abc import Callable
from pathlib import Path

from labkit.util.command_hint import DEFAULT_WORKSHOP

_COMMANDS = "workshop_commands"


def add(workshop: argparse.ArgumentParser, shared: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the actions to the parser of `labkit workshop`; each also takes the options that `shared` gives."""
    actions = workshop.add_subparsers(required=True, metavar="ACTION", title="actions")

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=summary, description=summary, parents=[shared()])
        made.add_argument(
            "--name",
            metavar="WORKSHOP",
            default=DEFAULT_WORKSHOP,
            help=f"which workshop ({DEFAULT_WORKSHOP})",
        )
        made.set_defaults(run=f"{_COMMANDS}.{name}")
        return made

    _add_up(action("up", "set a workshop up, or bring it back as it was"))
    check = action("check", "for the day before: find out how many learners fit, and start one place to see")
    check.add_argument("--learners", type=_count, metavar="N", help="how many you expect")
    check.add_argument("--port", type=_port, default=443, help="the port that you'll use (443)")
    check.add_argument("--json", action="store_true")
    cards = action("cards", "write the page of cards to print")
    cards.add_argument("file", nargs="?", type=Path, metavar="FILE", help="where to write it (cards.html)")
    cards.add_argument(
        "--renew", nargs="*", metavar="LOGIN", help="make new codes for these people, or for everybody"
    )
    late = action("add", "add a learner, and print their card's address and code")
    late.add_argument("person", metavar="NAME")
    _add_class(action)
    down = action("down", "remove the workshop")
    down.add_argument(
        "--keep-data", action="store_true", help="keep notebooks, progress, and what the class page knows"
    )


def _add_class(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add what instructors can also do on the class page."""
    status = action("status", "show who is at which exercise, and who is stuck")
    status.add_argument("--json", action="store_true")
    message = action("message", "send a message to everybody, or to some; it appears in their JupyterLab")
    message.add_argument("text", metavar="TEXT")
    begin = action("begin", "bring everybody's lab, or some, into a chapter's starting state")
    begin.add_argument("chapter", metavar="CHAPTER")
    for made in (message, begin):
        made.add_argument("--to", metavar="LOGIN", action="append", default=[], help="can be repeated")
    reset = action("reset", "turn the nodes of a learner's lab into bare engines again")
    reset.add_argument("login", metavar="LOGIN")
    forget = action("forget", "delete what the class page knows about a learner, or about everybody")
    forget.add_argument("login", nargs="?", default="", metavar="LOGIN")
    export = action("export", "write what everybody did to FILE.csv or FILE.json")
    export.add_argument("file", metavar="FILE", type=Path)


def _add_up(up: argparse.ArgumentParser) -> None:
    who = up.add_mutually_exclusive_group()
    who.add_argument("--learners", type=_count, metavar="N", help="this many learners, without names")
    who.add_argument("--roster", type=Path, metavar="FILE", help="learners by name, one a line")
    up.add_argument(
        "--instructor", action="append", metavar="NAME", help="who teaches; can be repeated (instructor)"
    )
    up.add_argument("--host", metavar="NAME", help="the name or address that learners type")
    up.add_argument("--port", type=_port, help="the port that is open (443)")
    up.add_argument("--cert", type=Path, metavar="FILE", help="your own certificate, with its chain, in PEM")
    up.add_argument("--key", type=Path, metavar="FILE", help="its key")
    up.add_argument(
        "--prestart", action=argparse.BooleanOptionalAction, help="start all places now, before anybody comes"
    )
    up.add_argument(
        "--open",
        action=argparse.BooleanOptionalAction,
        help="one code for everybody, who choose their names themselves: anyone can be anyone",
    )
    up.add_argument(
        "--internet",
        action=argparse.BooleanOptionalAction,
        help="let places reach what is outside the workshop",
    )
    up.add_argument("--memory", type=_gib, metavar="GIB", help="the most memory that a place may use (2)")
    up.add_argument("--cpus", type=float, metavar="N", help="the most cores that a place may use (2)")
    up.add_argument(
        "--idle-hours", type=float, metavar="H", help="stop a place after so long without a sign of life (8)"
    )
    up.add_argument("--pool", action="append", metavar="SUBNET", help="where places have their networks")
    up.add_argument("--runtime", metavar="NAME", help="the engine's runtime for places (not run here)")
    up.add_argument("--force", action="store_true", help="even if not all places fit")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 1000")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port")
    return int(text)


def _gib(text: str) -> int:
    try:
        return int(float(text) * (1 << 30))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size in GiB") from None
