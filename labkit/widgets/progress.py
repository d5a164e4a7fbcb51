"""A learner's progress through the course, kept up to date while a page shows it."""

import ipywidgets

from labkit.course import progress, report


class Progress(ipywidgets.HTML):
    """Which exercises are solved, chapter by chapter, and how the quizzes went."""

    def __init__(self) -> None:
        super().__init__(report.tables(report.summary()))  # type: ignore[no-untyped-call]
        self._forget = progress.subscribe(lambda _: self._again())

    def __repr__(self) -> str:
        return report.words(report.summary())

    def close(self) -> None:
        """Take it off every page, and follow no longer."""
        self._forget()
        super().close()  # type: ignore[no-untyped-call]

    def _again(self) -> None:
        self.value = report.tables(report.summary())
