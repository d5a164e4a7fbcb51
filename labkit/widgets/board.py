"""The live board: the swarm's picture beside the notebook, repainted after each change."""

import html
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import ipywidgets
from sidecar.sidecar import Sidecar

from labkit import events, hint, plots
from labkit.course import chapters, exercises, progress
from labkit.errors import LabError
from labkit.film import Event, Frame
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab

_RECENT = 8
_WIDTH = 500.0  # of half a screen beside the table of contents
_DULL = {"create", "destroy", "health_status: healthy"}  # of a container; its start and its end say it all
_CONTAINERS = {"task", "container"}

_open: dict[str, "Board"] = {}


class Board:
    """Docks beside the notebook and follows the swarm until it is closed: by `close`, or by its tab.

    Made by `Lab.board`. Does nothing visible outside JupyterLab.
    """

    def __init__(self, lab: "Lab") -> None:
        self.lab = lab
        self._shown: Snapshot | None = None
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self.picture, self.news = ipywidgets.HTML(_view_count=0), ipywidgets.HTML()
        self.exercises = ipywidgets.HTML(_exercises())
        box = ipywidgets.VBox([self.picture, self.exercises, self.news])
        box.layout.padding, box.layout.overflow = "8px 16px", "auto"
        title = "Swarm" if lab.name == hint.DEFAULT_LAB else f"Swarm {lab.name}"
        self._sidecar = Sidecar(title=title, anchor="split-right")
        self._sidecar.append_display_data(box)
        self.picture.observe(self._on_views, "_view_count")
        self._subscription = events.subscribe(lab, self.paint)
        self._forget = progress.subscribe(lambda _: self._tick())

    def __repr__(self) -> str:
        return f"<Board of lab {self.lab.name}: {'live' if self.live else 'closed'}>"

    @property
    def live(self) -> bool:
        """Whether it follows the swarm."""
        return _open.get(self.lab.name) is self

    def paint(self, frame: Frame) -> None:
        """Show a frame: the picture where it differs from the one before, and the events."""
        if frame.snapshot != self._shown:
            self.picture.value = plots.placement(frame.snapshot, width=_WIDTH).html()
            self._shown = frame.snapshot
        news = [event for event in frame.events if event.action not in _DULL or event.kind not in _CONTAINERS]
        if news or not self.news.value:
            self._recent.extend(news)
            self.news.value = _list(self._recent)

    def close(self) -> None:
        """Stop following and undock. Twice is fine."""
        if self.live:
            del _open[self.lab.name]
        self._subscription.close()
        self._forget()
        self._sidecar.close()

    def _tick(self) -> None:
        self.exercises.value = _exercises()

    def _on_views(self, change: dict[str, Any]) -> None:
        # The front-end counts the views, and begins anew after a reload of the page without taking the old
        # ones away: fewer than before means that the tab was closed.
        if change["new"] < change["old"]:
            self.close()


def board(lab: "Lab") -> Board:
    """The lab's board: the one that is open, else a new one."""
    found = _open.get(lab.name)
    if found is None:
        found = _open[lab.name] = Board(lab)
    return found


def _exercises() -> str:
    """The exercises of the chapter that was begun last, those that are solved ticked off."""
    try:
        name, solved = progress.chapter(), progress.solved()
        key = chapters.find(name)[1].key if name else ""
    except LabError:  # what cannot be read is told where it is to be written
        return ""
    if not key:
        return ""
    rows = "".join(
        f"<li>{'✓' if exercise in solved else '·'} <strong>{exercise}</strong> {html.escape(found.task)}</li>"
        for exercise, found in exercises.of_chapter(key).items()
    )
    return (
        '<section aria-label="Exercises"><strong>Exercises</strong>'
        f'<ol class="labkit-news">{rows}</ol></section>'
    )


def _list(recent: "deque[Event]") -> str:
    rows = "".join(
        f"<li><time>{time.strftime('%H:%M:%S', time.localtime(event.moment))}</time> "
        f"{html.escape(event.words)}</li>"
        for event in reversed(recent)
    )
    return (
        "<style>.labkit-news{list-style:none;margin:0;padding:0;line-height:1.6}"
        ".labkit-news time{color:var(--jp-content-font-color2);margin-right:.5em}</style>"
        '<section aria-label="Recent events"><strong>What happened</strong>'
        f'<ol class="labkit-news" aria-live="polite">{rows or "<li>nothing yet</li>"}</ol></section>'
    )
