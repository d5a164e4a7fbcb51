"""The exam by buttons: start it, read the story, have a scenario graded, go on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets

from labkit.course.exam import rounds, state
from labkit.course.exam.registry import SCENARIOS
from labkit.errors import WouldRemove
from labkit.model import Snapshot
from labkit.running import Sink, Switch
from labkit.widgets import page
from labkit.widgets.panel import Panel, on_click
from labkit.widgets.runner import Work

if TYPE_CHECKING:
    from labkit.lab import Lab


class Exam(Panel):
    """Shows the story of the scenario that runs and, at each change of the swarm, the time that is left."""

    def __init__(self, lab: "Lab", *, minutes: float = 60, count: int = 5) -> None:
        wide = {"description_width": "6em"}
        self.minutes = ipywidgets.BoundedFloatText(minutes, min=1, max=600, description="minutes", style=wide)
        self.count = ipywidgets.BoundedIntText(
            count, min=1, max=len(SCENARIOS), description="scenarios", style=wide
        )
        self.begin = self._button("Start an exam", "play", self._start)
        self.grade = self._button("Grade this one", "check", self._check)
        self.next = self._button("Next", "step-forward", lambda: rounds.go_on(lab))
        self.anyway = self._button("Remove what is there and start", "trash", lambda: self._consented())
        self.anyway.layout.display = "none"
        self._consented: Callable[[], object] = self._start
        self.story = ipywidgets.HTML()
        first = ipywidgets.HBox([self.minutes, self.count, self.begin], layout={"flex_flow": "row wrap"})
        super().__init__(
            lab,
            "Exam",
            [first, self.anyway, self.story, ipywidgets.HBox([self.grade, self.next])],
        )
        self.enable(True)

    def enable(self, enabled: bool) -> None:
        super().enable(enabled)
        if enabled:
            self.grade.disabled = self.next.disabled = state.exam() is None

    def reflect(self, _: Snapshot) -> None:
        self.story.value = page.output(rounds.story()) if state.exam() else ""

    def report(self, _: Snapshot) -> str:
        return rounds.status()

    def _start(self) -> object:
        try:
            return rounds.exam(self.lab, self.minutes.value, self.count.value)
        except WouldRemove as error:
            self._consented = error.begin
            self.anyway.layout.display = None
            raise

    def _check(self) -> object:
        return rounds.check(self.lab)

    def _button(self, words: str, icon: str, action: Callable[[], object]) -> ipywidgets.Button:
        def work(sink: Sink, _: Switch) -> object:
            if action != self._start:
                self.anyway.layout.display = "none"
            done = action()
            said = f"{done}".replace(rounds.story(), "").strip()  # the story stands above already
            sink("", "stdout", f"{said}\n")
            return done

        button = ipywidgets.Button(description=words, icon=icon, layout={"width": "auto"})
        doing: Work[object] = work
        return on_click(button, lambda: self.start_work(doing))
