"""Brings a lab's virtual machine up, where it is to run on one."""

from dataclasses import dataclass
from typing import Any

import docker

from labkit import baking, hint, images
from labkit.console import Story
from labkit.engine import choice, vm
from labkit.engine.find import own_engine
from labkit.engine.probes import require_room
from labkit.engine.vm import Machine
from labkit.engine.vm import process as processes
from labkit.engine.vm.container import Container
from labkit.errors import EngineNotFound, ImageUnavailable
from labkit.topology import Topology

WORDS = {"kvm": "with KVM", "tcg": "emulated, without KVM"}


@dataclass(frozen=True)
class Power:
    """A machine that runs, and the name of the snapshot that it has gone on from, if it has."""

    machine: Machine
    resumed: str

    def save(self, snapshot: str, story: Story) -> None:
        """Save the machine as it is now, for a quick start at another time."""
        with story.step(f"Saving the machine as '{snapshot}'"):
            self.machine.save(snapshot)


def power_on(lab: str, snapshots: list[str], story: Story) -> Power | None:
    """Start the lab's virtual machine, from the first of `snapshots` that it has.

    None where the lab is not to run on one. Raises EngineNotFound when there is no way to run it, and what
    `Machine.start` raises.
    """
    machine = vm.found(lab)
    if machine is None and choice.kind() not in (choice.VM, choice.VM_DIRECT):
        return None
    if machine is None or not machine.home.running:
        direct = isinstance(machine.home, processes.Process) if machine else choice.kind() == choice.VM_DIRECT
        machine = _new(lab, direct, story)
    with story.step("Virtual machine") as step:
        resumed = machine.start(*snapshots)
        for line in machine.home.console(50):
            if line.startswith("machine: "):
                step.note(line)
        words = [machine.home.title, f"{machine.memory} MiB", WORDS[machine.accelerator]]
        step.result = ", ".join([*words, "resumed"] if resumed else words)
    choice.forget()
    return Power(machine, resumed)


def power_off(lab: str) -> list[str]:
    """End the lab's virtual machine, in whichever home; return what was removed. Its snapshots stay."""
    removed = [name for machine in vm.homes(lab) for name in machine.end()]
    choice.forget()
    return removed


def has_machine(lab: str) -> bool:
    """Whether the lab has a virtual machine, running or ended."""
    return vm.found(lab) is not None


def can_resume(lab: str, snapshot: str) -> bool:
    """Whether the lab runs on a virtual machine that has saved itself under this name."""
    machine = vm.found(lab)
    return machine is not None and machine.home.running and machine.has_saved(snapshot)


def require_images(client: docker.DockerClient, wanted: Topology) -> None:
    """Raise ImageUnavailable where a virtual machine carries the lab and lacks an image of its topology.

    Its disk is made with them: they are never made in a machine, whose processors may be emulated.
    """
    if not choice.find().machine:
        return
    if lacking := [tag for tag in images.content_tags(wanted) if not images.has(client, tag)]:
        again = hint.command("up", lab=wanted.lab, engine=choice.VM)
        raise ImageUnavailable(
            f"the virtual machine of lab '{wanted.lab}' is of another version than this Swarm Lab",
            evidence=[f"it does not have {' '.join(lacking)}"],
            next_step=f"{hint.command('down', lab=wanted.lab)}, then {again}",
        )


def machine_report(lab: str) -> dict[str, Any] | None:
    """What `labkit status --json` says of the machine that carries the lab; None where none does."""
    machine = vm.found(lab) if choice.find().machine else None
    if machine is None:
        return None
    return {
        "home": machine.home.title,
        "accelerator": machine.accelerator,
        "memory_mib": machine.memory,
        "resumed": machine.resumed or None,
    }


def needs_docker(lab: str) -> bool:
    """Whether the lab needs the user's own engine: not if its machine runs, or can only run, directly."""
    if choice.kind() == choice.VM_DIRECT or processes.Process(lab).present:
        return False
    try:
        own_engine()
    except EngineNotFound:
        return choice.kind() != choice.VM or not vm.possible_directly()
    return True


def _new(lab: str, direct: bool, story: Story) -> Machine:
    if direct or not needs_docker(lab):
        processes.require()
        return Machine(lab, processes.Process(lab))
    client = choice.own_client()
    require_room(client)
    return Machine(lab, Container(lab, client, images.ensure_told(client, baking.NAME, story)))
