"""One node of the lab, which is a container with a Docker engine: run commands on it, stop and start it."""

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import docker
from docker.models.containers import Container

from labkit.engine.selection import EngineContext
from labkit.transport import tunnel
from labkit.transport.attach import put_file
from labkit.transport.commands import DEFAULT_TIMEOUT, Result, run_on, write_through
from labkit.transport.tunnel import ANSWER_SECONDS, Answer, Lines, Tunnel
from labkit.util.deadline import Deadline
from labkit.util.errors import CommandFailed, LabError, LabNotRunning
from labkit.util.parallel import in_parallel

READY_TIMEOUT = 90.0
_FREEZER_SECONDS = 10.0
_CANNOT_INVOKE = 126  # the exit code of `docker exec` if its command does not start

FaultState = Literal["stopped", "paused", "cut off"]

# As if the network cable were unplugged: packets are dropped silently. The rules are in the table `mangle`,
# because in `filter` engines insert their own rules before others. `mangle` also sees what a node forwards
# for its tasks. The rules disappear with the node's network, so a node that starts has none.
_CABLE = ("PREROUTING --in-interface eth0 --jump DROP", "POSTROUTING --out-interface eth0 --jump DROP")
_CHECK_COMMANDS, CUT_COMMANDS, RECONNECT_COMMANDS = (
    tuple(f"iptables --wait --table mangle --{action} {rule}" for rule in _CABLE)
    for action in ("check", "append", "delete")
)


class Upgrader(Protocol):
    """`Cluster.upgrade`, as a node sees it."""

    def __call__(self, name: str, docker: str, *, fresh: bool) -> "Node": ...


