"""Faults of a node: what each is like in real life, and the commands that cause and undo it."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.cluster.node import CUT_COMMANDS, RECONNECT_COMMANDS, FaultState, Node
from labkit.util.errors import LabError, NotConverged


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `state` is what `Node.fault` returns for a node that has it.

    `meaning` is a sentence about what it's like in real life. `_commands` and `_undo_commands` run on the
    node. Without them, the fault is one of docker's own commands on the node's container.
    """

    name: str
    state: FaultState
    meaning: str
    _apply: Callable[[Node], None]
    _undo: Callable[[Node], None]
    _commands: tuple[str, ...] = ()
    _undo_commands: tuple[str, ...] = ()

    @property
    def on_node(self) -> bool:
        """Whether the commands run on the node; otherwise they run on the lab engine's host."""
        return bool(self._commands)

    def commands(self, node: Node) -> tuple[str, ...]:
        """The commands that cause it on this node, one per line."""
        return self._commands or _docker(self._apply, node)

    def undo_commands(self, node: Node) -> tuple[str, ...]:
        """The commands that undo it."""
        return self._undo_commands or _docker(self._undo, node)


def _docker(method: Callable[[Node], None], node: Node) -> tuple[str, ...]:
    """`Node`'s methods have the names of the docker commands that do the same."""
    return (f"docker {method.__name__} {node.container.name}",)


STOP = Fault(
    "stop",
    "stopped",
    "The server is shut down properly, as for maintenance.",
    Node.stop,
    Node.start,
)
KILL = Fault(
    "kill",
    "stopped",
    "The server loses power, so nothing on it can clean up.",
    Node.kill,
    Node.start,
)
PAUSE = Fault(
    "pause",
    "paused",
    "The server hangs: it's on, but it doesn't respond.",
    Node.pause,
    Node.unpause,
)
CUT_OFF = Fault(
    "cut off",
    "cut off",
    "The network cable is pulled: the node and its tasks keep running, but nothing can reach them.",
    Node.cut_off,
    Node.reconnect,
    CUT_COMMANDS,
    RECONNECT_COMMANDS,
)
CATALOGUE = (STOP, KILL, PAUSE, CUT_OFF)


def apply(node: Node, fault: Fault) -> None:
    """Cause the fault on a node; do nothing if the node already has it.

    Raises LabError if the node has another fault, and LabNotRunning if its container is gone.
    """
    state = node.fault
    if state == fault.state:
        return
    if state is not None:
        raise LabError(
            f"{node.name} is already {state}, and a node can have only one fault at a time",
            next_step=f"bring it back first: {'; '.join(of(state).undo_commands(node))}",
        )
    fault._apply(node)


def undo(node: Node) -> None:
    """Undo every fault of a node, including those caused by hand, and wait until its engine answers.

    Raises NotConverged if a fault is still there after it was undone.
    """
    for _ in CATALOGUE:  # a node that has several has each of them once
        state = node.fault
        if state is None:
            return node.wait_ready()
        of(state)._undo(node)
    if state := node.fault:
        raise NotConverged(
            f"{node.name} is still {state}",
            evidence=[f"this did not help: {command}" for command in of(state).undo_commands(node)],
            next_step=node.hint("reset"),
        )
    return node.wait_ready()


def of(state: FaultState) -> Fault:
    """The fault that brings a node into this state; for a stopped node, a proper shutdown."""
    return next(fault for fault in CATALOGUE if fault.state == state)
