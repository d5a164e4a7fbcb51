"""What each command of labkit does; every function takes the parsed options and returns an exit code."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit import hint
from labkit.console import Story, table
from labkit.errors import EngineNotFound, EngineUnsuitable, LabError, WouldRemove

if TYPE_CHECKING:  # what a command needs it imports itself: `labkit --help` and errors stay instant
    from labkit.lab import Lab


def start(options: argparse.Namespace) -> int:
    from labkit import jupyter

    _provide_engine(options)
    lab = _lab(options).up()
    return jupyter.serve(
        lab.name, port=options.port, browser=not options.no_browser, notebooks=options.notebooks
    )


def up(options: argparse.Namespace) -> int:
    _provide_engine(options)
    lab = _lab(options).up(swarm=options.swarm, keep=options.keep)
    shell, down = hint.command("shell", "manager1", lab=lab.name), hint.command("down", lab=lab.name)
    print(f"Lab '{lab.name}' is up.   a terminal on a node: {shell}   remove it: {down}")
    return 0


def down(options: argparse.Namespace) -> int:
    from labkit import bringup
    from labkit.lab import Lab

    names = bringup.all_labs() if options.all else [_lab(options).name]
    for lab in map(Lab, names):
        with Story().step(f"Lab '{lab.name}'") as step:
            removed = lab.down()
            step.result = f"removed {len(removed)} things" if removed else "nothing was left to remove"
    if not names:
        print("No lab is here.")
    if options.cache:
        removed = bringup.remove_kept()
        print(f"Removed {', '.join(removed)}." if removed else "No cache was left to remove.")
    return 0


def status(options: argparse.Namespace) -> int:
    from labkit import status

    report = status.report(_lab(options))
    print(json.dumps(report, indent=2) if options.json else status.words(report))
    return 0


def doctor(options: argparse.Namespace) -> int:
    from labkit import engine, images, status

    try:
        if engine.kind() != engine.DOCKER and not engine.has_machine(_lab(options).name):
            os.environ[hint.ENGINE_VARIABLE] = engine.DOCKER  # what could carry the machine is looked at
        probes = engine.examine(images.installed_tag(engine.client(), "node"))
        lab = _lab(options)
        probes += [engine.offer(lab.name, probes), status.stand_ins(lab)]
    except (EngineNotFound, EngineUnsuitable) as error:
        probes = engine.no_engine(error)
    print(json.dumps(engine.as_json(probes), indent=2) if options.json else engine.table(probes))
    return 1 if engine.essentials_missing(probes) else 0


def execute(options: argparse.Namespace) -> int:
    from labkit import terminal

    return terminal.attach_streams(_lab(options).node(options.node), options.command)


def shell(options: argparse.Namespace) -> int:
    from labkit import terminal

    return terminal.open_shell(_lab(options).node(options.node))


def logs(options: argparse.Namespace) -> int:
    sys.stdout.write(_lab(options).logs(options.node, options.lines))
    return 0


def reset(options: argparse.Namespace) -> int:
    lab = _lab(options)
    with Story().step(f"Lab '{lab.name}'") as step:
        lab.reset()
        step.result = "every node is a bare engine again"
    return 0


def begin(options: argparse.Namespace) -> int:
    _provide_engine(options)
    lab = _lab(options)
    if not _with_consent(lambda: lab.begin(options.chapter, yes=options.yes)):
        return 1
    print(f"Lab '{lab.name}' is where the chapter starts.")
    return 0


def practice(options: argparse.Namespace) -> int:
    lab = _lab(options)
    begun = _with_consent(lambda: lab.practice(options.scenario, seed=options.seed, yes=options.yes))
    return 0 if begun else 1


def exam(options: argparse.Namespace) -> int:
    lab = _lab(options)
    if options.action == "next":
        lab.next()
        return 0
    if options.action == "status":
        from labkit.course.exam import rounds

        print(rounds.status())
        return 0
    started = _with_consent(
        lambda: lab.exam(options.minutes, options.count, seed=options.seed, yes=options.yes)
    )
    return 0 if started else 1


def _with_consent(begin: Callable[[], object]) -> bool:
    """Begin something, after a question where it removes what the user has made; whether it has begun."""
    try:
        begin()
    except WouldRemove as error:
        if not _has_terminal():
            raise
        print(error.what, *(f"  {line}" for line in error.evidence), sep="\n")
        if not _ask("Remove all this and begin?", default=False):
            print("Nothing was changed.")
            return False
        begun = error.begin()
        if isinstance(begun, str):
            print(begun)
    return True


def check(options: argparse.Namespace) -> int:
    print(_lab(options).check(options.exercise))
    return 0


def next_hint(options: argparse.Namespace) -> int:
    _lab(options).hint(options.exercise)
    return 0


def explain(options: argparse.Namespace) -> int:
    _lab(options).explain(options.name)
    return 0


def progress(options: argparse.Namespace) -> int:
    from labkit.course import report

    found = report.summary()
    if options.html:
        try:
            options.html.write_text(report.page(found), encoding="utf-8")
        except OSError as error:
            raise LabError(f"{options.html} cannot be written", evidence=[str(error)]) from None
        print(f"Wrote {options.html}.")
    else:
        print(json.dumps(found, indent=2) if options.json else report.words(found))
    return 0


def images(options: argparse.Namespace) -> int:
    from labkit import bank, engine, images, topology

    if options.action == "preload":
        _lab(options).preload(*options.wanted)
    elif options.action == "build":
        _provide_own_engine()
        images.ensure_all(engine.own_client(), topology.load(), Story())
    elif options.action == "rm":
        for tag in images.remove_all(engine.own_client()):
            print(f"removed {tag}")
    else:
        rows = [
            (image.tag, f"{image.size / 1e6:.0f} MB", image.origin, "" if image.current else "outdated")
            for image in images.installed(engine.own_client())
        ]
        print(table(rows, ("IMAGE", "SIZE", "MADE FROM", "")))
        print()
        print(table(bank.overview(), ("NODES PULL", "WHAT IT IS", "TAGS")))
    return 0


def bundle_save(options: argparse.Namespace) -> int:
    from labkit.bundle.save import save

    _provide_own_engine()
    save(options.file, options.python)
    return 0


def bundle_load(options: argparse.Namespace) -> int:
    from labkit.bundle.load import load

    load(options.file, _provide_own_engine)
    return 0


def engine(_: argparse.Namespace) -> int:
    from labkit import engine

    engine.stop(print)
    return 0


def test(options: argparse.Namespace) -> int:
    from labkit import testing

    _provide_own_engine()
    return testing.run(options.pytest, options.full_kernel)


def _lab(options: argparse.Namespace) -> "Lab":
    from labkit.lab import Lab

    return Lab(getattr(options, "lab", None))


def _provide_engine(options: argparse.Namespace) -> None:
    """Provide what carries the lab's nodes, or its virtual machine."""
    from labkit import engine

    if engine.needs_docker(_lab(options).name):
        try:
            _provide_own_engine()
        except EngineNotFound as nothing:
            if engine.kind() == engine.VM:
                obstacles = engine.processes.obstacles()
                nothing.add_evidence("nor can a virtual machine run directly:", *obstacles)
                nothing.add_evidence(f"which takes: {engine.processes.remedy()}")
            raise


def _provide_own_engine() -> None:
    from labkit import engine

    engine.ensure(print, _ask if _has_terminal() else None)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _ask(question: str, default: bool = True) -> bool:
    answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    return answer in ("y", "yes") or (default and not answer)
