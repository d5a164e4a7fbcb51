"""`Lab`: one named lab. Remembers nothing but its name; labels on the engine are the truth."""

import contextlib
import difflib
import shlex
import textwrap
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from labkit import (
    bank,
    bringup,
    engine,
    events,
    formation,
    hint,
    images,
    lock,
    model,
    pipeline,
)
from labkit.checks import Check
from labkit.console import Story
from labkit.course import chapters
from labkit.deadline import Deadline
from labkit.errors import (
    CommandFailed,
    CommandTimedOut,
    LabError,
    LabNotRunning,
    NoSuchNode,
    NotConverged,
)
from labkit.film import Film, Frame
from labkit.lessons import Lessons
from labkit.model import Snapshot
from labkit.node import Node
from labkit.running import run_on
from labkit.topology import LAB_NAME, LAB_NAME_RULE

if TYPE_CHECKING:
    from labkit.widgets.board import Board

_PULL_SECONDS = 600.0
_BARE, _FORMED = "nodes", "swarm"  # the snapshots of a virtual machine
_LISTS = ("/nodes", "/services", "/tasks", "/networks")  # what a snapshot is made of


class Lab(Lessons):
    """A lab of Docker engines in containers, found by its name.

    `name` defaults to LABKIT_LAB, else `swarm-lab`.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or hint.current_lab()
        if not LAB_NAME.fullmatch(self.name):
            raise LabError(f"'{self.name}' is no lab name", next_step=f"use {LAB_NAME_RULE}")
        engine.of_lab(self.name)
        self._nodes: dict[str, Node] = {}
        self._spokesman = ""

    def __repr__(self) -> str:
        return f"<Lab {self.name}>"

    # -- life cycle ---------------------------------------------------------------------------------

    def up(self, *, swarm: bool = False, keep: bool = False, story: Story | None = None) -> "Lab":
        """Bring every node up, whatever state the lab is in; form the swarm too when `swarm` is true.

        A lab that is up costs a look. What a failed first start has made is removed unless `keep`.
        Raises EngineNotFound, EngineUnsuitable, TopologyInvalid, ImageUnavailable, NotConverged, LabBusy.
        """
        story = story or Story()
        with self._lock(story):
            power = engine.power_on(self.name, [_FORMED, _BARE] if swarm else [_BARE], story)
            with story.step("Docker engine") as step:
                client = engine.client()
                step.result = f"{client.version()['Version']} at {engine.find().url}"
            wanted = bringup.choose_topology(client, self.name)
            engine.require_images(client, wanted)
            fresh = not bringup.containers(client, self.name)
            if fresh:
                engine.require_room(client)
            try:
                built = images.ensure_all(client, wanted, story)
                with story.step("Network and volumes") as step:
                    wanted = bringup.create_network(client, wanted)
                    bringup.create_volumes(client, wanted)
                    step.result = str(wanted.subnet)
                with story.step("Nodes and services") as step:
                    if not (power and power.resumed):  # else they go on as they were, ready
                        bringup.start_containers(client, wanted, built)
                    step.result = " ".join(service.name for service in wanted.services)
                if outdated := bringup.outdated_nodes(client, self.name):
                    renew = hint.command("reset", lab=self.name)
                    story.say(f"   {' '.join(outdated)}: outdated image; {renew} renews")
                if fresh and power:
                    power.save(_BARE, story)
                if swarm:
                    with story.step("Swarm") as step:
                        formation.form(self.nodes, wanted)
                        step.result = f"{len(wanted.nodes)} nodes ready"
                    if power and (fresh or power.resumed == _BARE):
                        power.save(_FORMED, story)
            except BaseException as error:
                self._tell_why(error)
                if fresh and not keep:
                    story.say("   removing what was started (--keep leaves it)")
                    self._remove()
                raise
        return self

    def _tell_why(self, error: BaseException) -> None:
        """Add to the evidence the log of every node that did not come up, and what the machine lacks."""
        if not isinstance(error, LabError):
            return
        with contextlib.suppress(LabError, *engine.ERRORS):  # what goes wrong here must not hide `error`
            nodes = self.nodes.values()
            for node in nodes:
                if node.container.status != "running" or node.name in error.what:
                    error.add_evidence(f"log of {node.name}:", textwrap.indent(node.logs(15), "  "))
            if nodes:
                probes = engine.examine(images.installed_tag(engine.client(), "node"))
                for probe in engine.essentials_missing(probes):
                    error.add_evidence(f"{probe.title}: {probe.found}   {probe.advice}")

    def down(self) -> list[str]:
        """Remove every container, volume and network of the lab; return their names. Twice is fine."""
        with self._lock():
            return self._remove()

    def _remove(self) -> list[str]:
        self._nodes.clear()
        removed = engine.power_off(self.name) if engine.kind() != engine.DOCKER else []
        if removed or engine.kind() in (engine.VM, engine.VM_DIRECT):
            return removed
        return bringup.remove(engine.client(), self.name)

    def reset(self, *, swarm: bool = False) -> "Lab":
        """Bring the lab back to how `up` left it: bare engines, an empty /lab, empty storage; images stay.

        Then form the swarm when `swarm` is true. A node that cannot be cleaned, or runs an outdated image, is
        rebuilt. A virtual machine goes on from what it saved, ten times as quick (bench/RESULTS.md); there
        the nodes fetch their images again. Raises what `up` raises.
        """
        quiet = Story(quiet=True)
        if engine.can_resume(self.name, _BARE):
            self.down()
            return self.up(swarm=swarm, story=quiet)
        with self._lock():
            client = engine.client()
            engine.require_images(client, bringup.choose_topology(client, self.name))
            for name in bringup.outdated_nodes(client, self.name):
                bringup.remove_node(client, self.name, name)
            formation.forget(self.nodes.values())
        try:
            self.up(story=quiet)
        except (CommandFailed, CommandTimedOut, LabNotRunning):  # a node does not boot any more
            self.down()
            return self.up(swarm=swarm, story=quiet)
        with self._lock():
            stubborn = formation.tidy(self.nodes.values())
            bringup.empty_storage(engine.client(), self.name)
            for name in stubborn:
                bringup.remove_node(client, self.name, name)
            if swarm and not stubborn:  # `up` would look at everything a second time
                formation.form(self.nodes, bringup.choose_topology(client, self.name))
        return self.up(swarm=swarm, story=quiet) if stubborn else self

    def _lock(self, story: Story | None = None) -> AbstractContextManager[None]:
        return lock.hold(f"lab-{self.name}", say=story.say if story else None)

    # -- nodes --------------------------------------------------------------------------------------

    @property
    def nodes(self) -> dict[str, Node]:
        """The lab's nodes by name, stopped ones too; empty when the lab is down."""
        return {name: node for name, (node, _) in self._find().items()}

    def node(self, name: str) -> Node:
        """One node. Raises NoSuchNode with the closest name, LabNotRunning when the lab is down."""
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
        """What a node's engine has said, or one of the lab's services; the last `lines` of it or all."""
        service = bringup.service_entries(engine.client(), self.name).get(name)
        return bringup.service_logs(service["Id"], lines) if service else self.node(name).logs(lines)

    def preload(self, *wanted: str, story: Story | None = None) -> None:
        """Bring images to all nodes ahead of their use.

        `wanted` are images such as `web:1` or chapters such as `run-services`; none means the course's own
        images. Raises CommandFailed when a node cannot pull one.
        """
        story = story or Story()
        nodes = list(self.nodes.values())
        if not nodes:
            raise self._not_running()
        names = [name for word in wanted or bank.own() for name in chapters.images(word)]
        for name in dict.fromkeys(names):
            with story.step(name) as step:
                first, *others = nodes
                # One first: what several ask for at once docker-registry fetches several times (2.8).
                for group in ([first], others):
                    run_on(group, f"docker pull --quiet {shlex.quote(name)}", timeout=_PULL_SECONDS)
                step.result = f"on {' '.join(node.name for node in nodes)}"

    def _find(self) -> dict[str, tuple[Node, str]]:
        """Nodes with their containers' states. A Node lives as long as its container: it holds a tunnel."""
        found = {}
        with engine.explained():
            entries = bringup.node_entries(engine.thread_client(), self.name)
        for name, entry in entries.items():
            known = self._nodes.get(name)
            if known is None or known.container_id != entry["Id"]:
                known = self._nodes[name] = Node(entry["Id"], name, self.name)
            found[name] = (known, entry["State"])
        return found

    def _not_running(self) -> LabNotRunning:
        return LabNotRunning(f"lab '{self.name}' is not running", next_step=hint.command("up", lab=self.name))

    # -- what is so ---------------------------------------------------------------------------------

    def snapshot(self, timeout: float = pipeline.DEFAULT_TIMEOUT) -> Snapshot:
        """The swarm as its nodes see it now. A node that does not answer shows as such; it is no error.

        `timeout` in seconds bounds the wait for an answer: managers that look for a leader give none.
        """
        found = self._find()
        running = [node for node, state in found.values() if state == "running"]
        pings = pipeline.ask(running, "/_ping", timeout=timeout)
        engines = [
            model.parse_engine(name, state, pong[0].swarm if (pong := pings.get(name)) else None)
            for name, (_, state) in found.items()
        ]
        managers = [found[engine.name][0] for engine in engines if engine.manager]
        # First the one that answered last: one that is cut off keeps us waiting.
        for manager in sorted(managers, key=lambda node: node.name != self._spokesman):
            lists = pipeline.ask([manager], *_LISTS, timeout=timeout)[manager.name]
            if lists and all(answer.status == 200 for answer in lists):
                self._spokesman = manager.name
                return model.parse(engines, *(answer.body for answer in lists))
        return Snapshot(
            engines={engine.name: engine for engine in engines}, quorum=False if managers else None
        )

    @contextlib.contextmanager
    def record(self) -> Iterator[Film]:
        """Film the swarm while the block runs: `with lab.record() as film:`."""
        film = Film([Frame(time.time(), self.snapshot())])
        with events.subscribe(self, film.frames.append):
            yield film
        film.frames.append(Frame(time.time(), self.snapshot()))

    def board(self) -> "Board":
        """The live board beside the notebook, one for the lab: docked anew, or the one that is open."""
        from labkit.widgets.board import board  # ipywidgets costs a second, which the command line saves

        return board(self)

    def wait(self, *wanted: Check, timeout: float = 60) -> Snapshot:
        """Wait until every check holds in one snapshot, and return it.

        Raises NotConverged after `timeout` seconds, with what each failing check was missing.
        """
        deadline = Deadline(timeout)
        for _ in deadline.attempts():
            snapshot = self.snapshot()
            verdicts = [check(snapshot) for check in wanted]
            if all(verdicts):
                return snapshot
        raise NotConverged(
            f"lab '{self.name}' did not get there within {deadline.seconds:g} s",
            evidence=[str(verdict) for verdict in verdicts if not verdict],
            next_step="look at `docker node ls`, at `docker service ps`, or at the node's log: "
            + hint.command("logs", "NODE", lab=self.name),
        )
