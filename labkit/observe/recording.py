"""What happened in the swarm, as data: events, and recordings of snapshots. Pure; doesn't call any engine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.swarm.model import Snapshot
from labkit.swarm.reasons import describe_update
from labkit.topology.topology import NODE_LABEL

Json = Mapping[str, Any]

_SERVICE_NAME = "com.docker.swarm.service.name"
_TASK_NAME = "com.docker.swarm.task.name"
_CHANGES = ("state", "availability", "role", "replicas", "image")
_JOINED = ("unknown", "ready")
_CONTAINER = {"create": "created", "start": "started", "destroy": "removed"}
_NODE_CONTAINER = {
    "start": "started",
    "die": "stopped",
    "pause": "was paused",
    "unpause": "was unpaused",
    "destroy": "was removed from the lab",
}
_REPEATED_SECONDS = 2.0


@dataclass(frozen=True)
class Event:
    """Something that an engine reported; `moment` is in seconds since the epoch.

    `kind`: `task`, `container` (one that isn't a task), `node` (a member of the swarm), `service`, `network`,
    `node_container` (the container of a lab node started, stopped, …), or `engine` (the engine that runs the
    lab is gone). `action` is the engine's word: `create`, `start`, `die`, `update`, …. `subject`: `web.3`,
    `worker1`, `web`, …. `node`: where it happened, or empty if it concerns the whole swarm.

    `changes` maps what was updated (`state`, `availability`, `role`, `replicas`, `image`) to its old and new
    value. `update` is the new state of a service's rolling update. `exit_code` is that of a container that
    ended, `health` the result of its health check. `reason` says why the engine is gone.
    """

    moment: float
    kind: str
    action: str
    subject: str
    node: str = ""
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    update: str = ""
    exit_code: int | None = None
    health: str = ""
    reason: str = ""

    @property
    def is_loss(self) -> bool:
        """Whether a node left without being asked to."""
        if self.kind == "node_container":
            return self.action in ("die", "pause")
        return self.kind == "node" and self.changes.get("state", ("", ""))[1] == "down"

    def describe(self) -> str:
        """The event in words: `web.3 on worker1: started`, `node worker1: availability active → drain`."""
        match self.kind:
            case "task":
                return f"{self.subject} on {self.node}: {self._of_container()}"
            case "container":
                return f"container {self.subject} on {self.node}: {self._of_container()}"
            case "node_container":
                return f"node {self.subject} {_NODE_CONTAINER.get(self.action, self.action)}"
            case "engine":
                return self.reason
            case _:
                return f"{self.kind} {self.subject}: {self._of_swarm()}"

    def _of_container(self) -> str:
        match self.action:
            case "die":
                return f"ended with exit code {'?' if self.exit_code is None else self.exit_code}"
            case "health_status":
                return f"health status: {self.health}"
            case action:
                return _CONTAINER.get(action, action)

    def _of_swarm(self) -> str:
        if self.action != "update":
            return {"create": "created", "remove": "removed"}.get(self.action, self.action)
        if self.changes.get("state") == _JOINED:
            return "joined"
        told = [f"{name} {old} → {new}" for name, (old, new) in self.changes.items()]
        return ", ".join([*told, describe_update(self.update)] if self.update else told)


@dataclass(frozen=True)
class Frame:
    """The swarm at one `moment` (in seconds since the epoch), and the events since the last frame."""

    moment: float
    snapshot: Snapshot
    events: tuple[Event, ...] = ()


@dataclass
class Recording:
    """Frames in chronological order."""

    frames: list[Frame] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def events(self) -> list[Event]:
        """All events, in chronological order."""
        return sorted((event for frame in self.frames for event in frame.events), key=lambda e: e.moment)

    @property
    def start(self) -> float:
        """The moment of the first frame; 0 for an empty recording."""
        return self.frames[0].moment if self.frames else 0.0

    @property
    def end(self) -> float:
        """The moment of the last frame; 0 for an empty recording."""
        return self.frames[-1].moment if self.frames else 0.0

    def __repr__(self) -> str:
        seconds = self.end - self.start
        return f"<Recording of {seconds:.1f} s: {len(self.frames)} frames, {len(self.events)} events>"


class FirstReports:
    """Distinguishes first reports from repeated ones: every manager reports each change of the swarm."""

    def __init__(self) -> None:
        self._latest: dict[Event, float] = {}  # facts that were reported recently

    def is_first(self, event: Event) -> bool:
        """Whether no manager has reported this within two seconds; also remembers the report."""
        if event.node:  # its own engine is the only one to report it
            return True
        fact = replace(event, moment=0.0)
        recent = {
            known: moment
            for known, moment in self._latest.items()
            if abs(event.moment - moment) < _REPEATED_SECONDS
        }
        self._latest = {**recent, fact: event.moment}
        return fact not in recent


def parse_event(node: str, entry: Json) -> Event | None:
    """An event from a node's engine (Docker Engine API, "Monitor events").

    None if it's irrelevant or can't be read.
    """
    attributes, moment = _attributes(entry), nanoseconds(entry)
    action, _, detail = str(entry.get("Action", "")).partition(": ")
    if moment is None:
        return None
    match entry.get("Type"):
        case "container":
            is_task = _TASK_NAME in attributes
            return Event(
                moment / 1e9,
                "task" if is_task else "container",
                action,
                _task_name(attributes) if is_task else attributes.get("name", ""),
                node,
                exit_code=_exit_code(attributes) if action == "die" else None,
                health=detail if action == "health_status" else "",
            )
        case "node" | "service" | "network" as kind if entry.get("scope") == "swarm":
            changes, update = _changes(attributes), attributes.get("updatestate.new", "")
            subject = attributes.get("name", "")  # empty for a node that has just joined
            if not subject or (action == "update" and not changes and not update):
                return None
            return Event(moment / 1e9, kind, action, subject, changes=changes, update=update)
    return None


def parse_container_event(entry: Json) -> Event | None:
    """An event from the outer engine about a node's container; None if it's irrelevant."""
    node, moment = _attributes(entry).get(NODE_LABEL, ""), nanoseconds(entry)
    action = str(entry.get("Action", ""))
    if not node or moment is None or action not in _NODE_CONTAINER:
        return None
    return Event(moment / 1e9, "node_container", action, node, node)


def nanoseconds(entry: Json) -> int | None:
    """The time of an engine's event in nanoseconds since the epoch; None if it can't be read."""
    moment = entry.get("timeNano")
    return moment if isinstance(moment, int) and 0 < moment < 2**63 else None


def _attributes(entry: Json) -> dict[str, str]:
    actor = entry.get("Actor")
    found = actor.get("Attributes") if isinstance(actor, Mapping) else None
    items = found.items() if isinstance(found, Mapping) else ()
    return {name: value for name, value in items if isinstance(value, str)}


def _task_name(attributes: Mapping[str, str]) -> str:
    """`web.3` for `web.3.x9k…`. A task in global mode has its node's ID in place of the slot."""
    service = attributes.get(_SERVICE_NAME, "")
    slot = attributes[_TASK_NAME].removeprefix(f"{service}.").partition(".")[0]
    return f"{service}.{slot}" if slot.isdecimal() else service


def _exit_code(attributes: Mapping[str, str]) -> int | None:
    code = attributes.get("exitCode", "")
    return int(code) if code.isdecimal() and len(code) < 10 else None


def _changes(attributes: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What an update changed, as far as the event shows; images without the digest that Swarm adds."""
    pairs = ((name, attributes.get(f"{name}.old"), attributes.get(f"{name}.new")) for name in _CHANGES)
    return {name: (old.partition("@")[0], new.partition("@")[0]) for name, old, new in pairs if old and new}
