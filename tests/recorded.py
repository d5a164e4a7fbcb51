"""What the engines of real swarms answered, from tests/data."""

import json
from pathlib import Path
from typing import Any

from labkit.model import Snapshot, parse, parse_engine

DATA = Path(__file__).parent / "data"


def answers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return found


def recorded(name: str) -> Snapshot:
    """The snapshot of a recorded swarm; managers without a quorum answered no more than their /info."""
    data = answers(name)
    engines = [
        parse_engine(engine, entry["container"], entry["swarm"]) for engine, entry in data["engines"].items()
    ]
    if "error" in data:
        return Snapshot(engines={engine.name: engine for engine in engines}, quorum=False)
    return parse(engines, data["nodes"], data["services"], data["tasks"], data["networks"])
