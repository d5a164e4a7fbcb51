"""What can happen to a node: what it is like in real life, the commands that do it and those that undo it."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.cluster.node import CUT_COMMANDS, RECONNECT_COMMANDS, FaultState, Node
from labkit.util.errors import LabError, NotConverged


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `state` is what `Node.fault` says of a node that is under it.

    `meaning` says in a sentence what it is in real life. `_commands` and `_undo_commands` are typed on the
    node; without them the fault is one of docker's own commands on the node's container.
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
        """Whether the commands are typed on the node; else on the machine that has the lab's engine."""
        return bool(self._commands)

    def commands(self, node: Node) -> tuple[str, ...]:
        """The commands that do it to this node, one a line."""
        return self._commands or _docker(self._apply, node)

    def undo_commands(self, node: Node) -> tuple[str, ...]:
        """The commands that take it back."""
        return self._undo_commands or _docker(self._undo, node)


def _docker(method: Callable[[Node], None], node: Node) -> tuple[str, ...]:
    """`Node`'s methods are named as the docker commands that do the same."""
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
    """Bring the fault upon a node; does nothing when the node is in that state already.

    Raises LabError while the node is under another fault, LabNotRunning when its container is gone.
    """
    state = node.fault
    if state == fault.state:
        return
    if state is not None:
        raise LabError(
            f"{node.name} is {state} already, and a node can have one fault at a time",
            next_step=f"bring it back first: {'; '.join(of(state).undo_commands(node))}",
        )
    fault._apply(node)


def undo(node: Node) -> None:
    """Take every fault from a node, also those that came by hand, and wait until its engine answers.

    Raises NotConverged when a fault is still there after it was undone.
    """
    for _ in CATALOGUE:  # a node under several has each of them once
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
    """The fault that brings a node into this state: for one without power, that it was shut down."""
    return next(fault for fault in CATALOGUE if fault.state == state)
