"""The browsers that have a learner's JupyterLab open: each gets what happens, as it happens."""

import asyncio
from typing import Any

from labkit.course import chapters
from labkit.util.errors import LabError
from labkit.workshop.place.ledger import Ledger, Received

_COMMANDS = 100  # of the instructor's, which a browser gets at first
_WAITING = 1000  # events for a browser that doesn't take any; then it has to connect again


class Audience:
    """Who listens, and what one who comes has to know first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._listeners: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self.watchers: list[str] = []

    def join(self) -> "asyncio.Queue[tuple[str, Any] | None]":
        """A queue of events with their data, for one browser; None says that it has to connect again."""
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(_WAITING)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: "asyncio.Queue[tuple[str, Any] | None]") -> None:
        self._listeners.discard(queue)

    def state(self) -> dict[str, Any]:
        """What a browser has to know first. Reads the ledger."""
        kept = self._ledger.received()
        commands = [entry.id for entry in kept if entry.event == "command"]
        old = set(commands[:-_COMMANDS])
        items = [as_item(entry) for entry in kept if entry.id not in old]
        return {"watchers": self.watchers, "items": items}

    def tell(self, event: str, data: Any) -> None:
        """Send something to all browsers."""
        for queue in self._listeners.copy():
            try:
                queue.put_nowait((event, data))
            except asyncio.QueueFull:
                self.leave(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def tell_item(self, number: int) -> None:
        """Send an event of the ledger as it is now. Reads the ledger."""
        self.tell("item", as_item(self._ledger.find(number)))

    def watched_by(self, watchers: list[str]) -> None:
        """Say who watches now, if that has changed."""
        if watchers != self.watchers:
            self.watchers = watchers
            self.tell("watch", {"watchers": watchers})


def as_item(entry: Received) -> dict[str, Any]:
    """An event of the ledger as browsers get it."""
    begun = {"path": notebook(str(entry.data.get("chapter", "")))} if entry.event == "begin" else {}
    return {
        **begun,
        "id": entry.id,
        "event": entry.event,
        "data": entry.data,
        "moment": entry.moment,
        "seen": entry.seen,
        "ok": entry.ok,
        "text": entry.text,
    }


def notebook(chapter: str) -> str:
    """The file name of a chapter's notebook, by any of the chapter's names; empty if there's none."""
    try:
        name, _ = chapters.find(chapter)
    except LabError:
        return ""
    return f"{list(chapters.CHAPTERS).index(name):02}-{name}.ipynb"
