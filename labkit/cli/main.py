"""The command `labkit`. Exit codes: 0 done, 1 it failed (message on stderr), 2 wrong usage."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from labkit.cli import parser
from labkit.swarm import advice
from labkit.util import command_hint
from labkit.util.errors import LabError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser.parse(sys.argv[1:] if arguments is None else list(arguments))
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return _run(options)
    except LabError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace) -> int:
    """Run the function that the parser names: its module is imported only now, so that help is instant."""
    module, _, function = options.run.partition(".")
    run = getattr(importlib.import_module(f"labkit.cli.{module}"), function)
    try:
        return int(run(options))
    except BrokenPipeError:
        raise
    except _engine_errors() as error:
        cluster = getattr(options, "cluster", None)
        raise (cluster and cluster.context.trouble()) or _refused(error) from None


def _engine_errors() -> tuple[type[Exception], ...]:
    """What an engine raises; asked for only after a failure, because it imports most of docker-py."""
    from labkit.engine.selection import ERRORS

    return ERRORS


def _refused(error: Exception) -> LabError:
    known = advice.for_output(str(error))
    again = f"{command_hint.command('doctor')}, then the same command again"
    return LabError(
        f"the Docker engine refused: {error}", next_step=again if known == advice.OTHERWISE else known
    )


def _as_interrupt(*_: Any) -> None:
    """SIGTERM ends a command as Ctrl-C does, so that it cleans up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
