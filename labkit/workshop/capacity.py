"""How many places fit on a host, and which of its resources says so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import docker
from docker.errors import DockerException

from labkit.util.errors import EngineUnsuitable, LabError
from labkit.util.text import counted

MIB, GIB = 1 << 20, 1 << 30

# What a place takes with a kernel (bench/RESULTS.md), rounded up.
PLACE_MEMORY = 650 * MIB
PLACE_DISK = 1 * GIB
PLACE_INOTIFY = 3
PLACE_PROCESSES = 250
PLACES_PER_CORE = 20
# What the hub, the proxy, the class page, and the host itself need besides.
RESERVED_MEMORY, RESERVED_DISK, RESERVED_INOTIFY, RESERVED_PROCESSES = 1 * GIB, 5 * GIB, 32, 1000

# Each line of the answer: a name and a number. /proc shows the host's values in a container too.
_PROBE = """
sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/memory \\1/p' /proc/meminfo
echo "disk $(df -Pk /probe | sed -n '2s/ \\+/ /gp' | cut -d' ' -f4)"
echo "cpus $(nproc --all)"
echo "inotify $(cat /proc/sys/fs/inotify/max_user_instances)"
echo "processes $(cat /proc/sys/kernel/pid_max)"
"""


@dataclass(frozen=True)
class Host:
    """What a host has: free `memory` and `disk` in bytes, `cpus`, and the kernel's limits."""

    memory: int
    disk: int
    cpus: int
    inotify: int
    processes: int


class Limit(NamedTuple):
    """How many places one resource allows, and why."""

    places: int
    resource: str
    reason: str


def probe(client: docker.DockerClient, image: str) -> Host:
    """Ask the engine's host, which may be another computer, in a container of `image`.

    Raises EngineUnsuitable if that doesn't run.
    """
    try:
        said = client.containers.run(
            image, ["sh", "-c", _PROBE], entrypoint=[], remove=True, network_mode="none", volumes=["/probe"]
        ).decode()
    except DockerException as error:
        raise EngineUnsuitable(
            "the engine's host could not be examined",
            evidence=[str(error)],
            next_step="run the command again",
        ) from None
    return parse(said)


def parse(said: str) -> Host:
    """Read the answer of the probe."""
    found = {name: int(number) for name, number in re.findall(r"^(\w+) (\d+)$", said, re.MULTILINE)}
    kib = 1024
    return Host(
        memory=found["memory"] * kib,
        disk=found["disk"] * kib,
        cpus=found["cpus"],
        inotify=found["inotify"],
        processes=found["processes"],
    )


def limits(host: Host, running: int = 0) -> list[Limit]:
    """How many places each resource allows, the scarcest first. `running` ones have theirs already."""

    def fit(free: float, reserved: float, each: float) -> int:
        return max(0, int((free - reserved) // each))

    memory = running + fit(host.memory, RESERVED_MEMORY, PLACE_MEMORY)
    disk = running + fit(host.disk, RESERVED_DISK, PLACE_DISK)
    found = [
        Limit(
            memory, "memory", f"{_size(host.memory)} free, and each place takes up to {_size(PLACE_MEMORY)}"
        ),
        Limit(disk, "disk", f"{_size(host.disk)} free, and each place takes about {_size(PLACE_DISK)}"),
        Limit(
            host.cpus * PLACES_PER_CORE,
            "processors",
            f"{counted(host.cpus, 'core')}, and with more than {PLACES_PER_CORE} places on each, all wait",
        ),
        Limit(
            fit(host.inotify, RESERVED_INOTIFY, PLACE_INOTIFY),
            "inotify",
            f"fs.inotify.max_user_instances is {host.inotify}, and each place takes {PLACE_INOTIFY}",
        ),
        Limit(
            fit(host.processes, RESERVED_PROCESSES, PLACE_PROCESSES),
            "processes",
            f"kernel.pid_max is {host.processes}, and each place takes about {PLACE_PROCESSES}",
        ),
    ]
    return sorted(found)


def require(found: Sequence[Limit], wanted: int, otherwise: str) -> None:
    """Raise LabError if fewer than `wanted` places fit. `otherwise` is what to do unless a setting helps."""
    if wanted <= found[0].places:
        return
    scarce = [limit for limit in found if limit.places < wanted]
    raise LabError(
        f"this computer has room for {counted(found[0].places, 'place')}, not for {wanted}",
        evidence=[f"{limit.resource}: {limit.places}, because {limit.reason}" for limit in scarce],
        next_step=remedy(scarce, wanted) or otherwise,
    )


def remedy(scarce: Sequence[Limit], wanted: int) -> str:
    """What raises a limit of the kernel, if nothing else is scarce."""
    if [limit.resource for limit in scarce] == ["inotify"]:
        value = RESERVED_INOTIFY + wanted * PLACE_INOTIFY
        return f"sudo sysctl fs.inotify.max_user_instances={max(512, value)}, then run the command again"
    return ""


def _size(number: int) -> str:
    return f"{number / GIB:.1f} GiB" if number >= GIB else f"{number // MIB} MiB"
