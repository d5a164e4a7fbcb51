"""A slider for a service's number of replicas."""

import contextlib
import shlex

import ipywidgets

from labkit.cluster.cluster import Cluster
from labkit.engine.selection import ERRORS
from labkit.swarm import checks
from labkit.swarm.model import Snapshot
from labkit.transport.commands import CancelToken, Result, Sink
from labkit.util.errors import CommandTimedOut, LabError
from labkit.widgets import page
from labkit.widgets.panel import Panel
from labkit.widgets.runner import Work


class Scale(Panel):
    """Runs `docker service scale` when the slider is released; the slider is where the swarm is.

    The command waits until all tasks run and have run for 5 s; the next move of the slider ends the wait.
    After `timeout` seconds it is stopped, and told what the tasks wait for: the order stands nevertheless.
    """

    offers = "a slider that runs `docker service scale`"

    def __init__(self, lab: Cluster, service: str, *, maximum: int = 12, timeout: float = 60) -> None:
        self.service, self.timeout = service, timeout
        self._replicas: int | None = None  # of the swarm
        self.slider = ipywidgets.IntSlider(
            min=0, max=maximum, description="replicas", continuous_update=False, layout={"width": "100%"}
        )
        super().__init__(lab, f"Scale {service}", [self.slider])
        self.slider.observe(lambda change: self._moved(change["new"]), "value")

    def run(self, replicas: int) -> Result:
        """Scale the service and wait until it is so. Raises what `Node.run` raises."""
        return self.run_work(self._scaling(replicas))

    def enable(self, enabled: bool) -> None:
        """The slider stays: by the keyboard it moves in steps, and the last one counts."""

    def reflect(self, snapshot: Snapshot) -> None:
        service = snapshot.service(self.service)
        self._replicas = service.replicas if service else None
        self.slider.disabled = self._replicas is None
        if self._replicas is not None:
            self.slider.max = max(self.slider.max, self._replicas)
            self.slider.value = self._replicas
            self.announce(command(self.service, self._replicas), snapshot)

    def report(self, snapshot: Snapshot) -> str:
        service = snapshot.service(self.service)
        if snapshot.quorum and service is None:
            return f"There is no service {self.service} yet."
        if service and service.replicas is None:
            return f"{self.service} runs once on every node (global mode): it has no number of replicas."
        return page.verdict(checks.running(self.service, (service and service.replicas) or 0)(snapshot))

    def _moved(self, replicas: int) -> None:
        if replicas != self._replicas:  # the learner's doing, not the swarm's
            self.start_work_instead(self._scaling(replicas))

    def _scaling(self, replicas: int) -> Work[Result]:
        scale = self.on(command(self.service, replicas), timeout=self.timeout)

        def explained(sink: Sink, token: CancelToken) -> Result:
            try:
                return scale(sink, token)
            except CommandTimedOut as error:
                with contextlib.suppress(LabError, *ERRORS):  # that it timed out is the news
                    error.add_evidence(str(checks.running(self.service, replicas)(self.lab.snapshot())))
                raise

        return explained


def command(service: str, replicas: int) -> str:
    """The command that scales a service."""
    return f"docker service scale {shlex.quote(f'{service}={replicas}')}"
