"""Builds what a first lab needs and starts its nodes, while JupyterLab is open already.

`labkit start` runs `labkit up --early` as a child for that. An interrupt ends it as it ends that command,
which removes what it left unfinished. The child also ends when nobody reads its output any more, because
labkit was killed.
"""

import argparse
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from labkit.engine.selection import EngineContext
from labkit.images import builder, store
from labkit.topology import topology
from labkit.util import lock
from labkit.util.console import ProgressReporter, Say
from labkit.util.errors import LabBusy
from labkit.util.paths import state_dir

_NOTE = "   "  # how a line begins that only the log gets; see ProgressReporter.progress
_END_SECONDS = 60.0  # of which the nodes of a first start that is interrupted get 20 s


def needed(context: EngineContext) -> bool:
    """Whether images are missing, so that a start takes minutes. In a virtual machine none can be."""
    if context.wants_vm or context.vm() is not None:
        return False
    client = context.client()
    return not all(store.has(client, tag) for tag in builder.content_tags(topology.load().images))


def start_early(context: EngineContext, start: Callable[[], object], reporter: ProgressReporter) -> None:
    """Call `start`, which starts the nodes, once the images for chapter 00 are there; then build the others.

    The lab's registry gets those with the next `up`, because it would be away for a moment. Chapters that
    need them do that.
    """
    client, images = context.own_client(timeout=600), topology.load().images
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(LabBusy):  # another lab's first start fills the bank for all of them
            stack.enter_context(lock.hold(builder.FILLING, wait=0))
        builder.ensure_all(client, images, reporter, early=True)
        start()
        builder.ensure_all(client, images, reporter)


def command(options: argparse.Namespace) -> list[str]:
    """The command that prepares the lab for which `labkit start` was called."""
    script = Path(sys.executable).with_name("labkit")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "labkit.cli.main"]
    chosen = [word for version in options.docker for word in ("--docker", version)]
    engine = ["--engine", options.engine] if options.engine else []
    return [*program, "up", "--early", "--lab", options.cluster.name, *engine, *chosen]


def log_of(lab: str) -> Path:
    """Where everything is written that the preparation of a lab says."""
    return state_dir() / f"start-{lab}.log"


@contextlib.contextmanager
def in_background(command: Sequence[str], log: Path, say: Say) -> Iterator[None]:
    """Run a command while the block runs; `say` gets the steps it has done, and why it failed.

    Ends it afterwards, if it's still running, and returns when it has cleaned up. Its output is in `log`.
    """
    with log.open("w") as everything:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is for JupyterLab, which then ends; this is told below
        )
        ending = threading.Event()
        reader = threading.Thread(
            target=_follow, args=(process, everything, say, ending.is_set), name="labkit-preparation"
        )
        reader.start()
        try:
            yield
        finally:
            ending.set()
            if process.poll() is None:
                say("Stopping the work in the background …")
                process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join()


def _follow(process: "subprocess.Popen[str]", log: IO[str], say: Say, is_ending: Callable[[], bool]) -> None:
    for line in process.stdout or ():
        log.write(line)
        log.flush()
        if not (line.startswith(_NOTE) or is_ending()):
            say(line.rstrip())
    code = process.wait()
    if code and not is_ending():
        say(f"The work in the background has failed (exit code {code}); all it said is in {log.name}.")
        say("Lab().up() in a notebook tries again, and shows the reason there.")
