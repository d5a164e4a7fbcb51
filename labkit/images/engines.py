"""The Docker engines that nodes can run, and the images that hold them.

`labkit/node:28.5` is what a topology file says. The builder calls that image `node-28.5`, and its base
`base-forky`; it builds them from the folders `node` and `base`, which all engines share. The images of the
default engine are `node` and `base`.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labkit.util.errors import ImageUnavailable, LabError

DEFAULT = "26.1"
UPSTREAM_ENGINE = "upstream"
DOCKER_LABEL = "org.labkit.docker"
"""The label of a node's image, and so of its container, that names its engine."""
ALLOW_EXPIRED = "LABKIT_ALLOW_EXPIRED_RELEASE"
_SUITE = "trixie"  # of the images `base` and `node`
_NODE = "labkit/node"
_MISSING = re.compile(r"install-engine: Debian (\w+) has Docker (\S+), not (\S+)")


@dataclass(frozen=True)
class NodeEngine:
    """An engine for nodes: its version as users choose it, and the Debian release that its image builds on.

    `origin` says where the packages come from. `tried` is false if nobody has been able to run it yet.
    """

    version: str
    suite: str
    origin: str
    tried: bool = True

    @property
    def name(self) -> str:
        """The image's name for the builder: `node`, or `node-28.5`."""
        return "node" if self.version == DEFAULT else f"node-{self.version}"

    @property
    def image(self) -> str:
        """The image as the topology file names it: `labkit/node:28.5`."""
        return f"{_NODE}:{self.version}"


ENGINES = {
    engine.version: engine
    for engine in (  # the oldest first
        NodeEngine("20.10", "bookworm", "Debian 12 (bookworm)"),
        NodeEngine(DEFAULT, _SUITE, "Debian 13 (trixie)"),
        NodeEngine("28.5", "forky", "Debian testing (forky)"),
        NodeEngine(UPSTREAM_ENGINE, _SUITE, "Docker's own repository", tried=False),
    )
}


def find(version: str) -> NodeEngine:
    """The engine of this version. Raises LabError with the choices for any other."""
    if version not in ENGINES:
        raise LabError(
            f"nodes cannot run Docker '{version}'",
            evidence=[f"{engine.version}: from {engine.origin}" for engine in ENGINES.values()],
            next_step=f"choose one of {', '.join(ENGINES)}",
        )
    return ENGINES[version]


def is_older(version: str, other: str) -> bool:
    """Whether an engine is older than another one; `upstream` is the newest."""
    order = list(ENGINES)
    return order.index(find(version).version) < order.index(find(other).version)


def engine_of(image: str) -> NodeEngine | None:
    """The engine in an image that a topology file names; None if the image isn't a node's.

    Raises LabError if it names an engine that nodes can't run.
    """
    repository, _, tag = image.partition(":")
    if repository != _NODE:
        return None
    return ENGINES[DEFAULT] if tag in ("", "latest") else find(tag)


def name_of(image: str) -> str:
    """The builder's name for an image that a topology file names: `node-28.5` for `labkit/node:28.5`."""
    engine = engine_of(image)
    return engine.name if engine else image.rpartition("/")[2].partition(":")[0]


def choose(wanted: str | Mapping[str, str] | None, nodes: Sequence[str]) -> dict[str, str]:
    """The version that was chosen for each node, without the nodes for which none was.

    `wanted` is one version for all nodes, or versions by node, where `*` stands for the nodes that aren't
    named. Raises LabError for a version or a node that doesn't exist.
    """
    named = {"*": wanted} if isinstance(wanted, str) else dict(wanted or {})
    others = named.pop("*", None)
    chosen = {**(dict.fromkeys(nodes, others) if others else {}), **named}
    for node, version in chosen.items():
        find(version)
        if node not in nodes:
            raise LabError(
                f"an engine was chosen for '{node}', which is not a node",
                next_step=f"choose one for {', '.join(nodes)}",
            )
    return chosen


