"""The live board: the swarm's picture beside the notebook, repainted after each change."""

import html
import time
from collections import deque
from typing import Any

import ipywidgets
from sidecar.sidecar import Sidecar

from labkit import plots
from labkit.cluster.cluster import Cluster
from labkit.course import chapters, exam_state, exercises, progress
from labkit.course.exam import registry
from labkit.observe import watcher
from labkit.observe.recording import Event, Frame
from labkit.swarm.model import Snapshot
from labkit.util import command_hint
from labkit.util.errors import LabError
from labkit.widgets.runner import live_widgets

_RECENT = 8
_WIDTH = 500.0  # of half a screen beside the table of contents
_CONTAINERS = {"task", "container"}


class Board:
    """Docks beside the notebook and follows the swarm until it is closed: by `close`, or by its tab.

    Made by `Lab.board`. Does nothing visible outside JupyterLab.
    """

    def __init__(self, lab: Cluster) -> None:
        self.lab = lab
        self._shown: Snapshot | None = None
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self.picture, self.news = ipywidgets.HTML(_view_count=0), ipywidgets.HTML()
        self.exercises = ipywidgets.HTML(_exercises(lab))
        box = ipywidgets.VBox([self.picture, self.exercises, self.news])
        box.layout.padding, box.layout.overflow = "8px 16px", "auto"
        title = "Swarm" if lab.name == command_hint.DEFAULT_LAB else f"Swarm {lab.name}"
        self._sidecar = _Dock(self, title=title, anchor="split-right")
        self._sidecar.append_display_data(box)  # type: ignore[no-untyped-call]
        self.picture.observe(self._on_views, "_view_count")
        self._subscription = watcher.subscribe(lab, self.paint)
        self._end_ticks = progress.of(lab).subscribe(lambda _: self._tick())
        self.live = True

    def __repr__(self) -> str:
        return f"<Board of lab {self.lab.name}: {'live' if self.live else 'closed'}>"

    def paint(self, frame: Frame) -> None:
        """Show a frame: the picture where it differs from the one before, and the events."""
        if frame.snapshot != self._shown:
            self.picture.value = plots.placement(frame.snapshot, width=_WIDTH, steady=True).html()
            self._shown = frame.snapshot
        news = [event for event in frame.events if not _is_dull(event)]
        if news or not self.news.value:
            self._recent.extend(news)
            self.news.value = _list(self._recent)

    def close(self) -> None:
        """Stop following and undock. Idempotent."""
        self.live = False
        self._subscription.close()
        self._end_ticks()
        self._sidecar.close()  # type: ignore[no-untyped-call]

    def _tick(self) -> None:
        self.exercises.value = _exercises(self.lab)

    def _on_views(self, change: dict[str, Any]) -> None:
        # The front-end counts the views, and begins anew after a reload of the page without taking the old
        # ones away: fewer than before means that the tab was closed.
        if change["new"] < change["old"]:
            self.close()


def board(lab: Cluster) -> Board:
    """The lab's board: the one that is open, else a new one.

    One that an earlier `Lab` of this name has opened gives way: it would hear nothing of this one's checks.
    """
    docked = [dock.board for dock in live_widgets(_Dock) if dock.board.lab.name == lab.name]
    for found in docked:
        if found.live and found.lab is lab:
            return found
        found.close()
    return Board(lab)


class _Dock(Sidecar):
    """The panel that a board is in: by it, ipywidgets' own list of what is open leads to the board."""

    def __init__(self, board: Board, **options: Any) -> None:
        self.board = board
        super().__init__(**options)  # type: ignore[no-untyped-call]


def _exercises(lab: Cluster) -> str:
    """The exercises of the chapter that was begun last, those that are solved ticked off."""
    try:
        name, solved = progress.of(lab).chapter(), progress.solved()
        hidden = registry.hidden(exam_state.exam(lab))
        key = chapters.find(name)[1].key if name else ""
    except LabError:  # what cannot be read is told where it is to be written
        return ""
    if not key:
        return ""
    rows = "".join(
        f"<li>{'✓' if exercise in solved else '·'} "
        f"{'' if exercise in hidden else f'<strong>{exercise}</strong> '}{html.escape(task)}</li>"
        for exercise, task in exercises.tasks(key).items()
    )
    return (
        '<section aria-label="Exercises"><strong>Exercises</strong>'
        f'<ol class="labkit-news">{rows}</ol></section>'
    )


def _is_dull(event: Event) -> bool:
    """Whether a container's start and its end say it all."""
    return event.kind in _CONTAINERS and (event.action in ("create", "destroy") or event.health == "healthy")


def _list(recent: "deque[Event]") -> str:
    rows = "".join(
        f"<li><time>{time.strftime('%H:%M:%S', time.localtime(event.moment))}</time> "
        f"{html.escape(event.describe())}</li>"
        for event in reversed(recent)
    )
    return (
        "<style>.labkit-news{list-style:none;margin:0;padding:0;line-height:1.6}"
        ".labkit-news time{color:var(--jp-content-font-color2);margin-right:.5em}</style>"
        '<section aria-label="Recent events"><strong>What happened</strong>'
        f'<ol class="labkit-news" aria-live="polite">{rows or "<li>nothing yet</li>"}</ol></section>'
    )
