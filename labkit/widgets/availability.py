"""A toggle for each node's availability."""

import shlex

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.swarm import checks
from labkit.swarm.model import Node, Snapshot
from labkit.transport.commands import Result
from labkit.widgets import page
from labkit.widgets.panel import Panel, in_a_row

CHOICES = ("active", "pause", "drain")
_TOOLTIPS = (
    "takes new tasks",
    "takes no new tasks; those that it has run on",
    "takes no new tasks; those that it has are moved away",
)


class Availability(Panel):
    """Runs `docker node update --availability …` when a toggle is clicked; toggles are as the swarm is."""

    offers = "three buttons for each node, which run `docker node update --availability`"

    def __init__(self, lab: Cluster) -> None:
        self._actual: dict[str, str] = {}  # of the swarm
        self.toggles: dict[str, ipywidgets.ToggleButtons] = {}
        super().__init__(lab, "Availability of nodes")

    def run(self, node: str, availability: str) -> Result:
        """Change a node's availability. Raises what `Node.run` raises."""
        return self.run_work(self.on(command(node, availability)))

    def reflect(self, snapshot: Snapshot) -> None:
        members = {node.name: node for name in snapshot.engines if (node := snapshot.node(name))}
        self._actual = {name: node.availability for name, node in members.items()}
        if members.keys() != self.toggles.keys():
            self.toggles = {name: self._toggle(node) for name, node in members.items()}
            self.controls.children = list(self.toggles.values())
            self.runner.hint("A click runs " + command("NODE", "…") + " on a manager.")
        for name, toggle in self.toggles.items():
            toggle.value = self._actual[name]

    def report(self, snapshot: Snapshot) -> str:
        return page.verdict(checks.nodes_ready(len(snapshot.engines))(snapshot))

    def _toggle(self, node: Node) -> ipywidgets.ToggleButtons:
        toggle = ipywidgets.ToggleButtons(
            options=CHOICES, value=node.availability, description=node.name, tooltips=_TOOLTIPS
        )
        in_a_row(toggle)

        def clicked(value: str) -> None:
            if value != self._actual[node.name]:  # the learner's doing, not the swarm's
                self.start_work(self.on(command(node.name, value)))

        toggle.observe(lambda change: clicked(change["new"]), "value")
        return toggle


def command(node: str, availability: str) -> str:
    """The command that changes a node's availability."""
    return f"docker node update --availability {availability} {shlex.quote(node)}"
