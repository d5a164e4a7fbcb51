"""Prints the lab's picture and its description as lines of JSON, at first and after each change.

`python -m labkit.workshop.place.view` runs in a process of its own, only while somebody watches: the pictures
take memory that JupyterLab's server shouldn't keep. It ends when its standard input does.
"""

import json
import sys

from labkit import plots
from labkit.cluster.cluster import Cluster
from labkit.observe import watcher
from labkit.observe.recording import Frame
from labkit.swarm.model import Snapshot

_WIDTH = 640.0  # points


def line(snapshot: Snapshot) -> str:
    """One line: an object with the picture as `board` and its description as `text`."""
    picture = plots.placement(snapshot, width=_WIDTH, steady=True)
    return json.dumps({"board": picture.svg(), "text": picture.description})


def main() -> None:
    shown: Snapshot | None = None

    def show(frame: Frame) -> None:
        nonlocal shown
        if frame.snapshot != shown:
            shown = frame.snapshot
            print(line(frame.snapshot), flush=True)

    with watcher.subscribe(Cluster(), show):
        sys.stdin.read()


if __name__ == "__main__":
    main()
