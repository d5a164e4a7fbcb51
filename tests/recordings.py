"""Recordings of real swarms, from tests/data/recordings."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from labkit.observe.recording import Event, Frame, Recording
from labkit.swarm.model import Engine, Network, Node, Port, Service, Snapshot, Task
from tests.recorded import DATA

RECORDINGS = DATA / "recordings"

# What a snapshot lists, with what tells two entries of the list apart.
_LISTS = {"engines": "name", "nodes": "id", "services": "id", "tasks": "id", "networks": "id"}
_CLASSES = {"engines": Engine, "nodes": Node, "services": Service, "tasks": Task, "networks": Network}


def recording(name: str) -> Recording:
    """A stored recording: of each frame the file holds its events and what differs from the frame before."""
    known: dict[str, dict[str, Any]] = {key: {} for key in _LISTS}
    frames = []
    for entry in json.loads((RECORDINGS / f"{name}.json").read_text()):
        for key, identity in _LISTS.items():
            known[key].update({item[identity]: _CLASSES[key](**_tuples(item)) for item in entry.get(key, ())})
            for gone in entry.get("gone", {}).get(key, ()):
                del known[key][gone]
        snapshot = Snapshot(
            engines=dict(known["engines"]),
            nodes=tuple(known["nodes"].values()),
            services=tuple(known["services"].values()),
            tasks=tuple(known["tasks"].values()),
            networks=tuple(known["networks"].values()),
            quorum=entry["quorum"],
        )
        frames.append(Frame(entry["moment"], snapshot, tuple(map(_event, entry["events"]))))
    return Recording(frames)


def save_recording(name: str, frames: Iterable[Frame]) -> None:
    """Write what `recording` reads; a frame in which nothing has changed is left out."""
    known: dict[str, dict[str, Any]] = {key: {} for key in _LISTS}
    entries: list[dict[str, Any]] = []
    for frame in frames:
        snapshot = dataclasses.asdict(frame.snapshot)
        snapshot["engines"] = snapshot["engines"].values()
        entry: dict[str, Any] = {}
        for key, identity in _LISTS.items():
            now = {item[identity]: item for item in snapshot[key]}
            if changed := [item for name, item in now.items() if known[key].get(name) != item]:
                entry[key] = changed
            if gone := [name for name in known[key] if name not in now]:
                entry.setdefault("gone", {})[key] = gone
            known[key] = now
        if entry or frame.events or not entries or entries[-1]["quorum"] != frame.snapshot.quorum:
            events = [_facts(event) for event in frame.events]
            entries.append({"moment": frame.moment, "quorum": snapshot["quorum"], "events": events, **entry})
    RECORDINGS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries)
    (RECORDINGS / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def _event(facts: dict[str, Any]) -> Event:
    changes = {name: (old, new) for name, (old, new) in facts.get("changes", {}).items()}
    return Event(**{**facts, "changes": changes})


def _facts(event: Event) -> dict[str, Any]:
    """An event without what it does not tell."""
    return {key: value for key, value in dataclasses.asdict(event).items() if value not in ("", None, {})}


def _tuples(item: dict[str, Any]) -> dict[str, Any]:
    """An entry as its class wants it: JSON has no tuples, and no ports."""
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    if "ports" in found:
        found["ports"] = tuple(Port(**port) for port in found["ports"])
    return found
