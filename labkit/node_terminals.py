"""JupyterLab's terminals: one that has a node's name opens on that node, any other in a plain shell."""

import sys
from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from traitlets import List, Unicode

# A process that ends before the browser is connected takes its last words with it. So the terminal's process
# stays, and Enter tries again: that is what one wants when the node has come back.
_SHELL = """
while :; do
    "$@"
    printf '\\nThis terminal is not on %s now. Press Enter to open it there. ' "$0"
    read -r line || exit
done
"""


class NodeTerminals(TerminalManager):
    """Makes terminals on the nodes of a lab.

    JupyterLab asks for them by name: its command `terminal:open` with `{"name": "worker1"}`.
    """

    lab = Unicode(help="The lab's name.").tag(config=True)
    nodes = List(Unicode(), help="The names of its nodes.").tag(config=True)

    def create(self, **kwargs: Any) -> dict[str, Any]:
        """Make a terminal, or return the one that is there: two clicks at once must not lose one."""
        name = kwargs.get("name")
        if name in self.terminals:
            return self.get(name)
        # Not a login shell, which JupyterLab takes where it was not started from a terminal: that would set
        # PATH anew, and not find labkit.
        plain = [word for word in self.shell_command if word != "-l"]
        kwargs["shell_command"] = command(self.lab, name) if name in self.nodes else plain
        return super().create(**kwargs)


def command(lab: str, node: str) -> list[str]:
    """The argument vector that opens a shell on a node, and says so in words when there is none."""
    return ["sh", "-c", _SHELL, node, sys.executable, "-m", "labkit.cli", "shell", node, "--lab", lab]
