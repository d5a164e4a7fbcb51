"""What the found engine and its kernel can do for a lab, probed by trying; `labkit doctor` shows it."""

import platform
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import docker
from docker.errors import APIError, ImageNotFound

from labkit.engine.choice import client, find, own_client
from labkit.engine.places import Endpoint
from labkit.errors import EngineNotFound, EngineUnsuitable

EVERY = "every chapter"
LABEL = "org.labkit.probe"
CPUS = 2
MEMORY_BYTES = 4_000_000_000
MACHINE_MEMORY_BYTES = 2_000_000_000  # of a virtual machine, where no image is built
MINIMUM_ROOM = 1_000_000_000  # bytes
PROBE_SECONDS = 30
_FULL = "no space left on device"
REGISTRY_SECONDS = 10
WIDTH = 100
_NODE_IMAGE = "labkit up makes the node image, which has what the probe needs; then labkit doctor again"
_VOLUME = "/var/lib/docker"  # the node image declares it a volume too: one, not two


@dataclass(frozen=True)
class Probe:
    """One line of `labkit doctor`.

    `ok` is None for what was not probed, and for a limit that is low but enough for one lab; `advice` is
    empty when `ok` is True.
    """

    key: str
    title: str
    ok: bool | None
    found: str
    needed_by: str
    advice: str


class _Line(NamedTuple):
    title: str
    needed_by: str
    advice: str


class _Finding(NamedTuple):
    ok: bool | None
    found: str
    advice: str | None = None  # in place of the line's own


_SYSTEM = {
    "engine": _Line("Docker engine", EVERY, ""),
    "kernel": _Line("Linux kernel", EVERY, ""),
    "cpus": _Line("CPUs", EVERY, "give Docker 2 CPUs or more (Docker Desktop: Settings, Resources)"),
    "memory": _Line("Memory", EVERY, "give Docker 4 GB or more (Docker Desktop: Settings, Resources)"),
    "cgroup": _Line("cgroups", EVERY, "use an engine that may limit containers: a rootful one, or cgroup v2"),
}
_KERNEL = {
    "disk": _Line("Free disk", EVERY, "make 5 GB free; docker system df shows what takes the space"),
    "overlay": _Line("Nested overlay storage", EVERY, "sudo modprobe overlay, on the engine's machine"),
    "bridge_nf": _Line("bridge-nf", EVERY, "sudo modprobe br_netfilter, on the engine's machine"),
    "vxlan": _Line(
        "vxlan (overlay networks)",
        "04-run-services, 05-connect-overlays",
        "sudo modprobe vxlan, on the engine's machine; without it no overlay network spans the nodes",
    ),
    "ip_vs": _Line(
        "ip_vs (mesh, VIPs)",
        "04-run-services, 05-connect-overlays",
        "sudo modprobe ip_vs, on the engine's machine; without it the steps on routing mesh and VIPs are "
        "skipped by name",
    ),
    "esp": _Line(
        "ESP (encrypted overlays)",
        "05-connect-overlays",
        "sudo modprobe -a esp4 gcm, on the engine's machine; without it the step on encrypted overlays is "
        "skipped by name",
    ),
    "fuse": _Line(
        "FUSE (volume plugins)",
        "06-keep-data",
        "sudo modprobe fuse, on the engine's machine; without it the steps on volume plugins are skipped "
        "by name",
    ),
    "inotify": _Line(
        "inotify instances",
        EVERY,
        "sudo sysctl fs.inotify.max_user_instances=512, on the engine's machine, before several labs at once",
    ),
}
KERNEL_FEATURES = ("vxlan", "ip_vs", "esp", "fuse")
_REGISTRY = {
    "registry": _Line(
        "Docker Hub",
        "no chapter",
        "nothing to do: nodes pull from the lab's own registry, which has stand-ins (labkit images)",
    )
}
_LINES = _SYSTEM | _KERNEL | _REGISTRY


