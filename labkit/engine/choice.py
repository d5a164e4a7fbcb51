"""Which engine carries the lab of this process: the user's own, or the one in a virtual machine.

Nothing else in labkit opens a client of it: `client()` is the only place. `LABKIT_ENGINE` chooses a kind;
without it, a lab whose virtual machine runs is on that. All labs of a process share one engine.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

import docker
from docker.errors import DockerException
from requests import RequestException

from labkit import hint
from labkit.deadline import be_patient
from labkit.engine import places, vm
from labkit.engine.find import connect, own_engine
from labkit.engine.places import Endpoint
from labkit.errors import LabError, LabNotRunning

DOCKER, VM, VM_DIRECT = hint.ENGINE_KINDS

_EMULATED = 5.0  # times as long as on processors that are not (bench/RESULTS.md)

ERRORS = (DockerException, RequestException, OSError)
"""What an engine that refuses, or stops answering, raises through docker-py."""

_of_thread = threading.local()
_lab: str | None = None  # the one that this process said it works on


def kind() -> str:
    """The kind of engine that the user chose, or an empty string. Raises LabError for an unknown one."""
    chosen = os.environ.get(hint.ENGINE_VARIABLE, "")
    if chosen and chosen not in hint.ENGINE_KINDS:
        raise LabError(
            f"{hint.ENGINE_VARIABLE}={chosen} is no kind of engine",
            next_step=f"use {', '.join(hint.ENGINE_KINDS)}",
        )
    return chosen


def current_lab() -> str:
    """The lab whose virtual machine is looked for."""
    return _lab or hint.current_lab()


def of_lab(lab: str) -> None:
    """Say which lab this process works on: its virtual machine is looked for.

    Raises LabError when the process works on the virtual machine of another lab already.
    """
    global _lab
    if lab == current_lab():
        return
    if find.cache_info().currsize:
        if find().machine:
            raise LabError(
                f"this process works on the virtual machine of lab '{current_lab()}'",
                next_step=f"use lab '{lab}' in a process, or kernel, of its own",
            )
        return
    _lab = lab


@functools.cache
def find() -> Endpoint:
    """Return the engine, and export `DOCKER_HOST` (with the TLS variables) for it.

    The first answer is remembered until `forget()`. Raises `EngineNotFound` with what was looked at,
    `EngineUnsuitable` for an engine that cannot carry a lab, `LabNotRunning` for a machine not started yet.
    """
    chosen = kind()
    machine = None if chosen == DOCKER else vm.found(current_lab())
    if machine:
        engine = machine.answer()
        be_patient(_EMULATED if machine.accelerator == "tcg" else 1)
    elif chosen in (VM, VM_DIRECT):
        lab = current_lab()
        raise LabNotRunning(f"lab '{lab}' has no virtual machine yet", next_step=hint.command("up", lab=lab))
    else:
        engine = own_engine()
    places.export(engine)
    return engine


def own_client(timeout: float = 60) -> docker.DockerClient:
    """Return a new client for the user's own engine, whichever carries the lab."""
    return connect(own_engine(), timeout)


def trouble() -> LabError | None:
    """Why the engine does not answer, if that is because of the virtual machine that it is in.

    Such an engine is forgotten then: the machine may start again, elsewhere.
    """
    if not find.cache_info().currsize or not find().machine:
        return None
    forget()
    machine = vm.found(current_lab())
    return machine.trouble() if machine else None


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raise the reason in place of what docker-py does, where `trouble` knows it."""
    try:
        yield
    except ERRORS as error:
        if reason := trouble():
            raise reason from error
        raise


def client(timeout: float = 60) -> docker.DockerClient:
    """Return a new client for the engine; `timeout` in seconds bounds each of its calls.

    A new one each time, because docker-py's clients are not safe across threads: use one per thread.
    Raises what `find()` raises.
    """
    return connect(find(), timeout)


def thread_client() -> docker.DockerClient:
    """Return this thread's client for the engine, always the same. Raises what `find()` raises."""
    engine = find()
    if getattr(_of_thread, "engine", None) != engine:
        _of_thread.engine, _of_thread.client = engine, client()
    own: docker.DockerClient = _of_thread.client
    return own


def forget() -> None:
    """Forget the engine, and take back the environment variables that `find()` set for it."""
    be_patient(1)
    find.cache_clear()
    own_engine.cache_clear()
    places.take_back()
