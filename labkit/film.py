"""What happened in the swarm, as data: events in words, and films of snapshots. Pure; touches no engine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.model import Snapshot
from labkit.topology import NODE_LABEL

Json = Mapping[str, Any]

_SERVICE_NAME = "com.docker.swarm.service.name"
_TASK_NAME = "com.docker.swarm.task.name"
_CHANGES = ("state", "availability", "role", "replicas", "image")
_UPDATES = {
    "updating": "its rolling update begins",
    "paused": "its update is paused",
    "completed": "its update is complete",
    "rollback_started": "it rolls back",
    "rollback_paused": "its rollback is paused",
    "rollback_completed": "it is rolled back",
}


@dataclass(frozen=True)
class Event:
    """Something that an engine reported; `moment` in seconds of the epoch.

    `kind`: `task`, `container` (one that is no task), `node` (of the swarm), `service`, `network`, `machine`
    (a lab node as a machine: it started, stopped, …) or `engine` (what carries them all is gone).
    `subject`: `web.3`, `worker1`, `web`, …. `node`: where it happened; empty for what concerns the whole
    swarm. `words` say it to people.
    """

    moment: float
    kind: str
    action: str
    subject: str
    node: str
    words: str


@dataclass(frozen=True)
class Frame:
    """The swarm at one moment, and the events since the frame before; `moment` in seconds of the epoch."""

    moment: float
    snapshot: Snapshot
    events: tuple[Event, ...] = ()


@dataclass
class Film:
    """Frames in the order of time."""

    frames: list[Frame] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def events(self) -> list[Event]:
        """All events, in the order of time."""
        return sorted((event for frame in self.frames for event in frame.events), key=lambda e: e.moment)

    @property
    def start(self) -> float:
        """The moment of the first frame; 0 for an empty film."""
        return self.frames[0].moment if self.frames else 0.0

    @property
    def end(self) -> float:
        """The moment of the last frame; 0 for an empty film."""
        return self.frames[-1].moment if self.frames else 0.0

    def __repr__(self) -> str:
        seconds = self.end - self.start
        return f"<Film of {seconds:.1f} s: {len(self.frames)} frames, {len(self.events)} events>"


def parse_event(node: str, entry: Json) -> Event | None:
    """An event of a node's engine (Docker Engine API, "Monitor events"); None for one of no interest."""
    action = str(entry.get("Action", ""))
    attributes: Json = (entry.get("Actor") or {}).get("Attributes") or {}
    match entry.get("Type"):
        case "container" if _TASK_NAME in attributes:
            kind, subject = "task", _task_name(attributes)
            words = f"{subject} on {node}: {_container_words(action, attributes)}"
        case "container":
            kind, subject = "container", str(attributes.get("name", ""))
            words = f"container {subject} on {node}: {_container_words(action, attributes)}"
        case "node" | "service" | "network" as kind if entry.get("scope") == "swarm":
            told, subject, node = _change_words(action, attributes), str(attributes.get("name", "")), ""
            if not (told and subject):  # a node that has just joined has no name yet
                return None
            words = f"{kind} {subject}: {told}"
        case _:
            return None
    return Event(_moment(entry), kind, action, subject, node, words)


def parse_machine_event(entry: Json) -> Event | None:
    """An event of the outer engine on a node's container: the node as a machine."""
    node = str(entry["Actor"]["Attributes"].get(NODE_LABEL, ""))
    words = {
        "start": "started",
        "die": "went off",
        "pause": "is frozen",
        "unpause": "goes on",
        "destroy": "was removed",
    }
    action = str(entry.get("Action", ""))
    if not node or action not in words:
        return None
    return Event(_moment(entry), "machine", action, node, node, f"machine {node} {words[action]}")


def _moment(entry: Json) -> float:
    return float(entry["timeNano"]) / 1e9


def _task_name(attributes: Json) -> str:
    """`web.3` of `web.3.x9k…`; a task in global mode has its node's ID in the place of the slot."""
    service = str(attributes.get(_SERVICE_NAME, ""))
    slot = str(attributes[_TASK_NAME]).removeprefix(f"{service}.").partition(".")[0]
    return f"{service}.{slot}" if slot.isdecimal() else service


def _container_words(action: str, attributes: Json) -> str:
    match action:
        case "create":
            return "created"
        case "start":
            return "started"
        case "die":
            return f"ended with exit code {attributes.get('exitCode', '?')}"
        case "destroy":
            return "removed"
        case _:
            return action.replace("_", " ")  # such as `health_status: unhealthy`


def _change_words(action: str, attributes: Json) -> str:
    """`availability active → drain`; empty for a change that the event does not tell."""
    if action != "update":
        return {"create": "created", "remove": "removed"}.get(action, action)
    pairs = [(name, attributes.get(f"{name}.old"), attributes.get(f"{name}.new")) for name in _CHANGES]
    told = [f"{name} {_plain(old)} → {_plain(new)}" for name, old, new in pairs if old and new]
    if "state unknown → ready" in told:
        told = ["joined"]
    if state := attributes.get("updatestate.new"):
        told.append(_UPDATES.get(state, f"its update is {state}"))
    return ", ".join(told)


def _plain(value: str) -> str:
    """An image without the digest that the swarm adds; anything else as it is."""
    return value.partition("@")[0]
