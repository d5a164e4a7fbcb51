"""`%%on NODE [NODE…]`: runs a cell as a shell script on nodes, and streams what they say."""

import argparse
import shlex
import sys
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class

from labkit.errors import CommandInterrupted
from labkit.lab import Lab
from labkit.running import DEFAULT_TIMEOUT, Result, failure, run_on, write_through


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage()}")


_parser = _Parser(prog="%%on", add_help=False)
_parser.add_argument("nodes", nargs="+", metavar="NODE")
_parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS")


@magics_class
class OnMagics(Magics):
    """The cell magic. It uses the notebook's `lab` where that is a Lab, else the default one."""

    @cell_magic
    def on(self, line: str, cell: str) -> None:
        """%%on NODE [NODE…] [--timeout SECONDS]

        Run the cell with `bash -e` on each node, on several at once. Output streams as it comes; the last
        line says exit code and duration. A command that fails fails the cell. An interrupt, or the
        deadline (120 s by default), stops the command on the node too.
        """
        arguments = _parser.parse_args(shlex.split(line))
        lab = (self.shell.user_ns if self.shell else {}).get("lab")
        lab = lab if isinstance(lab, Lab) else Lab()
        nodes = [lab.node(name) for name in arguments.nodes]
        sink = write_through if len(nodes) == 1 else _Prefixed(max(len(node.name) for node in nodes))
        try:
            results = run_on(nodes, cell, timeout=arguments.timeout, check=False, sink=sink)
        except KeyboardInterrupt:
            names = ", ".join(arguments.nodes)
            raise CommandInterrupted(f"interrupted; the command was stopped on {names} too") from None
        if isinstance(sink, _Prefixed):
            sink.finish()
        for result in results:
            print(_status_line(result))
        for result in results:
            if result.exit_code:
                raise failure(result)


def register(shell: Any) -> None:
    """Add the magic to an IPython shell."""
    shell.register_magics(OnMagics)


class _Prefixed:
    """Prints several nodes' output by whole lines, each behind its node's name."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._left: dict[tuple[str, str], str] = {}

    def __call__(self, node: str, stream: str, text: str) -> None:
        *lines, rest = (self._left.get((node, stream), "") + text).split("\n")
        self._left[node, stream] = rest
        for line in lines:
            self._print(node, stream, line)

    def finish(self) -> None:
        for (node, stream), rest in self._left.items():
            if rest:
                self._print(node, stream, rest)

    def _print(self, node: str, stream: str, line: str) -> None:
        print(
            f"{node:<{self._width}} │ {line}",
            file=sys.stderr if stream == "stderr" else sys.stdout,
            flush=True,
        )


def _status_line(result: Result) -> str:
    return f"└ {result.node} · exit {result.exit_code} · {result.duration:.1f} s"
