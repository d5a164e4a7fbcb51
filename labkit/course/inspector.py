"""What a grader sees of the swarm at one moment; it asks each question at most once, when it is needed."""

import shlex
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from labkit.cluster.cluster import Cluster
from labkit.swarm.checks import Check, Verdict
from labkit.swarm.model import Json, Snapshot, Task
from labkit.transport.commands import Result
from labkit.util.errors import LabNotRunning

T = TypeVar("T")
_RUN_SECONDS = 20.0
_SERVICE_LABEL = "com.docker.swarm.service.name"  # of a task's container


class Inspector:
    """One inspection of a lab. What managers and nodes answer comes as the engine's API gives it.

    Raises LabNotRunning when the lab is down.
    """

    def __init__(self, lab: Cluster, snapshot: Snapshot | None = None) -> None:
        self.lab = lab
        self.snapshot = snapshot or lab.snapshot()
        if not self.snapshot.engines:
            up = lab.context.hint("up")
            raise LabNotRunning(f"lab '{lab.name}' is not running", next_step=up)
        self._seen: dict[tuple[str, ...], Any] = {}

    def holds(self, check: Check) -> Verdict:
        """The verdict of a check at this moment."""
        return check(self.snapshot)

    def tasks(self, service: str) -> list[Task]:
        """The tasks of a service that the swarm wants to run."""
        return [task for task in self.snapshot.tasks if task.service == service and task.wanted]

    def running(self, service: str) -> list[Task]:
        """The tasks of a service that run and are meant to."""
        return self.snapshot.running(service)

    # -- the swarm, as a manager sees it ---------------------------------------------------------------

    @cached_property
    def manager(self) -> Any:
        """The API client of a manager that answers. Raises LabError when none does."""
        name = self.snapshot.answering_manager
        if name is None:
            raise self.snapshot.no_manager()
        return self.lab.node(name).api

    @property
    def swarm(self) -> Json:
        """`GET /swarm`: the swarm's settings and join tokens."""
        return self._once(lambda: self.manager.inspect_swarm(), "swarm")

    def service(self, name: str) -> Json | None:
        """A service with its whole specification; None when there is none of this name."""
        return _named(self._once(lambda: self.manager.services(), "services"), name)

    def secret(self, name: str) -> Json | None:
        """A secret, without its content."""
        return _named(self._once(lambda: self.manager.secrets(), "secrets"), name)

    def config(self, name: str) -> Json | None:
        """A config, with its content in base64."""
        return _named(self._once(lambda: self.manager.configs(), "configs"), name)

    def network(self, name: str) -> Json | None:
        """A network that spans the swarm, as a manager knows it."""
        entries = self._once(lambda: self.manager.networks(), "networks")
        return next((entry for entry in entries if entry["Name"] == name and entry["Scope"] == "swarm"), None)

    def node(self, name: str) -> Json | None:
        """A member of the swarm with all that it reports; the one that is not down, of several."""
        found = self.snapshot.node(name)
        entries = self._once(lambda: self.manager.nodes(), "nodes")
        return next((entry for entry in entries if found and entry["ID"] == found.id), None)

    # -- one node, as its own engine sees it -----------------------------------------------------------

    def containers(self, node: str) -> list[Json]:
        """All containers on a node, stopped ones too."""
        api = self.lab.node(node).api
        return self._once(lambda: api.containers(all=True), "containers", node)

    def containers_of(self, service: str, node: str) -> list[Json]:
        """A service's running containers on a node."""
        return [
            entry
            for entry in self.containers(node)
            if entry["Labels"].get(_SERVICE_LABEL) == service and entry["State"] == "running"
        ]

    def volumes(self, node: str) -> list[Json]:
        """The volumes that a node's engine knows."""
        api = self.lab.node(node).api
        return self._once(lambda: api.volumes()["Volumes"] or [], "volumes", node)

    def plugins(self, node: str) -> list[Json]:
        """The plugins that are installed on a node."""
        api = self.lab.node(node).api
        return self._once(lambda: api.plugins(), "plugins", node)

    def run(self, node: str, command: str) -> Result:
        """Run a shell command that changes nothing on a node; it may fail."""
        found = self.lab.node(node)
        return self._once(
            lambda: found.run(command, check=False, quiet=True, timeout=_RUN_SECONDS), "run", node, command
        )

    def file(self, path: str, node: str = "manager1") -> str | None:
        """What a file holds, without the white space around it; None when it is not there."""
        result = self.run(node, f"cat {shlex.quote(path)}")
        return None if result.exit_code else result.stdout.strip()

    def _once(self, ask: Callable[[], T], *question: str) -> T:
        if question not in self._seen:
            self._seen[question] = ask()
        answer: T = self._seen[question]
        return answer


def _named(entries: list[Json], name: str) -> Json | None:
    return next((entry for entry in entries if entry["Spec"]["Name"] == name), None)
