"""Questions to the user of the command line, if there is a terminal to ask them in."""

import sys
from collections.abc import Callable

from labkit.course import consent
from labkit.engine import install, vm_lifecycle
from labkit.engine.selection import VM, EngineContext
from labkit.engine.vm import process
from labkit.util.errors import EngineNotFound, WouldRemove


def with_consent(begin: Callable[[], object]) -> bool:
    """Begin something, after a question if that removes what the user has made; whether it has begun.

    A text that it returns is printed.
    """
    try:
        begun = begin()
    except WouldRemove as error:
        if not _has_terminal():
            raise
        print(error.what, *(f"  {line}" for line in error.evidence), sep="\n")
        if not _ask(f"{consent.AGREE}?", default=False):
            print("Nothing was changed.")
            return False
        begun = error.begin()
    if isinstance(begun, str):
        print(begun)
    return True


def provide_engine(context: EngineContext) -> None:
    """Provide what carries the lab's nodes, or its virtual machine."""
    if vm_lifecycle.needs_docker(context):
        try:
            provide_own_engine()
        except EngineNotFound as nothing:
            if context.kind == VM:
                nothing.add_evidence("nor can a virtual machine run directly:", *process.obstacles())
                nothing.add_evidence(f"which takes: {process.remedy()}")
            raise


def provide_own_engine() -> None:
    """Provide an engine of the user's own, after a question if that installs or starts one."""
    install.ensure(print, _ask if _has_terminal() else None)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _ask(question: str, default: bool = True) -> bool:
    answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    return answer in ("y", "yes") or (default and not answer)
