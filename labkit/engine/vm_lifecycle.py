"""Starts and stops a lab's virtual machine, if the lab uses one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docker

from labkit.engine.doctor import require_room
from labkit.engine.selection import VM, VM_DIRECT, EngineContext
from labkit.engine.vm import process
from labkit.engine.vm.container import Container
from labkit.engine.vm.virtual_machine import VirtualMachine
from labkit.images import builder, store, vm_disk
from labkit.util.console import ProgressReporter
from labkit.util.errors import EngineNotFound, ImageUnavailable

ACCELERATORS = {"kvm": "with KVM", "tcg": "emulated, without KVM"}


@dataclass(frozen=True)
class RunningVM:
    """A running virtual machine, and the name of the snapshot that it was resumed from, if any."""

    vm: VirtualMachine
    resumed: str

    def save(self, snapshot: str, reporter: ProgressReporter) -> None:
        """Save the VM as it is now, so that it starts quickly later."""
        with reporter.step(f"Saving the virtual machine as '{snapshot}'"):
            self.vm.save(snapshot)


def power_on(context: EngineContext, snapshots: list[str], reporter: ProgressReporter) -> RunningVM | None:
    """Start the lab's virtual machine, from the first of `snapshots` that it has.

    Returns None if the lab doesn't use one. Raises EngineNotFound if there's no way to run it, and what
    `VirtualMachine.start` raises.
    """
    vm = context.vm()
    if vm is None and not context.wants_vm:
        return None
    if vm is None or not vm.home.running:
        vm = _new(context, vm, reporter)
    with reporter.step("Virtual machine") as step:
        resumed = vm.start(*snapshots)
        for line in vm.home.console(50):
            if line.startswith("machine: "):
                step.note(line)
        facts = [vm.home.title, f"{vm.memory} MiB", ACCELERATORS[vm.accelerator]]
        step.result = ", ".join([*facts, "resumed"] if resumed else facts)
    context.clear_cache()
    return RunningVM(vm, resumed)


def power_off(context: EngineContext) -> list[str]:
    """End the lab's virtual machine in either home, but keep its snapshots; return what was removed."""
    removed = [name for vm in context.vms() for name in vm.end()]
    context.clear_cache()
    return removed


def can_resume(context: EngineContext, snapshot: str) -> bool:
    """Whether the lab runs on a virtual machine that has this snapshot."""
    vm = context.vm()
    return vm is not None and vm.home.running and vm.has_saved(snapshot)


def require_images(context: EngineContext, client: docker.DockerClient, images: Sequence[str]) -> None:
    """Raise ImageUnavailable if the lab runs on a virtual machine that lacks one of the images.

    The VM's disk comes with them. They are never built in a VM, whose processors may be emulated.
    """
    if not context.endpoint().vm:
        return
    if lacking := [tag for tag in builder.content_tags(images) if not store.has(client, tag)]:
        raise ImageUnavailable(
            f"the virtual machine of lab '{context.lab}' does not match this version of Swarm Lab",
            evidence=[f"it lacks {' '.join(lacking)}"],
            next_step=f"{context.hint('down')}, then {context.hint('up', engine=VM)}",
        )


def report(context: EngineContext) -> dict[str, Any] | None:
    """What `labkit status --json` shows about the lab's virtual machine; None if it doesn't run on one."""
    vm = context.vm() if context.endpoint().vm else None
    if vm is None:
        return None
    return {
        "home": vm.home.title,
        "accelerator": vm.accelerator,
        "memory_mib": vm.memory,
        "resumed": vm.resumed or None,
    }


def needs_docker(context: EngineContext) -> bool:
    """Whether the lab needs the user's own engine: not if its VM runs, or can only run, directly."""
    if context.kind == VM_DIRECT or process.Process(context.lab).present:
        return False
    try:
        context.own_endpoint()
    except EngineNotFound:
        return context.kind != VM or bool(process.obstacles())
    return True


def _new(
    context: EngineContext, stopped: VirtualMachine | None, reporter: ProgressReporter
) -> VirtualMachine:
    """The VM to start: in the home of the stopped one, otherwise wherever it can run."""
    direct = isinstance(stopped.home, process.Process) if stopped else context.kind == VM_DIRECT
    if direct or not needs_docker(context):
        process.require()
        return VirtualMachine(context.lab, process.Process(context.lab))
    client = context.own_client()
    require_room(client)
    image = builder.ensure_step(client, vm_disk.NAME, reporter)
    return VirtualMachine(context.lab, Container(context.lab, client, image))
