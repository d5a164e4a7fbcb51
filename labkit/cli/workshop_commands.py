"""The commands of `labkit workshop` that set it up, tell who is in it, and take it away."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit.cli import workshop_class
from labkit.cli.consent import provide_own_engine
from labkit.engine.selection import DOCKER, EngineContext
from labkit.util import command_hint
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from labkit.util.text import counted
from labkit.workshop import certificate, checkup, house, labels, provision, removal, roster, settings
from labkit.workshop.settings import Workshop

_NATIVE_WARNING = """\
Places are containers with the powers of a lab's node. Whoever controls such a place can take control of this
computer, so have only people in the class whom you trust."""
_OPEN_WARNING = "The workshop is open: everybody has the same code, so anyone can log in as anyone."
# Options that are settings of the same name.
_PLAIN = ("host", "port", "prestart", "internet", "memory", "cpus", "idle_hours", "runtime")


def up(options: argparse.Namespace) -> int:
    provide_own_engine()
    before = settings.load(options.name)
    wanted = _wanted(options, before)
    done = provision.up(_context(), wanted, ProgressReporter(), force=options.force)
    workshop = done.workshop
    print(f"\nThe workshop is open at {workshop.url}")
    for each in workshop.instructors:
        if code := done.fresh.get(each.login):
            print(f"\n{each.name} logs in as '{each.login}' with this code, which is shown only now:")
            print(f"\n    {code}\n")
    print(f"Cards to print: {_hint('cards', workshop.name)}", end="   ")
    print(f"Remove the workshop: {_hint('down', workshop.name)}")
    if workshop.open:
        print(_OPEN_WARNING)
    print(_NATIVE_WARNING)
    if done.failed:
        raise LabError(
            f"{counted(len(done.failed), 'place')} did not start",
            evidence=done.failed,
            next_step=_hint("up", workshop.name),
        )
    return 0


def cards(options: argparse.Namespace) -> int:
    workshop = settings.require(options.name)
    if options.renew is not None:
        workshop = _renew(workshop, options.renew)
    target = options.file or Path("cards.html")
    settings.write_private(target, settings.cards_path(workshop.name).read_text(encoding="utf-8"))
    print(f"{target} has the cards. Print it from a browser, and then delete it, because it has the codes.")
    return 0


def add(options: argparse.Namespace) -> int:
    workshop, new = settings.require(options.name), roster.person(options.person)
    if workshop.open:
        raise LabError(f"workshop '{workshop.name}' is open", next_step="give them the address and the code")
    if new.login in workshop.codes:
        raise LabError(
            f"there is already somebody who logs in as {new.login}",
            next_step=f"another name, or a new code: {_hint('cards', workshop.name, '--renew', new.login)}",
        )
    if len(workshop.learners) >= workshop.seats:
        raise LabError(
            f"the workshop is full: {counted(workshop.seats, 'learner')} have room on this computer",
            next_step=f"free memory or disk, then {_hint('up', workshop.name)}",
        )
    workshop, fresh = provision.with_codes(replace(workshop, people=[*workshop.people, new]), [new])
    _publish(workshop, fresh)
    print(f"{new.name} can log in at {workshop.url}\n    Name: {new.login}\n    Code: {fresh[new.login]}")
    return 0


def status(options: argparse.Namespace) -> int:
    print(workshop_class.status(_class(options), options.json).rstrip())
    return 0


def message(options: argparse.Namespace) -> int:
    print(workshop_class.message(_class(options), options.text, options.to).rstrip())
    return 0


def begin(options: argparse.Namespace) -> int:
    print(workshop_class.begin(_class(options), options.chapter, options.to).rstrip())
    return 0


def reset(options: argparse.Namespace) -> int:
    print(workshop_class.reset(_class(options), options.login).rstrip())
    return 0


def forget(options: argparse.Namespace) -> int:
    print(workshop_class.forget(_class(options), options.login).rstrip())
    return 0


def export(options: argparse.Namespace) -> int:
    print(workshop_class.export(_class(options), options.file))
    return 0


def check(options: argparse.Namespace) -> int:
    provide_own_engine()
    report = checkup.run(
        _context(), options.name, learners=options.learners, port=options.port, reporter=_quiet(options.json)
    )
    print(json.dumps(report.as_json(), indent=2) if options.json else report.text())
    return 0 if report.fine else 1


def down(options: argparse.Namespace) -> int:
    with ProgressReporter().step(f"Workshop '{options.name}'") as step:
        done = removal.down(_context(), options.name, keep_data=options.keep_data)
        step.result = (
            f"removed {counted(len(done.removed), 'object')}" if done.removed else "nothing to remove"
        )
    if done.kept:
        print("Kept, as you asked:", *(f"  {name}" for name in done.kept), sep="\n")
        print(f"Bring the workshop back: {_hint('up', options.name)}", end="   ")
        print(f"Remove it all: {_hint('down', options.name)}")
    return 0


def _wanted(options: argparse.Namespace, before: Workshop | None) -> Workshop:
    """The workshop's settings: what the command line says, what it said before, and the defaults."""
    workshop = before or Workshop(options.name, host=options.host or certificate.this_host())
    given: dict[str, Any] = {
        key: getattr(options, key) for key in _PLAIN if getattr(options, key) is not None
    }
    if options.pool:
        given["pools"] = options.pool
    if (options.cert is None) != (options.key is None):
        raise LabError("a certificate needs its key", next_step="give both --cert and --key, or neither")
    if options.cert:
        own = certificate.read(options.cert, options.key)
        given |= {"certificate": own.certificate, "key": own.key, "own_certificate": True}
    if options.open is not None:
        given["open"] = options.open
    return _with_people(replace(workshop, **given), options)


