"""A Docker engine with a full Linux kernel of its own, in a small virtual machine: one for each lab.

The machine runs in a container without any capability, or directly as a process of its user. Both run the
same script, `images/vm/machine`; what differs is in the homes `container` and `process`.
"""

import contextlib

from labkit.engine.find import connect, own_engine
from labkit.engine.vm import process
from labkit.engine.vm.container import Container
from labkit.engine.vm.machine import Machine, memory
from labkit.engine.vm.process import Process
from labkit.errors import EngineNotFound, EngineUnsuitable

__all__ = ["Machine", "found", "homes", "memory", "possible_directly"]


def homes(lab: str) -> list[Machine]:
    """The machine of a lab in each home that it may be in here, whether it runs or not."""
    found = [Machine(lab, Process(lab))]
    with contextlib.suppress(EngineNotFound, EngineUnsuitable):  # then there is no container either
        found.append(Machine(lab, Container(lab, connect(own_engine()))))
    return found


def found(lab: str) -> Machine | None:
    """The lab's machine: one that runs, else one that has ended and was not removed."""
    present = [machine for machine in homes(lab) if machine.home.present]
    return next((machine for machine in present if machine.home.running), next(iter(present), None))


def possible_directly() -> bool:
    """Whether this user can run a machine here without Docker."""
    return not process.obstacles()