def overview(built: Collection[str]) -> list[tuple[str, str, str]]:
    """Rows of engine, source of its packages, and notes; `built` are images such as `labkit/node-28.5`."""
    rows = []
    for engine in ENGINES.values():
        notes = ["the default"] if engine.version == DEFAULT else []
        notes.append("built" if f"labkit/{engine.name}" in built else "built when a lab first needs it")
        notes += [] if engine.tried else ["not run here"]
        rows.append((f"Docker {engine.version}", engine.origin, ", ".join(notes)))
    return rows


def parse(values: Sequence[str]) -> dict[str, str]:
    """What `choose` takes, from the command line's `--docker 26.1 --docker worker2=28.5`."""
    return {(node or "*"): version for node, _, version in (_halves(value) for value in values)}


def _halves(value: str) -> tuple[str, str, str]:
    return value.partition("=") if "=" in value else ("", "=", value)


# -- what the builder asks ------------------------------------------------------------------------------


def folder_of(name: str) -> str:
    """The folder that image `name` is built from."""
    if name in _BY_NAME:
        return "node"
    return "base" if suite_of(name) else name


def suite_of(name: str) -> str | None:
    """The Debian release of a base image; None for other images."""
    return _BASES.get(name)


def foundations_of(name: str, found: Mapping[str, str]) -> dict[str, str]:
    """The foundations in the Dockerfile of image `name`, with the base that its engine needs."""
    engine = _BY_NAME.get(name)
    base = f"base-{engine.suite}" if engine and engine.suite != _SUITE else "base"
    return {argument: base if other == "base" else other for argument, other in found.items()}


def arguments_of(name: str) -> dict[str, str]:
    """The arguments for the Dockerfile of image `name` that choose its engine."""
    return {"DOCKER": _BY_NAME[name].version} if name in _BY_NAME else {}


def build_arguments(name: str) -> dict[str, str]:
    """The same, and whether apt accepts a mirror whose Release file has expired, which changes no content."""
    chosen = arguments_of(name)
    return {**chosen, "ALLOW_EXPIRED": "1"} if chosen and expired_allowed() else chosen


def moving_tags(name: str) -> list[str]:
    """The tags that follow the content of image `name`: those that a topology file uses."""
    if name not in _BY_NAME:
        return [f"labkit/{name}:latest"]
    engine = _BY_NAME[name]
    return [engine.image, f"{_NODE}:latest"] if engine.version == DEFAULT else [engine.image]


def expired_allowed() -> bool:
    """Whether the user accepts a mirror whose Release file has expired (LABKIT_ALLOW_EXPIRED_RELEASE)."""
    return os.environ.get(ALLOW_EXPIRED, "") not in ("", "0")


def explain(error: ImageUnavailable) -> ImageUnavailable:
    """A better error if the build of a node's image failed for a known reason; otherwise the same one."""
    said = "\n".join(error.evidence)
    if found := _MISSING.search(said):
        suite, has, wanted = found.groups()
        others = ", ".join(version for version in ENGINES if version != wanted)
        return ImageUnavailable(
            f"Debian {suite} no longer has Docker {wanted}; it has {has}",
            evidence=error.evidence[-3:],
            next_step=f"choose one of {others}; load a bundle that has {wanted}, or update Swarm Lab",
        )
    if re.search(r"Release file .* (is expired|expired since)", said) and not expired_allowed():
        return ImageUnavailable(
            "the Debian mirror's list of packages has expired, so apt refuses it",
            evidence=[line for line in error.evidence if "expired" in line],
            next_step=f"check this computer's clock and the mirror; to use it anyway: {ALLOW_EXPIRED}=1",
        )
    return error


_BY_NAME = {engine.name: engine for engine in ENGINES.values()}
_BASES = {"base": _SUITE} | {
    f"base-{engine.suite}": engine.suite for engine in ENGINES.values() if engine.suite != _SUITE
}
