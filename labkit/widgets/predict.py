"""A prediction that a learner commits before the next cells run."""

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.course import predictions
from labkit.widgets import page
from labkit.widgets.described import Described
from labkit.widgets.panel import in_a_row, on_click

# extension/swarm-lab finds predictions by these, and folds the outputs below until one is committed.
_ASKED, _COMMITTED = "labkit-predict", "labkit-committed"


class Predict(Described, ipywidgets.VBox):
    """Takes one prediction for a question such as `services.dip`, and records it.

    One click on one of `choices` commits; without choices, a short text does. `lab.outcome` compares it with
    what happens. In Swarm Lab's JupyterLab the outputs up to there stay folded until then.
    """

    def __init__(self, lab: Cluster, name: str, *choices: str) -> None:
        self.lab, self.name, self.choices = lab, name, choices
        self.committed: str | None = None
        self.choice = ipywidgets.ToggleButtons(options=choices, value=None)
        self.text = ipywidgets.Text(placeholder="a few words", continuous_update=False)
        self.button = on_click(
            ipywidgets.Button(description="Commit", icon="check"), lambda: self.commit(self.text.value)
        )
        self.said = ipywidgets.HTML(page.note("Commit a prediction first, then run the next cells."))
        controls = [self.choice] if choices else [ipywidgets.HBox([self.text, self.button])]
        super().__init__([ipywidgets.HTML(page.STYLE), *controls, self.said])  # type: ignore[no-untyped-call]
        self.add_class(_ASKED)  # type: ignore[no-untyped-call]
        if choices:
            in_a_row(self.choice)
            self.choice.style.description_width = "0px"
            self.choice.observe(lambda change: self.commit(change["new"] or ""), "value")

    def __repr__(self) -> str:
        if not self.choices:
            return "Your prediction: ______"
        return "Your prediction: " + "   ".join(f"( ) {choice}" for choice in self.choices)

    def commit(self, answer: str) -> None:
        """Record the prediction; the first one stands. Blank text is no prediction."""
        answer = answer.strip()
        if self.committed is not None or not answer:
            return
        self.committed = answer
        predictions.commit(self.lab, self.name, answer)
        for control in (self.choice, self.text, self.button):
            control.disabled = True
        self.said.value = page.note(f"You predict: {answer}. Now run the next cells.")
        self.add_class(_COMMITTED)  # type: ignore[no-untyped-call]
