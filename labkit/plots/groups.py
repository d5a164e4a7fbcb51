"""Nodes grouped by a label, for the placement picture."""

from dataclasses import dataclass, replace

from labkit.plots.arrangement import Arrangement
from labkit.swarm.model import Snapshot
from labkit.util.text import listed, natural


@dataclass(frozen=True)
class Group:
    """The nodes with the same value of a label; `value` is empty for those without the label."""

    label: str
    value: str
    nodes: tuple[str, ...]

    @property
    def title(self) -> str:
        """`zone = a`, or `no zone`."""
        return f"{self.label} = {self.value}" if self.value else f"no {self.label}"


def grouped(plan: Arrangement, snapshot: Snapshot, label: str) -> tuple[Arrangement, tuple[Group, ...]]:
    """The plan with its columns ordered by group, and the groups; no groups without a label.

    `label` may be written as in a constraint: `node.labels.zone`.
    """
    label = label.removeprefix("node.labels.")
    if not label:
        return plan, ()
    values = {
        column.name: node.labels.get(label, "") if (node := snapshot.node(column.name)) else ""
        for column in plan.columns
    }
    ordered = sorted(set(values.values()), key=lambda value: (not value, natural(value)))
    groups = tuple(
        Group(label, value, tuple(name for name in values if values[name] == value)) for value in ordered
    )
    columns = {column.name: column for column in plan.columns}
    order = tuple(columns[name] for group in groups for name in group.nodes)
    return replace(plan, columns=order), groups


def describe_group(group: Group) -> str:
    """The group in words."""
    return f"{group.title}: {listed(group.nodes)}."
