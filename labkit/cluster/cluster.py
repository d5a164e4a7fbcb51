"""`Cluster`: the nodes of one named lab. All of their state is in the engine, found by labels."""

import shlex
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

import docker

from labkit.cluster import evidence, provision, swarm_init, upgrade, versions
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
        self,
        *,
        swarm: bool = False,
        docker: versions.Wanted = None,
        keep: bool = False,
        reporter: ProgressReporter | None = None,
    ) -> Self:
        """Start every node, whatever state the lab is in; form the swarm too if `swarm` is true.

        `docker` chooses the nodes' engine, such as "28.5", or {"worker2": "28.5"} for one node. Idempotent.
        If a first start fails, removes what it created, unless `keep`. Raises EngineNotFound,
        EngineUnsuitable, TopologyInvalid, ImageUnavailable, NotConverged, LabBusy, and LabError for an
        unknown engine.
        """
        reporter = reporter or ProgressReporter()
        with self._lock(reporter):
            vm = vm_lifecycle.power_on(self.context, [_FORMED, _BARE] if swarm else [_BARE], reporter)
            with reporter.step("Docker engine") as step:
                client = self.context.client()
                step.result = f"{client.version()['Version']} at {self.context.endpoint().url}"
            file = provision.choose_topology(client, self.name)
            wanted = versions.settle(self.context, client, file, docker)
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
                evidence.add_logs(error, self.context, lambda: self.nodes)
                if fresh and not keep:
                    reporter.say("   removing what was started (use --keep to keep it)")
                    self._remove_rest(reporter)
                raise
        return self

    def _start(
        self, client: docker.DockerClient, wanted: Topology, reporter: ProgressReporter, *, resumed: bool
    ) -> None:
        """Create what is missing and start what is stopped; resumed nodes are ready already."""
        built = builder.ensure_all(client, wanted.images, reporter, early=True)
        images = {service.name: service.image for service in wanted.services}
        with reporter.step("Network and volumes") as step:
            wanted = provision.create_network(self.context, wanted).with_images(images)
            provision.create_volumes(client, wanted)
            step.result = provision.describe_network(self.context, wanted)
        with reporter.step("Nodes and services") as step:
            if not resumed:
                provision.start_containers(self.context, wanted, built)
            step.result = " ".join(service.name for service in wanted.services)
        if outdated := versions.outdated(client, self.name):
            reporter.say(f"   {' '.join(outdated)}: outdated image; to update: {self.context.hint('reset')}")

    def _form(self, client: docker.DockerClient, reporter: ProgressReporter) -> None:
        wanted = provision.choose_topology(client, self.name)
        with reporter.step("Swarm") as step:
            swarm_init.form(self.nodes, wanted)
            step.result = f"{len(wanted.nodes)} nodes ready"

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
        recreated, with the engine that it had. A virtual machine resumes its snapshot, which is ten times as
        fast (bench/RESULTS.md), but the nodes have to pull their images again. Raises what `up` raises.
        """
        quiet = ProgressReporter(quiet=True)
        if vm_lifecycle.can_resume(self.context, _BARE):
            self.down()
            return self.up(swarm=swarm, reporter=quiet)
        with self._lock():
            client = self.context.client()
            file = provision.choose_topology(client, self.name)
            engines = versions.known(client, versions.settle(self.context, client, file))
            for name in versions.outdated(client, self.name):
                provision.remove_node(client, self.name, name)
            swarm_init.schedule_wipes(self.nodes.values())
        try:
            self.up(docker=engines, reporter=quiet)
        except (CommandFailed, CommandTimedOut, LabNotRunning):  # a node no longer boots
            self.down()
            return self.up(swarm=swarm, docker=engines, reporter=quiet)
        with self._lock():
            stubborn = swarm_init.tidy(self.nodes.values())
            provision.empty_storage(client, self.name)
            for name in stubborn:
                provision.remove_node(client, self.name, name)
            if swarm and not stubborn:  # `up` would inspect everything again
                self._form(client, quiet)
        return self.up(swarm=swarm, docker=engines, reporter=quiet) if stubborn else self

    def upgrade(
        self, name: str, docker: str, *, fresh: bool = False, reporter: ProgressReporter | None = None
    ) -> Node:
        """Replace a node's engine with a newer one, and return the node.

        Its volume, address, and name stay, as when a server's package is upgraded. Its tasks stop during the
        upgrade, so drain it first. `fresh` wipes the node and lets it rejoin its swarm, and also allows an
        older engine. Run it again after an interruption. Raises NoSuchNode, LabNotRunning, LabError for an
        engine that is older or unknown, ImageUnavailable, NotConverged.
        """
        reporter = reporter or ProgressReporter()
        with self._lock(reporter):
            upgrade.upgrade(self.context, self.nodes, name, docker, fresh=fresh, reporter=reporter)
        return self.node(name)

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
        if name not in nodes:
            raise evidence.no_such_node(self.context, name, nodes)
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
            raise evidence.not_running(self.context)
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
                known = self._nodes[name] = Node(entry["Id"], name, self.context, self.upgrade)
            found[name] = (known, entry["State"])
        return found

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
