"""A command that the learner may edit, and the node to run it on."""

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.transport.commands import DEFAULT_TIMEOUT, Result
from labkit.widgets.panel import Panel, on_click


class Command(Panel):
    """Runs a shell script (`bash -e`) on a node, stopped after `timeout` seconds.

    Raises NoSuchNode, LabNotRunning.
    """

    offers = "a field and a button that run this command"
    follows = False

    def __init__(
        self, lab: Cluster, command: str = "", *, node: str = "manager1", timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.timeout = timeout
        self.node = ipywidgets.Dropdown(
            options=list(lab.nodes), value=lab.node(node).name, description="on node"
        )
        self.command = ipywidgets.Textarea(
            value=command,
            description="command",
            rows=min(max(command.count("\n") + 1, 2), 12),
            continuous_update=False,
            layout={"width": "auto"},
        )
        self.command.add_class("labkit-code")
        self.button = on_click(
            ipywidgets.Button(description="Run", icon="play", button_style="primary"), self._run
        )
        row = ipywidgets.HBox([self.node, self.button], layout={"flex_flow": "row wrap"})
        first = command.strip().partition("\n")[0]
        super().__init__(lab, "Run a command on a node", [self.command, row])
        self.title = f"`{first}` on {node}" if first else f"on {node}"
        for control in (self.command, self.node):
            control.observe(lambda _: self._announce(), "value")
        self._announce()

    def run(self, command: str | None = None, *, node: str | None = None) -> Result:
        """Run the command, or another one, and wait for its end. Raises what `Node.run` raises."""
        return self.run_work(self.on(command or self.command.value, node or self.node.value, self.timeout))

    def _run(self) -> None:
        self.start_work(self.on(self.command.value, self.node.value, self.timeout))

    def _announce(self) -> None:
        self.runner.clear()
        self.runner.announce(self.node.value, self.command.value)
