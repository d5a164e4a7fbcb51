"""The button for a learner's consent: a chapter or scenario begins, and what they have made is removed."""

from collections.abc import Callable

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import consent
from labkit.transport.commands import CancelToken, Sink
from labkit.widgets.panel import Panel, on_click


class Begin(Panel):
    """Offers to remove everything and begin; calls `begin` when it is clicked."""

    offers = "a button that removes everything and begins"
    follows = False

    def __init__(self, lab: Cluster, begin: Callable[[], object]) -> None:
        self.begin = begin
        button = ipywidgets.Button(
            description=consent.AGREE,
            icon="trash",
            button_style="danger",
            layout={"width": "max-content"},
        )
        super().__init__(lab, "", [on_click(button, lambda: self.start_work(self._work))])

    def run(self) -> object:
        """Remove what is there, and begin. Raises what `begin` raises."""
        return self.run_work(self._work)

    def _work(self, sink: Sink, _token: CancelToken) -> object:
        begun = self.begin()
        text = f"{begun}\n\n" if isinstance(begun, str) else ""
        sink("", "stdout", f"{text}Done: this is where it starts. Go on with the next cell.\n")
        return begun