def _with_people(workshop: Workshop, options: argparse.Namespace) -> Workshop:
    teachers = [
        roster.person(name, roster.INSTRUCTOR) for name in options.instructor or ()
    ] or workshop.instructors
    teachers = teachers or [roster.Person("instructor", "Instructor", roster.INSTRUCTOR)]
    if workshop.open:
        seats = options.learners or workshop.seats
        if options.roster or not seats:
            raise LabError("an open workshop has no roster", next_step="say how many may come: --learners N")
        return replace(workshop, people=teachers, seats=seats)
    learners = workshop.learners
    if options.roster:
        learners = roster.read(options.roster)
    elif options.learners:
        learners = roster.numbered(options.learners)
    if not learners:
        raise LabError(
            "who is in the workshop?",
            next_step=_hint("up", workshop.name, "--learners", "10") + ", or --roster FILE",
        )
    return replace(workshop, people=roster.distinct([*teachers, *learners]))


def _renew(workshop: Workshop, logins: list[str]) -> Workshop:
    known = {each.login: each for each in workshop.people}
    if unknown := [login for login in logins if login not in known]:
        raise LabError(f"nobody logs in as {', '.join(unknown)}", next_step=f"use one of {', '.join(known)}")
    people = [known[login] for login in logins] if logins else workshop.learners
    workshop, fresh = provision.with_codes(workshop, people)
    _publish(workshop, fresh)
    for each in people:
        if each.teaches:
            print(
                f"{each.name} logs in with this code, which is shown only now:\n\n    {fresh[each.login]}\n"
            )
    return workshop


def _publish(workshop: Workshop, fresh: dict[str, str]) -> None:
    """Save who has which code, write the cards, and tell the hub, if it's there."""
    settings.save(workshop)
    provision.write_cards(workshop, fresh)
    house.write_people(_context().own_client(), workshop)


def _class(options: argparse.Namespace) -> Any:
    """The container of the class page. Raises LabError if it doesn't run."""
    settings.require(options.name)
    client = _context().own_client()
    entry = labels.container(client.api, options.name, labels.CLASS)
    if entry is None or entry["State"] != "running":
        raise LabError("the class page doesn't run", next_step=_hint("up", options.name))
    return client.containers.get(entry["Id"])


def _quiet(quiet: bool) -> ProgressReporter:
    return ProgressReporter(sys.stderr if quiet else None)


def _context() -> EngineContext:
    return EngineContext(labels.WORKSHOP, DOCKER)


def _hint(action: str, name: str, *words: str) -> str:
    named = [] if name == settings.DEFAULT_NAME else ["--name", name]
    return command_hint.command("workshop", action, *named, *words)
