"""`Cluster`: the nodes of one named lab. All of their state is in the engine, found by labels."""

import contextlib
import difflib
import shlex
import textwrap
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

import docker

from labkit.cluster import provision, swarm_init
from labkit.cluster.node import Node, ask
from labkit.engine import doctor, foreign, rootless, vm_lifecycle
from labkit.engine.selection import DOCKER, ERRORS, EngineContext
from labkit.images import builder
from labkit.swarm.checks import Check
from labkit.swarm.model import Snapshot
from labkit.swarm.parse import parse_engine, parse_snapshot
from labkit.topology.topology import LAB_NAME, LAB_NAME_RULE, Topology
from labkit.transport.commands import run_on
from labkit.transport.tunnel import ANSWER_SECONDS
from labkit.util import command_hint, lock
from labkit.util.console import ProgressReporter
from labkit.util.errors import (
    CommandFailed,
    CommandTimedOut,
    LabError,
    LabNotRunning,
    NoSuchNode,
    NotConverged,
)

T = TypeVar("T")

_PULL_SECONDS = 600.0
_BARE, _FORMED = "nodes", "swarm"  # the snapshots of a virtual machine
_LISTS = ("/nodes", "/services", "/tasks", "/networks")  # what a snapshot is made of


class Cluster:
    """A lab's Docker engines in containers, found by the lab's name.

    `name` defaults to LABKIT_LAB, otherwise `swarm-lab`. `engine` is the kind of engine that runs the lab,
    `docker`, `vm`, or `vm-direct`; it defaults to LABKIT_ENGINE. Raises LabError for an invalid name or kind.
    """

    def __init__(self, name: str | None = None, *, engine: str | None = None) -> None:
        self.name = name or command_hint.default_lab()
        if not LAB_NAME.fullmatch(self.name):
            raise LabError(f"invalid lab name '{self.name}'", next_step=f"use {LAB_NAME_RULE}")
        self.context = EngineContext(self.name, engine)
        self._nodes: dict[str, Node] = {}
        self._last_manager = ""
        self._shared: dict[Callable[..., Any], Any] = {}
        self._shared_lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def shared(self, make: Callable[["Cluster"], T]) -> T:
        """The object that `make` creates for this cluster, shared by all callers, such as its watcher."""
        with self._shared_lock:
            if make not in self._shared:
                self._shared[make] = make(self)
            found: T = self._shared[make]
            return found

    # -- life cycle ---------------------------------------------------------------------------------

    def up(
        self, *, swarm: bool = False, keep: bool = False, reporter: ProgressReporter | None = None
    ) -> Self:
        """Start every node, whatever state the lab is in; form the swarm too if `swarm` is true.

        Idempotent. If a first start fails, removes what it created, unless `keep`. Raises EngineNotFound,
        EngineUnsuitable, TopologyInvalid, ImageUnavailable, NotConverged, LabBusy.
        """
        reporter = reporter or ProgressReporter()
        with self._lock(reporter):
            vm = vm_lifecycle.power_on(self.context, [_FORMED, _BARE] if swarm else [_BARE], reporter)
            with reporter.step("Docker engine") as step:
                client = self.context.client()
                step.result = f"{client.version()['Version']} at {self.context.endpoint().url}"
            wanted = provision.choose_topology(client, self.name)
            vm_lifecycle.require_images(self.context, client, wanted.images)
            fresh = not provision.containers(client, self.name)
            foreign.require_own(client, foreign.names_of(wanted))
            if fresh:
                rootless.require_root(client, self.context.endpoint())
                doctor.require_room(client)
            try:
                self._start(client, wanted, reporter, resumed=bool(vm and vm.resumed))
                if fresh and vm:
                    vm.save(_BARE, reporter)
                if swarm:
                    self._form(client, reporter)
                    if vm and (fresh or vm.resumed == _BARE):
                        vm.save(_FORMED, reporter)
            except BaseException as error:
                self._add_logs(error)
                if fresh and not keep:
                    reporter.say("   removing what was started (use --keep to keep it)")
                    self._remove_rest(reporter)
                raise
        return self

    def _start(
        self, client: docker.DockerClient, wanted: Topology, reporter: ProgressReporter, *, resumed: bool
    ) -> None:
        """Create what is missing and start what is stopped; resumed nodes are ready already."""
        built = builder.ensure_all(client, wanted.images, reporter)
        with reporter.step("Network and volumes") as step:
            wanted = provision.create_network(self.context, wanted)
            provision.create_volumes(client, wanted)
            step.result = provision.describe_network(self.context, wanted)
        with reporter.step("Nodes and services") as step:
            if not resumed:
                provision.start_containers(self.context, wanted, built)
            step.result = " ".join(service.name for service in wanted.services)
        if outdated := provision.outdated_nodes(client, self.name):
            reporter.say(f"   {' '.join(outdated)}: outdated image; to update: {self.context.hint('reset')}")

    def _form(self, client: docker.DockerClient, reporter: ProgressReporter) -> None:
        wanted = provision.choose_topology(client, self.name)
        with reporter.step("Swarm") as step:
            swarm_init.form(self.nodes, wanted)
            step.result = f"{len(wanted.nodes)} nodes ready"

    def _add_logs(self, error: BaseException) -> None:
        """Add to the evidence the log of every node that didn't start, and what the host lacks."""
        if not isinstance(error, LabError):
            return
        with contextlib.suppress(LabError, *ERRORS):  # problems here must not hide `error`
            nodes = self.nodes.values()
            for node in nodes:
                if node.container.status != "running" or node.name in error.what:
                    error.add_evidence(f"log of {node.name}:", textwrap.indent(node.logs(15), "  "))
            if nodes:
                image = builder.installed_tag(self.context.client(), "node")
                for probe in doctor.essentials_missing(doctor.examine(self.context, image)):
                    error.add_evidence(f"{probe.title}: {probe.found}   {probe.advice}")

    def down(self) -> list[str]:
        """Remove every container, volume and network of the lab; return their names. Idempotent."""
        with self._lock():
            return self._remove()

    def _remove_rest(self, reporter: ProgressReporter) -> None:
        """Remove what a failed first start created; problems here must not hide why it failed."""
        try:
            self._remove()
        except (LabError, *ERRORS) as problem:
            reporter.say(f"   to remove the rest: {self.context.hint('down')}   ({problem})")

    def _remove(self) -> list[str]:
        self._nodes.clear()
        removed = [] if self.context.kind == DOCKER else vm_lifecycle.power_off(self.context)
        return removed if removed or self.context.wants_vm else provision.remove(self.context)

    def reset(self, *, swarm: bool = False) -> Self:
        """Return the lab to how `up` left it: bare engines, an empty /lab, empty storage; images are kept.

        Then form the swarm if `swarm` is true. A node that can't be cleaned or runs an outdated image is
        recreated. A virtual machine resumes its snapshot, which is ten times as fast (bench/RESULTS.md), but
        the nodes have to pull their images again. Raises what `up` raises.
        """
        quiet = ProgressReporter(quiet=True)
        if vm_lifecycle.can_resume(self.context, _BARE):
            self.down()
            return self.up(swarm=swarm, reporter=quiet)
        with self._lock():
            client = self.context.client()
            images = provision.choose_topology(client, self.name).images
            vm_lifecycle.require_images(self.context, client, images)
            for name in provision.outdated_nodes(client, self.name):
                provision.remove_node(client, self.name, name)
            swarm_init.schedule_wipes(self.nodes.values())
        try:
            self.up(reporter=quiet)
        except (CommandFailed, CommandTimedOut, LabNotRunning):  # a node no longer boots
            self.down()
            return self.up(swarm=swarm, reporter=quiet)
        with self._lock():
            stubborn = swarm_init.tidy(self.nodes.values())
            provision.empty_storage(client, self.name)
            for name in stubborn:
                provision.remove_node(client, self.name, name)
            if swarm and not stubborn:  # `up` would inspect everything again
                self._form(client, quiet)
        return self.up(swarm=swarm, reporter=quiet) if stubborn else self

    def _lock(self, reporter: ProgressReporter | None = None) -> AbstractContextManager[None]:
        return lock.hold(f"lab-{self.name}", say=reporter.say if reporter else None)

    # -- nodes --------------------------------------------------------------------------------------

    @property
    def nodes(self) -> dict[str, Node]:
        """The lab's nodes by name, including stopped ones; empty if the lab is down."""
        return {name: node for name, (node, _) in self._find().items()}

    def node(self, name: str) -> Node:
        """One node. Raises NoSuchNode with the closest name, LabNotRunning if the lab is down."""
        nodes = self.nodes
        if not nodes:
            raise self._not_running()
        if name not in nodes:
            close = difflib.get_close_matches(name, nodes, n=1, cutoff=0.5)
            raise NoSuchNode(
                f"lab '{self.name}' has no node '{name}'",
                evidence=[f"its nodes: {', '.join(nodes)}"],
                next_step=f"did you mean {close[0]}?" if close else f"use one of {', '.join(nodes)}",
            )
        return nodes[name]

    def logs(self, name: str, lines: int | None = None) -> str:
        """The log of a node's engine, or of one of the lab's services: the last `lines`, or all of it."""
        client = self.context.client()
        service = provision.service_entries(client, self.name).get(name)
        return (
            provision.service_logs(client, service["Id"], lines) if service else self.node(name).logs(lines)
        )

    def pull(self, images: Iterable[str], reporter: ProgressReporter) -> None:
        """Pull images such as `web:1` on all nodes in advance.

        Raises CommandFailed if a node can't pull one, LabNotRunning if the lab is down.
        """
        nodes = list(self.nodes.values())
        if not nodes:
            raise self._not_running()
        for name in dict.fromkeys(images):
            with reporter.step(name) as step:
                first, *others = nodes
                # One first: docker-registry (2.8) fetches an image once for each simultaneous request.
                for group in ([first], others):
                    run_on(group, f"docker pull --quiet {shlex.quote(name)}", timeout=_PULL_SECONDS)
                step.result = f"on {' '.join(node.name for node in nodes)}"

    def _find(self) -> dict[str, tuple[Node, str]]:
        """Nodes with their containers' states. A Node lives as long as its container: it has a tunnel."""
        found = {}
        with self.context.explained():
            entries = provision.node_entries(self.context.thread_client(), self.name)
        for name, entry in entries.items():
            known = self._nodes.get(name)
            if known is None or known.container_id != entry["Id"]:
                known = self._nodes[name] = Node(entry["Id"], name, self.context)
            found[name] = (known, entry["State"])
        return found

    def _not_running(self) -> LabNotRunning:
        return LabNotRunning(f"lab '{self.name}' is not running", next_step=self.context.hint("up"))

    # -- observation --------------------------------------------------------------------------------

    def snapshot(self, timeout: float = ANSWER_SECONDS) -> Snapshot:
        """The swarm as its nodes see it now. A node that doesn't answer is shown as such, not an error.

        `timeout` in seconds limits the wait for an answer: managers don't answer while they elect a leader.
        Raises LabError for an answer that can't be parsed.
        """
        found = self._find()
        pings = ask((node for node, state in found.values() if state == "running"), "/_ping", timeout=timeout)
        engines = [
            parse_engine(name, state, pong[0].swarm if (pong := pings.get(name)) else None)
            for name, (_, state) in found.items()
        ]
        managers = [engine.name for engine in engines if engine.manager]
        # Start with the one that answered last, because one that is cut off takes long to time out.
        for name in sorted(managers, key=lambda name: name != self._last_manager):
            lists = found[name][0].ask(*_LISTS, timeout=timeout)
            if lists and all(answer.status == 200 for answer in lists):
                self._last_manager = name
                return parse_snapshot(engines, *(answer.body for answer in lists))
        return Snapshot(
            engines={engine.name: engine for engine in engines}, quorum=False if managers else None
        )

    def wait(self, *wanted: Check, timeout: float = 60) -> Snapshot:
        """Wait until every check passes in the same snapshot, and return it.

        Raises NotConverged after `timeout` seconds, with what each failing check was missing.
        """
        deadline = self.context.deadline(timeout)
        for _ in deadline.attempts():
            snapshot = self.snapshot()
            verdicts = [check(snapshot) for check in wanted]
            if all(verdicts):
                return snapshot
        raise NotConverged(
            f"lab '{self.name}' did not reach the expected state within {deadline.seconds:g} s",
            evidence=[str(verdict) for verdict in verdicts if not verdict],
            next_step="check `docker node ls`, `docker service ps`, or the node's log: "
            + self.context.hint("logs", "NODE"),
        )
