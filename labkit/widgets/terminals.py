"""Buttons that open JupyterLab's terminals on the nodes."""

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from labkit import hint
from labkit.widgets import page
from labkit.widgets.panel import Panel

if TYPE_CHECKING:
    from labkit.lab import Lab


class Terminals(Panel):
    """Opens a terminal on a node, or says how to get one elsewhere."""

    follows = False

    def __init__(self, lab: "Lab") -> None:
        names = list(lab.nodes)
        buttons = "".join(f"{button(name)} " for name in names)
        commands = "".join(page.command_line("terminal", self.command(lab, name)) for name in names)
        elsewhere = f"<details><summary>In a terminal of your own</summary>{commands}</details>"
        super().__init__(
            lab, "Terminals on the nodes", [ipywidgets.HTML(buttons), ipywidgets.HTML(elsewhere)]
        )

    @staticmethod
    def command(lab: "Lab", node: str) -> str:
        """The command that opens a shell on a node from any terminal."""
        return hint.command("shell", node, lab=lab.name)


def button(node: str) -> str:
    """A button that JupyterLab's extension `swarm-lab` listens to."""
    name = escape(node)
    return (
        f'<button type="button" class="labkit-button" data-swarm-lab-terminal="{name}">'
        f"Terminal on {name}</button>"
    )
