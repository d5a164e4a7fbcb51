"""The click that lets a chapter or a scenario begin although it takes away what a learner has made."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets

from labkit.running import Sink, Switch
from labkit.widgets.panel import Panel, on_click

if TYPE_CHECKING:
    from labkit.lab import Lab


class Begin(Panel):
    """Offers to remove everything and begin; calls `begin` when it is clicked."""

    follows = False

    def __init__(self, lab: "Lab", begin: Callable[[], object]) -> None:
        self.begin = begin
        button = ipywidgets.Button(
            description="Remove all this and begin",
            icon="trash",
            button_style="danger",
            layout={"width": "max-content"},
        )
        super().__init__(lab, "", [on_click(button, lambda: self.start_work(self._work))])

    def run(self) -> object:
        """Remove what there is, and begin. Raises what `begin` raises."""
        return self.run_work(self._work)

    def _work(self, sink: Sink, _switch: Switch) -> object:
        begun = self.begin()
        story = f"{begun}\n\n" if isinstance(begun, str) else ""
        sink("", "stdout", f"{story}Done: this is where it starts. Go on with the next cell.\n")
        return begun
