"""The line of `labkit doctor` that offers the virtual machine: what it would add, and what it costs."""

from collections.abc import Iterable

from labkit.engine.doctor import KERNEL_FEATURES, Probe
from labkit.engine.selection import DOCKER, ERRORS, VM, EngineContext
from labkit.engine.vm import container, process, virtual_machine
from labkit.engine.vm_lifecycle import ACCELERATORS
from labkit.images import architecture, builder, vm_disk
from labkit.util.errors import EngineNotFound, EngineUnsuitable

_TITLE = "Full kernel (--engine vm)"
_KVM_SECONDS = 30
_COSTS = {
    True: "with KVM, at nearly the host's own speed",
    False: "emulated, without KVM: about 2 minutes to start, 15 s to resume, commands 5 to 20 times slower",
    None: "its first start shows whether it has KVM or is emulated, which is much slower",
}


def offer(context: EngineContext, probes: Iterable[Probe]) -> Probe:
    """The line about the virtual machine, given the `probes` of the engine that runs the lab."""
    lacking = [probe for probe in probes if probe.key in KERNEL_FEATURES and probe.ok is False]
    chapters = sorted({chapter for probe in lacking for chapter in probe.needed_by.split(", ")})
    needed_by = ", ".join(chapters) or "no chapter"
    vm = context.vm()
    ok: bool | None = True
    found, advice = "not needed: this kernel has every feature", ""
    if vm and context.kind != DOCKER:
        facts = (vm.home.title, f"{vm.memory} MiB of memory", ACCELERATORS[vm.accelerator])
        found = f"the lab runs on one: {', '.join(facts)}"
    elif lacking:
        ok, found = None, "not in use"
        names = ", ".join(probe.title.partition(" ")[0] for probe in lacking)
        if missing := _obstacles(context):
            advice = f"a virtual machine would have {names}, but it cannot run here: {'; '.join(missing)}"
        else:
            size = f"{virtual_machine.memory()} MiB of memory and up to 24 GB of disk"
            up = context.hint("up", engine=VM)
            advice = f"{up}: has {names}; takes {size}; {_COSTS[_kvm(context)]}"
    return Probe("machine", _TITLE, ok, found, needed_by, advice)


def _obstacles(context: EngineContext) -> list[str]:
    """Why no VM can run here, neither in a container nor directly; empty if one can."""
    try:
        client = context.own_client()
    except (EngineNotFound, EngineUnsuitable) as error:
        directly = [" ".join(line.split()) for line in process.obstacles()]
        return [error.what, *directly] if directly else []
    try:
        obstacle = architecture.vm_obstacle(architecture.of_engine(client))
    except ERRORS:  # the other lines report an engine that doesn't answer
        return []
    return [obstacle] if obstacle else []


def _kvm(context: EngineContext) -> bool | None:
    """Whether VMs run with KVM here; None until there is an image to try it with."""
    try:
        client = context.own_client(_KVM_SECONDS)
    except (EngineNotFound, EngineUnsuitable):
        return process.runs_on_kvm()
    try:
        tag = builder.installed_tag(client, vm_disk.NAME)
        return container.runs_on_kvm(client, tag) if tag else None
    except ERRORS:  # for example, it didn't answer in time
        return None
