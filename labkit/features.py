"""What steps of the course need of the engine's kernel: probed once, and told by name where it is missing."""

from collections.abc import Mapping

from labkit import engine, images
from labkit.engine import Probe
from labkit.errors import LabError

# By feature: the probe that tells, the part of the kernel in words, and what works without it.
_FEATURES = {
    "mesh": (
        "ip_vs",
        "ip_vs, the part that spreads connections over the tasks of a service",
        "published ports in host mode, and names that lead straight to tasks, such as tasks.web",
    ),
    "encryption": (
        "esp",
        "ESP, the part that encrypts packets between nodes",
        "overlay networks whose packets travel readable",
    ),
}
_known: dict[str, Mapping[str, Probe]] = {}  # by the engine's address


def probe(feature: str) -> Probe:
    """What the kernel's probe has found for a feature; asked once in a process. Raises LabError."""
    if feature not in _FEATURES:
        raise LabError(
            f"'{feature}' is no feature of a kernel", next_step=f"use one of {', '.join(_FEATURES)}"
        )
    key, *_ = _FEATURES[feature]
    address = engine.find().url
    found = _known.get(address) or engine.examine_kernel(images.installed_tag(engine.client(), "node"))
    if found[key].ok is not None:  # else ask again: the image was missing, or the engine was busy
        _known[address] = found
    return found[key]


def missing(feature: str) -> str:
    """One sentence on what is missing and what works all the same; empty where the kernel has it."""
    found = probe(feature)
    _, part, instead = _FEATURES[feature]
    if found.ok:
        return ""
    if found.ok is None:
        return f"Skipped: nobody could tell whether the kernel has {part} ({found.found})."
    return f"Skipped: the kernel of this machine lacks {part}; what works here: {instead}."
