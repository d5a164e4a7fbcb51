"""The fault deck: break a node, see what it is in real life, and bring it back."""

from collections.abc import Sequence

import ipywidgets

from labkit.cluster import faults
from labkit.cluster.cluster import Cluster
from labkit.cluster.faults import CATALOGUE, Fault
from labkit.cluster.node import FaultState, Node
from labkit.swarm.model import Snapshot
from labkit.transport.commands import CancelToken, Sink
from labkit.util.errors import CommandInterrupted, LabError
from labkit.widgets import page
from labkit.widgets.panel import Panel, in_a_row, on_click
from labkit.widgets.runner import Work

_OUTSIDE = "engine's machine"


class Faults(Panel):
    """Stops, kills, pauses or cuts off a node, and brings it back. `lab.reset()` brings all back too."""

    offers = "buttons that stop, kill, pause, or cut off a node, and bring it back"

    def __init__(self, lab: Cluster) -> None:
        names = list(lab.nodes)
        self.states: dict[str, FaultState | None] = dict.fromkeys(names)
        self._unsure = set(names)  # nodes whose own answer is wanted: the swarm's does not tell all
        self.node = ipywidgets.ToggleButtons(options=names, description="node")
        self.fault = ipywidgets.ToggleButtons(
            options=[(fault.name, fault) for fault in CATALOGUE],
            tooltips=[fault.meaning for fault in CATALOGUE],
            description="fault",
        )
        for toggle in (self.node, self.fault):
            in_a_row(toggle)
        self.apply = on_click(
            ipywidgets.Button(description="Do it", icon="bolt", button_style="danger"),
            lambda: self.start_work(self._applying(self.node.value, self.fault.value)),
        )
        self.undo = on_click(
            ipywidgets.Button(description="Undo", icon="undo", tooltip="Bring the node back"),
            lambda: self.start_work(self._undoing([self.node.value])),
        )
        self.undo_all = on_click(
            ipywidgets.Button(description="Undo all", icon="undo", tooltip="Bring every node back"),
            lambda: self.start_work(self._undoing(names)),
        )
        self._about = ipywidgets.HTML()
        buttons = ipywidgets.HBox([self.apply, self.undo, self.undo_all], layout={"flex_flow": "row wrap"})
        super().__init__(lab, "Break a node", [self.node, self.fault, self._about, buttons])
        for toggle in (self.node, self.fault):
            toggle.observe(lambda _: self._explain(), "value")
        self._explain()

    def run(self, node: str, fault: str) -> FaultState | None:
        """Bring a fault such as `stop`, `kill`, `pause` or `cut off` upon a node; returns the node's state.

        Raises NoSuchNode, and what `faults.apply` raises.
        """
        found = next((known for known in CATALOGUE if known.name == fault), None)
        if found is None:
            known = ", ".join(known.name for known in CATALOGUE)
            raise LabError(f"there is no fault '{fault}'", next_step=f"use one of {known}")
        return self.run_work(self._applying(node, found))

    def restore(self, *nodes: str) -> None:
        """Take every fault from the nodes, from all when none is named; wait until their engines answer."""
        self.run_work(self._undoing(nodes or list(self.lab.nodes)))

    def report(self, snapshot: Snapshot) -> str:
        for name in snapshot.engines:
            if name in self._unsure or self.states.get(name) or not _well(snapshot, name):
                self._unsure.discard(name)  # first: what happens to it meanwhile makes it unsure again
                self.states[name] = self.lab.node(name).fault
        return " · ".join(f"{name} {state or 'runs'}" for name, state in self.states.items())

    def _applying(self, name: str, fault: Fault) -> Work[FaultState | None]:
        def work(_sink: Sink, _token: CancelToken) -> FaultState | None:
            node = self.lab.node(name)
            self.runner.announce(_where(node, fault), "\n".join(fault.commands(node)))
            try:
                faults.apply(node, fault)
            finally:
                self._unsure.add(name)
            return node.fault

        return work

    def _undoing(self, names: Sequence[str]) -> Work[None]:
        def work(sink: Sink, token: CancelToken) -> None:
            for name in names:
                if token.cancelled:
                    raise CommandInterrupted(f"stopped; {name} was not looked at any more")
                node = self.lab.node(name)
                state = node.fault
                if state:
                    fault = faults.of(state)
                    self.runner.announce(_where(node, fault), "\n".join(fault.undo_commands(node)))
                try:
                    faults.undo(node)
                finally:
                    self._unsure.add(name)
                sink(name, "stdout", f"{name} {'is back' if state else 'has no fault'}\n")

        return work

    def _explain(self) -> None:
        node, fault = self.lab.node(self.node.value), self.fault.value
        where = _where(node, fault)
        self._about.value = "".join(
            [
                page.note(fault.meaning),
                page.note("It runs:"),
                page.command_line(where, "\n".join(fault.commands(node))),
                page.note("To undo it:"),
                page.command_line(where, "\n".join(fault.undo_commands(node))),
            ]
        )


def _well(snapshot: Snapshot, name: str) -> bool:
    """Whether nothing is to be seen of a fault; of a fresh cut, nothing is for some seconds."""
    member = snapshot.node(name)
    return snapshot.engines[name].container == "running" and (member is None or member.status == "ready")


def _where(node: Node, fault: Fault) -> str:
    return node.name if fault.on_node else _OUTSIDE
