"""Selects the engine that runs a lab: the user's own, or the one in a virtual machine.

Nothing else in labkit opens a client for it. Each lab has its own context, so labs on different engines
work side by side in one process.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

import docker
from docker.errors import DockerException
from requests import RequestException

from labkit.engine.endpoints import Endpoint
from labkit.engine.find import connect, own_engine
from labkit.engine.vm.container import Container
from labkit.engine.vm.process import Process
from labkit.engine.vm.virtual_machine import VirtualMachine
from labkit.util import command_hint
from labkit.util.deadline import Deadline
from labkit.util.errors import EngineNotFound, EngineUnsuitable, LabError, LabNotRunning

DOCKER, VM, VM_DIRECT = command_hint.ENGINE_KINDS

_EMULATED = 5.0  # how many times slower emulated processors are (bench/RESULTS.md)

ERRORS = (DockerException, RequestException, OSError)
"""What docker-py raises if an engine refuses a request or stops answering."""


class EngineContext:
    """The engine of one lab: its kind, its endpoint, clients for it, and how patient to be with it.

    `kind` is `docker`, `vm`, or `vm-direct`; it defaults to the variable `LABKIT_ENGINE`. If neither is set,
    the lab uses its virtual machine if it has one, and the user's own engine otherwise. Endpoints are cached
    until `clear_cache`. Thread-safe. Raises LabError for an unknown kind.
    """

    def __init__(self, lab: str, kind: str | None = None) -> None:
        self.lab = lab
        self.kind = os.environ.get(command_hint.ENGINE_VARIABLE, "") if kind is None else kind
        if self.kind and self.kind not in command_hint.ENGINE_KINDS:
            raise LabError(
                f"unknown kind of engine '{self.kind}'",
                next_step=f"use one of {', '.join(command_hint.ENGINE_KINDS)}",
            )
        self._lock = threading.RLock()
        self._of_thread = threading.local()
        self._own: Endpoint | None = None
        self._endpoint: Endpoint | None = None
        self._patience = 1.0

    def __repr__(self) -> str:
        return f"<EngineContext of lab {self.lab}: {self._endpoint.url if self._endpoint else self.kind}>"

    @property
    def wants_vm(self) -> bool:
        """Whether the user asked for a virtual machine."""
        return self.kind in (VM, VM_DIRECT)

    @property
    def patience(self) -> float:
        """How many times longer everything takes than on the computer's own processors."""
        with contextlib.suppress(LabError):  # without an engine there is nothing to be patient with
            self.endpoint()
        return self._patience

    def deadline(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, or later where processors are emulated."""
        return Deadline(seconds, self.patience)

    def hint(self, *words: str, engine: str = "") -> str:
        """`labkit WORDS` for this lab, as its user would type it; `engine` is the kind that a start needs."""
        kind = self.kind if self.wants_vm else engine or self.kind
        return command_hint.command(*words, lab=self.lab, engine=kind)

    # -- endpoints ----------------------------------------------------------------------------------

    def endpoint(self) -> Endpoint:
        """The engine that runs the lab.

        Raises `EngineNotFound` with the places that were tried, `EngineUnsuitable` for an engine that can't
        run a lab, `LabNotRunning` for a virtual machine that hasn't been started yet.
        """
        with self._lock:
            if self._endpoint is None:
                self._endpoint = self._choose()
            return self._endpoint

    def _choose(self) -> Endpoint:
        vm = None if self.kind == DOCKER else self.vm()
        if vm:
            engine = vm.answer()
            self._patience = _EMULATED if vm.accelerator == "tcg" else 1.0
            return engine
        if self.wants_vm:
            raise LabNotRunning(f"lab '{self.lab}' has no virtual machine yet", next_step=self.hint("up"))
        return self.own_endpoint()

    def own_endpoint(self) -> Endpoint:
        """The user's own engine, whichever runs the lab. Raises what `find.own_engine` raises."""
        with self._lock:
            if self._own is None:
                self._own = own_engine()
            return self._own

    def clear_cache(self) -> None:
        """Forget the endpoints, so that the next call looks for them again."""
        with self._lock:
            self._endpoint = self._own = None
            self._patience = 1.0

    # -- clients ------------------------------------------------------------------------------------

    def client(self, timeout: float = 60) -> docker.DockerClient:
        """A new client for the lab's engine; each of its calls may take `timeout` seconds.

        Always a new one, because docker-py's clients aren't thread-safe. Raises what `endpoint` raises.
        """
        return connect(self.endpoint(), timeout)

    def thread_client(self) -> docker.DockerClient:
        """This thread's own client for the lab's engine. Raises what `endpoint` raises."""
        engine = self.endpoint()
        if getattr(self._of_thread, "engine", None) != engine:
            self._of_thread.engine, self._of_thread.client = engine, connect(engine)
        own: docker.DockerClient = self._of_thread.client
        return own

    def own_client(self, timeout: float = 60) -> docker.DockerClient:
        """A new client for the user's own engine, whichever runs the lab."""
        return connect(self.own_endpoint(), timeout)

    # -- virtual machines ---------------------------------------------------------------------------

    def vms(self) -> list[VirtualMachine]:
        """The lab's virtual machine in each of its possible homes, whether it's running or not."""
        found = [VirtualMachine(self.lab, Process(self.lab))]
        with contextlib.suppress(EngineNotFound, EngineUnsuitable):  # no engine means no container either
            found.append(VirtualMachine(self.lab, Container(self.lab, self.own_client())))
        return found

    def vm(self) -> VirtualMachine | None:
        """The lab's virtual machine: a running one, otherwise a stopped one that hasn't been removed."""
        present = [vm for vm in self.vms() if vm.home.present]
        return next((vm for vm in present if vm.home.running), next(iter(present), None))

    def trouble(self) -> LabError | None:
        """Why the engine doesn't answer, if its virtual machine is the reason.

        This also clears the cache, because a VM that starts again listens on another port.
        """
        if self._endpoint is None or not self._endpoint.vm:
            return None
        self.clear_cache()
        vm = self.vm()
        return vm.trouble() if vm else None

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Replace docker-py's exception with the reason, if `trouble` knows it."""
        try:
            yield
        except ERRORS as error:
            if reason := self.trouble():
                raise reason from error
            raise