def examine(image: str | None) -> list[Probe]:
    """Probe the engine, and its kernel in one short-lived container of `image`, which leaves nothing behind.

    `image` needs sh, iproute2 and mount, as the node image has; with None, or an image that the engine
    does not have, the kernel's lines say that they were not probed. Raises what `find()` raises.
    """
    with closing(client(timeout=PROBE_SECONDS)) as engine:
        findings = {**_system(engine), **_kernel(engine, image)}
    with closing(client(timeout=REGISTRY_SECONDS)) as engine:
        findings["registry"] = _registry(engine)
    return [_probe(key, line, findings[key]) for key, line in _LINES.items()]


def examine_kernel(image: str | None) -> dict[str, Probe]:
    """Probe the kernel alone, as `examine` does; by key."""
    with closing(client(timeout=PROBE_SECONDS)) as engine:
        findings = _kernel(engine, image)
    return {key: _probe(key, line, findings[key]) for key, line in _KERNEL.items()}


def no_engine(error: EngineNotFound | EngineUnsuitable) -> list[Probe]:
    """Return the one line that is left to tell when `find()` raised: where it looked, and what it met."""
    found = "; ".join(" ".join(line.split()) for line in error.evidence)
    return [Probe("engine", _SYSTEM["engine"].title, False, found or error.what, EVERY, error.next_step)]


def _probe(key: str, line: _Line, finding: _Finding) -> Probe:
    advice = line.advice if finding.advice is None else finding.advice
    return Probe(key, line.title, finding.ok, finding.found, line.needed_by, "" if finding.ok else advice)


def essentials_missing(probes: Iterable[Probe]) -> list[Probe]:
    """Return what every chapter needs and this engine, or its machine, lacks."""
    return [probe for probe in probes if probe.ok is False and probe.needed_by == EVERY]


def require_room(client: docker.DockerClient) -> None:
    """Raise EngineUnsuitable when the engine's disk, where it is this machine's, is as good as full.

    A lab's first start needs about 1 GB; `examine` measures the disk of an engine elsewhere.
    """
    root = Path(client.info()["DockerRootDir"])
    if root.exists() and (free := shutil.disk_usage(root).free) < MINIMUM_ROOM:
        raise EngineUnsuitable(
            "the disk of the Docker engine is nearly full",
            evidence=[f"{root}: {free / 1e9:.1f} GB free, a lab needs {MINIMUM_ROOM / 1e9:.0f} GB"],
            next_step="docker system df shows what takes the room, docker system prune frees some",
        )


def table(probes: Iterable[Probe]) -> str:
    """Return the probes as aligned lines of at most 100 columns, with what to do below them.

    Advice that several lines in a row share stands below the last of them.
    """
    rows = list(probes)
    title, needed_by = (max(len(getattr(row, name)) for row in rows) for name in ("title", "needed_by"))
    lines = []
    for row, after in zip_longest(rows, rows[1:]):
        start = f"{_mark(row.ok)} {row.title:<{title}}  {row.needed_by:<{needed_by}}  "
        lines.append(_wrap(row.found, start, indent=len(start)))
        if row.advice and (after is None or after.advice != row.advice):
            lines.append(_wrap(row.advice, "    → ", indent=6))
    return "\n".join(lines)


def as_json(probes: Iterable[Probe]) -> dict[str, Any]:
    """Return what `labkit doctor --json` prints; these keys stay.

    `ready`: nothing that every chapter needs is missing. `probes`: a list, in the table's order, of
    objects with `key`, `title`, `ok` (true, false, or null for not probed), `found`, `needed_by`, `advice`.
    """
    rows = list(probes)
    return {"ready": not essentials_missing(rows), "probes": [asdict(row) for row in rows]}


def _mark(ok: bool | None) -> str:
    return "–" if ok is None else "✓" if ok else "✗"


def _wrap(text: str, start: str, indent: int) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _system(engine: docker.DockerClient) -> dict[str, _Finding]:
    return _judge_system(engine.info(), find(), _outer_kernel() if find().machine else "")


