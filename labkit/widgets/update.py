"""A rolling update: what to roll out and how carefully, its progress, and the way back."""

import shlex

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.swarm.model import Service, Snapshot
from labkit.swarm.reasons import describe_update
from labkit.transport.commands import Result
from labkit.widgets.panel import Panel, on_click

IMAGES = ("web:1", "web:2", "web:3", "web:broken")
ACTIONS = ("pause", "continue", "rollback")


class RollingUpdate(Panel):
    """Runs `docker service update`, and `docker service rollback`, also while an update is under way.

    The commands wait until all tasks run and have run for 5 s. After `timeout` seconds they are stopped: the
    update itself goes on nevertheless.
    """

    offers = "controls that run `docker service update` and `docker service rollback`"

    def __init__(self, lab: Cluster, service: str, *, image: str = "web:2", timeout: float = 180) -> None:
        self.service, self.timeout = service, timeout
        self._snapshot = Snapshot(engines={})
        wide = {"description_width": "9em"}
        self.image = ipywidgets.Combobox(
            value=image, options=IMAGES, description="new image", style=wide, continuous_update=False
        )
        self.parallelism = ipywidgets.BoundedIntText(
            1, min=0, max=100, description="at once (0: all)", style=wide
        )
        self.delay = ipywidgets.BoundedIntText(0, min=0, max=600, description="pause (s)", style=wide)
        self.on_failure = ipywidgets.Dropdown(options=ACTIONS, description="when one fails", style=wide)
        self.start = on_click(
            ipywidgets.Button(description="Update", icon="play", button_style="primary"),
            lambda: self.start_work(self.on(self._command(), timeout=timeout)),
        )
        self.back = on_click(
            ipywidgets.Button(description="Roll back", icon="undo", tooltip="Back to the image before"),
            lambda: self.start_work_instead(self.on(rollback(service), timeout=timeout)),
        )
        self.progress = ipywidgets.IntProgress(description="rolled out", layout={"width": "auto"})
        inputs = (self.image, self.parallelism, self.delay, self.on_failure)
        super().__init__(
            lab,
            f"Rolling update of {service}",
            [
                ipywidgets.HBox(inputs, layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([self.start, self.back]),
                self.progress,
            ],
        )
        for control in inputs:
            control.observe(lambda _: self._changed(), "value")

    def run(self, image: str, *, parallelism: int = 1, delay: int = 0, on_failure: str = "pause") -> Result:
        """Update and wait for its end. Raises CommandFailed also when the swarm pauses or rolls back.

        `delay` in seconds lies between two rounds of `parallelism` tasks.
        """
        update = command(self.service, image, parallelism, delay, on_failure)
        return self.run_work(self.on(update, timeout=self.timeout))

    def roll_back(self) -> Result:
        """Go back to how the service was before the last update, and wait until it is."""
        return self.run_work(self.on(rollback(self.service), timeout=self.timeout))

    def enable(self, enabled: bool) -> None:
        super().enable(enabled)
        self.back.disabled = False

    def reflect(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.announce(self._command(), snapshot)

    def report(self, snapshot: Snapshot) -> str:
        service = snapshot.service(self.service)
        if snapshot.quorum is False:
            return "The managers have lost their quorum, so it's unknown."
        if service is None:
            return f"There is no service {self.service} yet."
        new, wanted = rolled_out(snapshot, service)
        self.progress.max, self.progress.value = max(wanted, 1), new
        return f"{service.image} runs in {new} of {wanted} tasks" + state(service)

    def _command(self) -> str:
        return command(
            self.service, self.image.value, self.parallelism.value, self.delay.value, self.on_failure.value
        )

    def _changed(self) -> None:
        self.runner.clear()
        self.announce(self._command(), self._snapshot)


def command(service: str, image: str, parallelism: int, delay: int, on_failure: str) -> str:
    """The command that updates a service."""
    return (
        f"docker service update --image {shlex.quote(image)} --update-parallelism {parallelism} "
        f"--update-delay {delay}s --update-failure-action {shlex.quote(on_failure)} {shlex.quote(service)}"
    )


def rollback(service: str) -> str:
    """The command that undoes the last update."""
    return f"docker service rollback {shlex.quote(service)}"


def rolled_out(snapshot: Snapshot, service: Service) -> tuple[int, int]:
    """How many tasks run the service's present image, and how many tasks there are to be."""
    tasks = [task for task in snapshot.tasks if task.service == service.name and task.wanted]
    new = [task for task in tasks if task.image == service.image and task.state == "running"]
    return len(new), service.replicas if service.replicas is not None else len(tasks)


def state(service: Service) -> str:
    """The last update's state in words; empty when there was none."""
    if not service.update:
        return ""
    text = f"; {describe_update(service.update)}"
    if service.update not in ("paused", "rollback_paused"):
        return text
    return f"{text}: it does not go on by itself ({service.update_message})"
