"""What some steps of the course need from the engine's kernel, and what works without that."""

from dataclasses import dataclass

from labkit.cluster.cluster import Cluster
from labkit.engine.doctor import Probe, examine_kernel
from labkit.images import builder
from labkit.util.errors import LabError

# For each feature: its probe, a description of the kernel part, and what works without it.
_FEATURES = {
    "mesh": (
        "ip_vs",
        "ip_vs, the part that distributes connections among the tasks of a service",
        "published ports in host mode, and names that resolve directly to tasks, such as tasks.web",
    ),
    "encryption": (
        "esp",
        "ESP, the part that encrypts packets between nodes",
        "unencrypted overlay networks",
    ),
}


class KernelProbes:
    """The probes of a lab's kernel; they run only once, because a kernel doesn't change."""

    def __init__(self, cluster: Cluster) -> None:
        self._context = cluster.context
        self._found: dict[str, Probe] = {}

    def get(self, key: str) -> Probe:
        """One probe's result. Probes again if the image was missing or the engine was busy before."""
        if key not in self._found or self._found[key].ok is None:
            image = builder.installed_tag(self._context.client(), "node")
            self._found = examine_kernel(self._context, image)
        return self._found[key]


@dataclass(frozen=True)
class Support:
    """Whether the kernel has what a step needs. If it doesn't, the repr says what is missing."""

    feature: str
    missing: str

    def __bool__(self) -> bool:
        return not self.missing

    def __repr__(self) -> str:
        return self.missing or f"The kernel has what {self.feature} needs."


def probe(cluster: Cluster, feature: str) -> Probe:
    """The kernel probe of a feature. Raises LabError for an unknown feature."""
    if feature not in _FEATURES:
        raise LabError(f"unknown feature '{feature}'", next_step=f"use one of {', '.join(_FEATURES)}")
    return cluster.shared(KernelProbes).get(_FEATURES[feature][0])


def support(cluster: Cluster, feature: str) -> Support:
    """Whether the kernel has a feature, `mesh` or `encryption`, and what works without it."""
    found = probe(cluster, feature)
    _, part, instead = _FEATURES[feature]
    if found.ok:
        return Support(feature, "")
    if found.ok is None:
        return Support(
            feature, f"Skipped: the probe could not tell whether the kernel has {part} ({found.found})."
        )
    return Support(feature, f"Skipped: this kernel lacks {part}; what works here: {instead}.")