def _outer_kernel() -> str:
    """The kernel below a virtual machine."""
    try:
        return str(own_client(PROBE_SECONDS).info()["KernelVersion"])
    except (EngineNotFound, EngineUnsuitable):  # the machine is a process
        return platform.release()


def _judge_system(info: Mapping[str, Any], engine: Endpoint, outer_kernel: str) -> dict[str, _Finding]:
    """Judge the engine's /info; find() has refused an engine that is too old already."""
    driver = info.get("CgroupDriver", "none")
    kernel = info.get("KernelVersion", "unknown")
    enough = MACHINE_MEMORY_BYTES if engine.machine else MEMORY_BYTES
    if outer_kernel:
        kernel = f"{kernel} in the virtual machine, {outer_kernel} below it"
    return {
        "engine": _Finding(True, f"{info['ServerVersion']}, API {engine.api_version} ({engine.url})"),
        "kernel": _Finding(True, kernel),
        "cpus": _Finding(info["NCPU"] >= CPUS, str(info["NCPU"])),
        "memory": _Finding(info["MemTotal"] >= enough, f"{info['MemTotal'] / 1e9:.1f} GB"),
        "cgroup": _Finding(driver != "none", f"v{info.get('CgroupVersion', '1')}, driver {driver}"),
    }


def _kernel(engine: docker.DockerClient, image: str | None) -> dict[str, _Finding]:
    if image is None:
        return _not_probed("no image yet")
    try:
        output = _run_script(engine, image)
    except ImageNotFound:
        return _not_probed(f"the engine has no image {image}")
    except (APIError, OSError) as error:  # requests' errors, as for a call past its timeout, are OSErrors
        reason = getattr(error, "explanation", None) or str(error)
        full = {"disk": _Finding(False, "full")} if _FULL in reason else {}
        return _not_probed(reason) | full
    return _not_probed("the probe ended early") | _parse(output)


def _not_probed(reason: str) -> dict[str, _Finding]:
    return dict.fromkeys(_KERNEL, _Finding(None, f"not probed: {reason}", _NODE_IMAGE))


def _parse(output: str) -> dict[str, _Finding]:
    """Read the script's lines `key<TAB>ok|no|unsure<TAB>detail`."""
    rows: Iterable[Sequence[str]] = (line.split("\t") for line in output.splitlines())
    return {
        key: _Finding({"ok": True, "no": False}.get(verdict), detail, _advice(detail))
        for key, verdict, detail in rows
        if key in _KERNEL
    }


def _advice(detail: str) -> str | None:
    return _NODE_IMAGE if detail.startswith("not probed") else None


def _run_script(engine: docker.DockerClient, image: str) -> str:
    script = files("labkit.engine").joinpath("probe.sh").read_text()
    container = engine.containers.create(
        image,
        entrypoint=["sh", "-c"],
        command=[script, "probe.sh", _VOLUME],
        labels={LABEL: "1"},
        volumes=[_VOLUME],
        network_mode="none",
        cap_add=["SYS_ADMIN", "NET_ADMIN"],
        device_cgroup_rules=["c 10:229 rwm"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
    )
    try:
        container.start()
        container.wait(timeout=PROBE_SECONDS)
        return container.logs(stdout=True, stderr=False).decode(errors="replace")
    finally:
        container.remove(v=True, force=True)


def _registry(engine: docker.DockerClient) -> _Finding:
    """Let the engine ask Docker Hub about an image: its network and proxy count, not this machine's."""
    try:
        engine.images.get_registry_data("hello-world")
    except APIError as error:
        # The engine quotes each step on the way to the reason: "Get …: dial tcp: lookup …: no such host".
        return _Finding(False, str(error.explanation or error).rpartition(": ")[2])
    except OSError:  # requests' timeout
        return _Finding(False, f"no answer within {REGISTRY_SECONDS} s")
    return _Finding(True, "reachable")
