"""A learner's progress through the course, kept up to date while a page shows it."""

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import progress, report
from labkit.widgets.described import Described
from labkit.widgets.notebook import notebook_lab


class Progress(Described, ipywidgets.HTML):
    """Which exercises are solved, chapter by chapter, and how the quizzes went.

    It is updated with what is recorded through `lab`, or the notebook's.
    """

    def __init__(self, lab: Cluster | None = None) -> None:
        super().__init__(report.tables(report.summary()))  # type: ignore[no-untyped-call]
        self._end_updates = progress.of(lab or notebook_lab()).subscribe(lambda _: self._again())

    def __repr__(self) -> str:
        return report.render(report.summary())

    def close(self) -> None:
        """Take it off every page, and stop following."""
        self._end_updates()
        super().close()  # type: ignore[no-untyped-call]

    def _again(self) -> None:
        self.value = report.tables(report.summary())
