"""JupyterLab's terminals: one named after a node opens on that node, any other one in a plain shell."""

import sys
from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from traitlets import List, Unicode

# If a process ends before the browser has connected, its last output is lost. So the terminal's process keeps
# running, and Enter tries again, for example once the node is back.
_SHELL = """
while :; do
    "$@"
    printf '\\nThis terminal is disconnected from %s. Press Enter to reconnect. ' "$0"
    read -r line || exit
done
"""


class NodeTerminals(TerminalManager):
    """Creates terminals on the nodes of a lab.

    JupyterLab asks for them by name: its command `terminal:open` with `{"name": "worker1"}`.
    """

    lab = Unicode(help="The lab's name.").tag(config=True)
    nodes = List(Unicode(), help="The names of its nodes.").tag(config=True)

    def create(self, **kwargs: Any) -> dict[str, Any]:
        """Create a terminal, or return the existing one, so that a double click doesn't lose one."""
        name = kwargs.get("name")
        if name in self.terminals:
            return self.get(name)
        # Not a login shell, which JupyterLab uses when it wasn't started from a terminal: it would reset PATH
        # and not find labkit.
        plain = [word for word in self.shell_command if word != "-l"]
        kwargs["shell_command"] = command(self.lab, name) if name in self.nodes else plain
        return super().create(**kwargs)


def command(lab: str, node: str) -> list[str]:
    """The argument vector that opens a shell on a node, and prints a message when there isn't one."""
    return ["sh", "-c", _SHELL, node, sys.executable, "-m", "labkit.cli.main", "shell", node, "--lab", lab]
