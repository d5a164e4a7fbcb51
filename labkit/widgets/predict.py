"""Predict, then run: the command runs only once the learner has committed a prediction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ipywidgets

from labkit import plots
from labkit.cluster.cluster import Cluster
from labkit.swarm import checks
from labkit.swarm.checks import Check, Verdict
from labkit.swarm.model import Snapshot
from labkit.transport.commands import CancelToken, Sink, failure
from labkit.util.errors import CommandInterrupted, LabError
from labkit.widgets.panel import Panel, on_click
from labkit.widgets.runner import Work

Prediction = str | Mapping[str, int]
"""One of the choices, or a number of tasks for each node."""


@dataclass(frozen=True)
class Outcome:
    """What was predicted and what came about."""

    predicted: Prediction
    actual: Prediction
    snapshot: Snapshot

    @property
    def right(self) -> bool:
        return self.predicted == self.actual


class Predict(Panel):
    """Asks a question, takes a prediction, runs a command, waits, and shows both.

    With `service` the prediction is how many of its tasks run on each node. Else it is one of `choices`, and
    `actual` tells from the swarm's state which one came about. `command` runs on `node`, or on a manager;
    there may be none. The wait is for `until`; by default until all tasks of `service` run.
    """

    follows = False

    def __init__(
        self,
        lab: Cluster,
        question: str,
        command: str = "",
        *,
        service: str = "",
        choices: Sequence[str] = (),
        actual: Callable[[Snapshot], str] | None = None,
        until: Sequence[Check] = (),
        node: str | None = None,
        timeout: float = 60,
    ) -> None:
        if bool(service) == bool(choices and actual):
            raise LabError(
                "a prediction is about a service, or about choices",
                next_step="give service='web', or choices=[…] with actual=…",
            )
        self.command, self.service, self.timeout, self.node = command, service, timeout, node
        self._actual = actual
        self._until = tuple(until) or ((all_run(service),) if service else ())
        self.committed: Prediction | None = None
        self.outcome: Outcome | None = None
        self.counts = {
            name: ipywidgets.BoundedIntText(0, min=0, max=999, description=name)
            for name in (lab.nodes if service else ())
        }
        self.choice = ipywidgets.RadioButtons(options=choices, value=None, layout={"width": "auto"})
        self.commit = on_click(
            ipywidgets.Button(description="I predict this", icon="check", button_style="primary"),
            self._commit,
        )
        self.go = on_click(
            ipywidgets.Button(description="Run it" if command else "See", icon="play", disabled=True),
            self._go,
        )
        inputs = list(self.counts.values()) if service else [self.choice]
        super().__init__(
            lab,
            question,
            [
                ipywidgets.HBox(inputs, layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([self.commit, self.go]),
            ],
        )
        if command:
            self.runner.announce(node or "manager", command)

    def run(self, prediction: Prediction) -> Outcome:
        """Commit a prediction, run the command, wait; return what came about.

        Raises what `Node.run` and `Lab.wait` raise; a wrong prediction is no error.
        """
        return self.run_work(self._work(prediction))

    @property
    def prediction(self) -> Prediction | None:
        """What the controls say; None while no choice is made."""
        if self.service:
            return {name: count.value for name, count in self.counts.items()}
        chosen: str | None = self.choice.value
        return chosen

    def enable(self, enabled: bool) -> None:
        super().enable(enabled and self.committed is None)
        self.go.disabled = not enabled or self.committed is None

    def _commit(self) -> None:
        self.committed = self.prediction
        self.enable(True)
        self.say("Your prediction stands. Now run it." if self.committed else "Choose one first.")

    def _go(self) -> None:
        if self.committed is not None:
            self.say("")
            self.start_work(self._work(self.committed))

    def _work(self, prediction: Prediction) -> Work[Outcome]:
        def work(sink: Sink, token: CancelToken) -> Outcome:
            def not_stopped(_: Snapshot) -> Verdict:
                if token.cancelled:
                    raise CommandInterrupted("stopped")
                return Verdict(True, "not stopped")

            if self.command:
                result = self.on(self.command, self.node, self.timeout)(sink, token)
                if result.exit_code:
                    raise failure(result)
            snapshot = self.lab.wait(not_stopped, *self._until, timeout=self.timeout)
            outcome = Outcome(prediction, self._see(snapshot), snapshot)
            if isinstance(prediction, str):
                sink("", "stdout", f"You predicted: {prediction}\nIt is:         {outcome.actual}\n")
            else:
                self.runner.show(plots.compare(prediction, placed(snapshot, self.service)))
            self.outcome, self.committed = outcome, None  # and so the next prediction may come
            return outcome

        return work

    def _see(self, snapshot: Snapshot) -> Prediction:
        return self._actual(snapshot) if self._actual else placed(snapshot, self.service)


def placed(snapshot: Snapshot, service: str) -> dict[str, int]:
    """How many tasks of a service run on each node of the lab."""
    counts = snapshot.tasks_per_node(service)
    return {name: counts[name] for name in snapshot.engines}


def all_run(service: str) -> Check:
    """As many tasks of the service run as it is to have."""

    def check(snapshot: Snapshot) -> Verdict:
        found = snapshot.service(service)
        if found is None:
            return Verdict(False, f"there is no service {service}")
        tasks = [task for task in snapshot.tasks if task.service == service and task.wanted]
        return checks.running(service, len(tasks) if found.replicas is None else found.replicas)(snapshot)

    return check
