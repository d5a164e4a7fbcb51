"""An exercise beside its cell: it grades itself at every change of the swarm, and gives hints on request."""

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import exam_state, exercises, grading
from labkit.course.exam_state import PREFIX
from labkit.course.grading import Grade
from labkit.course.inspector import Inspector
from labkit.swarm.model import Snapshot
from labkit.util.errors import LabError
from labkit.widgets import page
from labkit.widgets.panel import Panel, on_click


class Exercise(Panel):
    """Shows point by point how far an exercise such as `create.1` is, and records when it is solved."""

    offers = "how far you are, and hints"

    def __init__(self, lab: Cluster, name: str) -> None:
        self.name = name
        self.grade: Grade | None = None
        self._recorded = False
        self.points, self.hints = ipywidgets.HTML(), ipywidgets.HTML()
        self.hint = on_click(ipywidgets.Button(description="Hint", icon="lightbulb-o"), self._hint)
        found = exercises.find(lab, name)
        title = f"{found.label} {name}: {found.task}"
        super().__init__(lab, title, [self.points, self.hint, self.hints])

    @property
    def exercise(self) -> grading.Exercise:
        """The exercise as it is now: a scenario changes with each begin."""
        return exercises.find(self.lab, self.name)

    def run(self) -> Grade:
        """Grade it now; wait a moment for what was just done. Raises NotSolved."""
        return exercises.check(self.lab, self.name)

    def reflect(self, snapshot: Snapshot) -> None:
        if self.name.startswith(PREFIX) and exam_state.exam(self.lab):
            self.points.value = page.prose("While an exam runs, lab.check() grades a scenario, once.")
            return
        exercise = self.exercise
        found = Grade(self.name, exercise.grade(Inspector(self.lab, snapshot)), exercise.why)
        if self.grade is None or found != self.grade:
            self.points.value = page.points(found)
        if found and not self._recorded and self.grade is not None:  # it was open, and now it is not
            self._recorded = True
            grading.keep(self.lab, found)
        self.grade = found

    def _hint(self) -> None:
        try:
            self.hints.value += page.prose(grading.next_hint(self.lab, self.name, self.exercise))
        except LabError as error:  # while an exam runs
            self.hints.value = page.error(error)
