"""`labkit completion`: prints what makes a shell complete labkit's commands, options, and files."""

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import shtab

from labkit.cli import parser

# shtab registers `labkit`. These lines do the same for those who call it by another name, such as ./lab:
# shells find the completions of a path by its last part.
_ALSO = {
    "bash": "complete -o bashdefault -F _shtab_labkit {name}",
    "zsh": "[[ $zsh_eval_context[-1] != eval ]] || compdef _shtab_labkit {name}",
    "fish": "complete -c {name} -w labkit",
}


def show(options: argparse.Namespace) -> int:
    print(script(options.shell, os.environ.get("LABKIT_COMMAND", "labkit")))
    return 0


def script(shell: str, command: str) -> str:
    """The completions for a shell to evaluate, for `labkit` and for `command`, the way it was called."""
    grammar = parser.make()
    for action in _actions(grammar):
        if action.type is Path:
            kind = shtab.DIRECTORY if action.metavar == "FOLDER" else shtab.FILE
            action.complete = kind  # type: ignore[attr-defined]  # where shtab looks
    text = shtab.complete(grammar, shell)
    if (name := Path(command).name) != grammar.prog:
        text += f"\n{_ALSO[shell].format(name=shlex.quote(name))}\n"
    return text


def _actions(grammar: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument, those of subcommands too."""
    for action in grammar._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
