"""The exam with buttons: start it, read the story, have a scenario graded, go on."""

from collections.abc import Callable

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import consent, exam_state
from labkit.course.exam import rounds
from labkit.course.exam.registry import SCENARIOS
from labkit.swarm.model import Snapshot
from labkit.transport.commands import CancelToken, Sink
from labkit.util.errors import WouldRemove
from labkit.widgets import page
from labkit.widgets.panel import Panel, on_click
from labkit.widgets.runner import Work


class Exam(Panel):
    """Shows the story of the scenario that runs and, at each change of the swarm, the time left."""

    offers = "the current story and the time left"

    def __init__(self, lab: Cluster, *, minutes: float = 60, count: int = 5) -> None:
        wide = {"description_width": "6em"}
        self.minutes = ipywidgets.BoundedFloatText(minutes, min=1, max=600, description="minutes", style=wide)
        self.count = ipywidgets.BoundedIntText(
            count, min=1, max=len(SCENARIOS), description="scenarios", style=wide
        )
        self.begin = self._button("Start an exam", "play", self._start)
        self.grade = self._button("Grade this one", "check", lambda: rounds.check(lab))
        self.next = self._button("Next", "step-forward", lambda: rounds.go_on(lab))
        self.anyway = self._button(consent.AGREE, "trash", lambda: self._begin())
        self.anyway.layout.display = "none"
        self._begin: Callable[[], object] = self._start
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
            self.grade.disabled = self.next.disabled = exam_state.exam(self.lab) is None

    def reflect(self, _: Snapshot) -> None:
        self.story.value = page.output(rounds.story(self.lab)) if exam_state.exam(self.lab) else ""

    def report(self, _: Snapshot) -> str:
        return rounds.status(self.lab)

    def _start(self) -> object:
        return rounds.exam(self.lab, self.minutes.value, self.count.value)

    def _button(self, label: str, icon: str, action: Callable[[], object]) -> ipywidgets.Button:
        def work(sink: Sink, _: CancelToken) -> object:
            self.anyway.layout.display = "none"
            try:
                done = action()
            except WouldRemove as error:
                self._begin, self.anyway.layout.display = error.begin, None
                raise
            text = f"{done}".replace(rounds.story(self.lab), "").strip()  # the story is shown above
            sink("", "stdout", f"{text}\n")
            return done

        button = ipywidgets.Button(description=label, icon=icon, layout={"width": "auto"})
        doing: Work[object] = work
        return on_click(button, lambda: self.start_work(doing))
