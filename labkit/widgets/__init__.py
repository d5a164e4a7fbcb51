"""Widgets for notebooks: each builds one command, shows it, runs it on a real node and shows what came of it.

`widgets.Scale(lab, "web")` as the last expression of a cell shows one. Every widget has a headless form,
`.run(…)`: it waits, returns the command's `Result` and raises what went wrong.
"""

from labkit.widgets.command import Command
from labkit.widgets.scale import Scale

__all__ = ["Command", "Scale"]
