"""Buttons that open JupyterLab's terminals on the nodes."""

from html import escape

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.widgets import page
from labkit.widgets.panel import Panel


class Terminals(Panel):
    """Opens a terminal on a node, or says how to get one elsewhere."""

    offers = "buttons that open a terminal on each node"
    follows = False

    def __init__(self, lab: Cluster) -> None:
        names = list(lab.nodes)
        buttons = "".join(f"{button(name)} " for name in names)
        commands = "".join(page.command_line("terminal", self.command(lab, name)) for name in names)
        elsewhere = f"<details><summary>In a terminal of your own</summary>{commands}</details>"
        super().__init__(
            lab, "Terminals on the nodes", [ipywidgets.HTML(buttons), ipywidgets.HTML(elsewhere)]
        )

    @staticmethod
    def command(lab: Cluster, node: str) -> str:
        """The command that opens a shell on a node from any terminal."""
        return lab.context.hint("shell", node)


def button(node: str) -> str:
    """A button that JupyterLab's extension `swarm-lab` listens to."""
    name = escape(node)
    return (
        f'<button type="button" class="labkit-button" data-swarm-lab-terminal="{name}">'
        f"Terminal on {name}</button>"
    )
