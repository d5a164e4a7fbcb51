"""Errors about a lab's nodes, with evidence from the engines' logs and the host."""

import contextlib
import difflib
import textwrap
from collections.abc import Callable, Iterable, Mapping

from labkit.cluster.node import Node
from labkit.engine import doctor, limits
from labkit.engine.selection import ERRORS, EngineContext
from labkit.images import builder
from labkit.util.errors import LabError, LabNotRunning, NoSuchNode


def not_running(context: EngineContext) -> LabNotRunning:
    """The error for a command that needs nodes while the lab is down."""
    return LabNotRunning(f"lab '{context.lab}' is not running", next_step=context.hint("up"))


def no_such_node(context: EngineContext, name: str, names: Iterable[str]) -> LabError:
    """The error for a name that no node has, with the closest one; LabNotRunning if there are no nodes."""
    known = list(names)
    if not known:
        return not_running(context)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return NoSuchNode(
        f"lab '{context.lab}' has no node '{name}'",
        evidence=[f"its nodes: {', '.join(known)}"],
        next_step=f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}",
    )


def add_logs(
    error: BaseException, context: EngineContext, find_nodes: Callable[[], Mapping[str, Node]]
) -> None:
    """Add to the evidence the log of every node that didn't start, and what the host lacks."""
    if not isinstance(error, LabError):
        return
    with contextlib.suppress(LabError, *ERRORS):  # problems here must not hide `error`
        nodes = find_nodes().values()
        for node in nodes:
            if node.container.status != "running" or node.name in error.what:
                error.add_evidence(f"log of {node.name}:", textwrap.indent(node.logs(15), "  "))
        error.add_evidence(*limits.explain("\n".join(error.evidence)))
        if nodes:
            image = builder.installed_tag(context.client(), "node")
            for probe in doctor.essentials_missing(doctor.examine(context, image)):
                error.add_evidence(f"{probe.title}: {probe.found}   {probe.advice}")
