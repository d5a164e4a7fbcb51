"""The virtual machine as `labkit doctor` offers it: what it would give here, and what it costs."""

from collections.abc import Iterable

from labkit import baking, hint, images
from labkit.engine import choice, vm
from labkit.engine.find import own_engine
from labkit.engine.power import WORDS
from labkit.engine.probes import KERNEL_FEATURES, Probe
from labkit.engine.vm import container
from labkit.engine.vm import process as processes
from labkit.errors import EngineNotFound, EngineUnsuitable

_TITLE = "Full kernel (--engine vm)"
_KVM_SECONDS = 30
_COSTS = {
    True: "with KVM, at nearly this computer's own speed",
    False: "emulated, without KVM: some 2 minutes to start, 15 s to resume, commands 5 to 20 times as long",
    None: "whether with KVM or emulated, much slower, its first start shows",
}


def offer(lab: str, probes: Iterable[Probe]) -> Probe:
    """The line on the virtual machine, after the `probes` of the engine that carries the lab."""
    lacking = [probe for probe in probes if probe.key in KERNEL_FEATURES and probe.ok is False]
    chapters = sorted({chapter for probe in lacking for chapter in probe.needed_by.split(", ")})
    needed_by = ", ".join(chapters) or "no chapter"
    machine = vm.found(lab)
    if machine and choice.kind() != choice.DOCKER:
        size = f"{machine.memory} MiB of memory"
        words = f"the lab is on one: {machine.home.title}, {size}, {WORDS[machine.accelerator]}"
        return Probe("machine", _TITLE, True, words, needed_by, "")
    if not lacking:
        return Probe("machine", _TITLE, True, "not needed: this kernel has what it takes", needed_by, "")
    names = ", ".join(probe.title.partition(" ")[0] for probe in lacking)
    if missing := _obstacles():
        advice = f"a virtual machine would have {names}, and cannot run here: {'; '.join(missing)}"
        return Probe("machine", _TITLE, None, "not in use", needed_by, advice)
    command = hint.command("up", lab=lab, engine=choice.VM)
    advice = (
        f"{command}: has {names}; takes {vm.memory()} MiB of memory and up to 24 GB of disk; {_COSTS[_kvm()]}"
    )
    return Probe("machine", _TITLE, None, "not in use", needed_by, advice)


def _obstacles() -> list[str]:
    """Why no machine can run here, neither in a container nor directly; nothing when one can."""
    try:
        own_engine()
    except (EngineNotFound, EngineUnsuitable) as error:
        directly = [" ".join(line.split()) for line in processes.obstacles()]
        return [error.what, *directly] if directly else []
    return []


def _kvm() -> bool | None:
    """Whether machines run on KVM here; None before there is an image to try it with."""
    try:
        client = choice.own_client(_KVM_SECONDS)
    except (EngineNotFound, EngineUnsuitable):
        return processes.runs_on_kvm()
    tag = images.installed_tag(client, baking.NAME)
    return container.runs_on_kvm(client, tag) if tag else None