class Node:
    """A node, found by its labels. It keeps no state of its own, because its container has all of it.

    `Lab.node` and `Lab.nodes` create it.
    """

    def __init__(
        self, container_id: str, name: str, context: EngineContext, upgrader: "Upgrader | None" = None
    ) -> None:
        """`upgrader` is the cluster's method that replaces this node's engine, for `upgrade`."""
        self.name, self.context = name, context
        self.lab = context.lab
        self._upgrader = upgrader
        self._bind(container_id)

    def _bind(self, container_id: str) -> None:
        self.container_id = container_id
        self._local = threading.local()  # docker-py clients are not safe across threads
        self._tunnel = Tunnel(self.context.thread_client, container_id)

    def __repr__(self) -> str:
        return f"<Node {self.name} of lab {self.lab}>"

    @property
    def client(self) -> docker.DockerClient:
        """This thread's client of the outer engine."""
        return self.context.thread_client()

    @property
    def container(self) -> Container:
        """The node's container as it is now. Raises LabNotRunning if it is gone."""
        try:
            return self.client.containers.get(self.container_id)
        except docker.errors.NotFound:
            raise LabNotRunning(
                f"{self.name} of lab '{self.lab}' is gone", next_step=self.hint("up")
            ) from None

    @property
    def address(self) -> str:
        """The node's fixed address on the lab's network, even while it is stopped."""
        (network,) = self.container.attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAMConfig"]["IPv4Address"])

    def deadline(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, or later where processors are emulated."""
        return self.context.deadline(seconds)

    def hint(self, *words: str) -> str:
        """`labkit WORDS` for this node's lab, as its user would type it."""
        return self.context.hint(*words)

    def explained(self) -> AbstractContextManager[None]:
        """Raise the reason why the node's engine does not answer, if it is the virtual machine."""
        return self.context.explained()

    @property
    def api(self) -> docker.APIClient:
        """A client of the engine inside the node, one per thread, through `docker system dial-stdio`."""
        if not hasattr(self._local, "api"):
            self._local.api = self._tunnel.open_api()
        api: docker.APIClient = self._local.api
        return api

    def ask(self, *paths: str, timeout: float = ANSWER_SECONDS) -> list[Answer] | None:
        """The answers of the node's engine to GET requests; None if one is missing. Thread-safe.

        `timeout` in seconds limits the wait for each answer.
        """
        try:
            return [self._tunnel.get(path, timeout) for path in paths]
        except tunnel.ERRORS:
            return None

    def follow(self, path: str) -> Lines:
        """The lines of an endless answer from the node's engine. Raises one of tunnel.ERRORS."""
        return self._tunnel.lines(path)

    def run(
        self,
        command: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        check: bool = True,
        quiet: bool = False,
    ) -> Result:
        """Run a shell command on the node; print its output as it is produced, unless `quiet`.

        The shell is `bash -e`, so the first command that fails ends it. Raises CommandFailed if it exits
        with a code other than 0 (unless `check` is false), CommandTimedOut after `timeout` seconds, and
        LabNotRunning if the node isn't running. An interrupt stops the command on the node too.
        """
        return run_on([self], command, timeout=timeout, check=check, sink=None if quiet else write_through)[0]

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Wait until the node's engine answers. Raises CommandFailed or CommandTimedOut."""
        deadline = self.deadline(timeout)
        for _ in deadline.attempts():
            try:
                left = deadline.left / self.context.patience  # `run` multiplies it again
                self.run("node-ready", timeout=max(1.0, left), quiet=True)
                return
            except CommandFailed as error:
                # runc can't enter a node while the node is mounting its cgroups.
                if error.exit_code != _CANNOT_INVOKE:
                    raise
                refused = error
        raise refused

    def logs(self, lines: int | None = None) -> str:
        """The log of the node's engine: the last `lines`, or all of it."""
        return self.container.logs(tail=lines if lines is not None else "all").decode(errors="replace")

    def stop(self, timeout: int = 10) -> None:
        """Shut the node down like a server; after `timeout` seconds, cut its power."""
        self.container.stop(timeout=timeout)

    def kill(self) -> None:
        """Cut the node's power, so it can't leave the swarm properly."""
        self.container.kill()

    def start(self) -> None:
        """Start a stopped node and wait until its engine answers."""
        self.container.start()
        self.wait_ready()

    def upgrade(self, docker: str, *, fresh: bool = False) -> None:
        """Replace the node's engine with a newer one, such as "28.5"; its data, address, and name stay.

        Its tasks stop for that time, so drain it first. `fresh` wipes the node and lets it rejoin its swarm.
        Prints each step. Raises what `Cluster.upgrade` raises.
        """
        if self._upgrader is None:
            raise LabError(f"{self.name} doesn't belong to a lab", next_step="use lab.node(...)")
        self._bind(self._upgrader(self.name, docker, fresh=fresh).container_id)

    def schedule_wipe(self) -> None:
        """Make the node's entry point turn it into a bare engine at its next start. The images stay."""
        put_file(self.container, "/var/lib/docker/forget")

    mark_to_forget = schedule_wipe  # its old name, which learners' copies of chapter 08 use

    def pause(self) -> None:
        """Freeze every process of the node."""
        # A busy computer may not freeze all of them within the time that runc allows.
        self._insist(lambda: self.container.pause(), "unable to freeze")

    def unpause(self) -> None:
        """Let a frozen node continue."""
        # While the last processes of a node are still freezing, runc reports that it is running.
        self._insist(lambda: self.container.unpause(), "cannot resume a running process")

    def _insist(self, ask: Callable[[], None], excuse: str) -> None:
        """Ask the engine again while it refuses for this reason. Raises APIError if it never stops."""
        for _ in self.deadline(_FREEZER_SECONDS).attempts():
            try:
                return ask()
            except docker.errors.APIError as error:
                if excuse not in str(error):
                    raise
                refused = error
        raise refused

    def cut_off(self) -> None:
        """Cut the node off from the network, as if its cable were unplugged: packets are dropped silently.

        Commands still reach it, through the outer engine. Idempotent. A restart of the node ends it.
        """
        pairs = zip(_CHECK_COMMANDS, CUT_COMMANDS, strict=True)
        self.run("\n".join(f"{check} 2>/dev/null || {cut}" for check, cut in pairs), quiet=True)

    def reconnect(self) -> None:
        """Reconnect a node that was cut off to the network; do nothing to other nodes."""
        pairs = zip(_CHECK_COMMANDS, RECONNECT_COMMANDS, strict=True)
        loops = (f"while {check} 2>/dev/null; do {undo}; done" for check, undo in pairs)
        self.run("\n".join(loops), quiet=True)

    @property
    def fault(self) -> FaultState | None:
        """The node's fault: `stopped` (or killed), `paused`, `cut off`, or None.

        Inspects the container, and runs one command on a running node. Raises LabNotRunning if the container
        is gone.
        """
        status = self.container.status
        if status == "paused":
            return "paused"
        if status != "running":
            return "stopped"
        cut = self.run(" || ".join(_CHECK_COMMANDS), check=False, quiet=True).exit_code == 0
        return "cut off" if cut else None


def ask(
    nodes: Iterable[Node], *paths: str, timeout: float = ANSWER_SECONDS
) -> dict[str, list[Answer] | None]:
    """Ask several nodes' engines the same at once; return each `Node.ask`'s result by the node's name."""
    answers: dict[str, list[Answer] | None] = {}

    def ask_one(node: Node) -> None:
        answers[node.name] = node.ask(*paths, timeout=timeout)

    in_parallel(ask_one, nodes)
    return answers
