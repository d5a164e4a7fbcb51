"""Carries out what an instructor orders for a learner's lab: with `labkit begin` and `labkit reset`."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Sequence
from typing import Any

_CHAPTER = re.compile(r"[A-Za-z0-9][\w-]*")
_SECONDS = 900.0
_END_SECONDS = 30.0
_TOLD_CHARACTERS = 2_000
_ATTEMPTS, _PAUSE_SECONDS = 24, 5.0  # for an order that comes while the place is starting
_STARTING = ("EngineNotFound", "LabNotRunning")


class InvalidOrder(Exception):
    """The order isn't one that can be carried out; says why."""


def arguments(order: str, data: dict[str, Any]) -> list[str]:
    """What `labkit` is called with for an order. Raises InvalidOrder."""
    if order == "reset":
        return ["reset"]
    chapter = str(data.get("chapter", ""))
    if not _CHAPTER.fullmatch(chapter):
        raise InvalidOrder(f"invalid chapter name '{chapter}'")
    return ["begin", chapter, "--yes"]


async def carry_out(order: str, data: dict[str, Any]) -> tuple[bool, str]:
    """Carry out an order; return whether it worked, and what was printed."""
    try:
        command = [sys.executable, "-m", "labkit.cli.main", *arguments(order, data)]
    except InvalidOrder as error:
        return False, str(error)
    for _ in range(_ATTEMPTS):
        ok, text = await run(command)
        if ok or not any(line.startswith(_STARTING) for line in text.splitlines()):
            break
        await asyncio.sleep(_PAUSE_SECONDS)
    return ok, text


async def run(command: Sequence[str], seconds: float = _SECONDS) -> tuple[bool, str]:
    """Run a command; return whether it exited 0, and the end of what it printed.

    It's ended when it takes longer, and when this is canceled.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        return False, f"it took longer than {seconds:g} s and was stopped"
    finally:
        await end(process)
    return process.returncode == 0, printed.decode(errors="replace").strip()[-_TOLD_CHARACTERS:]


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process, and wait until it and its pipes are closed. Idempotent."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # labkit cleans up
    try:
        await asyncio.wait_for(process.communicate(), _END_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
