"""What `labkit doctor` shows: whether the engine and its kernel can run a lab, found out by trying."""

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

from labkit.engine import rootless
from labkit.engine.endpoints import Endpoint
from labkit.engine.selection import EngineContext
from labkit.topology import topology
from labkit.util.errors import EngineNotFound, EngineUnsuitable

EVERY = "every chapter"
LABEL = "org.labkit.probe"
CPUS = 2
MEMORY_BYTES = 4_000_000_000
VM_MEMORY_BYTES = 2_000_000_000  # no images are built in a virtual machine
MINIMUM_ROOM = 1_000_000_000  # bytes
PROBE_SECONDS = 30
_FULL = "no space left on device"
REGISTRY_SECONDS = 10
WIDTH = 100
_NODE_IMAGE = "run labkit up, which builds the node image that the probe needs; then run labkit doctor again"
_VOLUME = "/var/lib/docker"  # the same path as the volume that the node image declares
_MARKS = {True: "✓", False: "✗", None: "–"}


@dataclass(frozen=True)
class Probe:
    """One line of `labkit doctor`.

    `ok` is None if the probe didn't run, and for a limit that is low but enough for one lab. `advice` is
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
    advice: str | None = None  # replaces the line's own


def _modprobe(modules: str, consequence: str = "") -> str:
    return f"sudo modprobe {modules}, on the engine's host{consequence and f'; without it, {consequence}'}"


_SYSTEM = {
    "engine": _Line("Docker engine", EVERY, ""),
    "kernel": _Line("Linux kernel", EVERY, ""),
    "cpus": _Line("CPUs", EVERY, "give Docker 2 CPUs or more (Docker Desktop: Settings, Resources)"),
    "memory": _Line("Memory", EVERY, "give Docker 4 GB or more (Docker Desktop: Settings, Resources)"),
    "cgroup": _Line("cgroups", EVERY, "use an engine that can limit containers: a rootful one, or cgroup v2"),
}
_KERNEL = {
    "disk": _Line("Free disk", EVERY, "free up 5 GB; docker system df shows what uses the space"),
    "overlay": _Line("Nested overlay storage", EVERY, _modprobe("overlay")),
    "bridge_nf": _Line("bridge-nf", EVERY, _modprobe("br_netfilter")),
    "vxlan": _Line(
        "vxlan (overlay networks)",
        "04-run-services, 05-connect-overlays",
        _modprobe("vxlan", "no overlay network spans the nodes"),
    ),
    "ip_vs": _Line(
        "ip_vs (mesh, VIPs)",
        "04-run-services, 05-connect-overlays",
        _modprobe("ip_vs", "the steps on the routing mesh and VIPs are skipped"),
    ),
    "esp": _Line(
        "ESP (encrypted overlays)",
        "05-connect-overlays",
        _modprobe("-a esp4 gcm xt_bpf xt_policy", "the step on encrypted overlays is skipped"),
    ),
    "fuse": _Line(
        "FUSE (volume plugins)",
        "06-keep-data",
        _modprobe("fuse", "the steps on volume plugins are skipped"),
    ),
    "inotify": _Line(
        "inotify instances",
        EVERY,
        "sudo sysctl fs.inotify.max_user_instances=512, on the engine's host, to run several labs at once",
    ),
}
KERNEL_FEATURES = ("vxlan", "ip_vs", "esp", "fuse")
_REGISTRY = {
    "registry": _Line(
        "Docker Hub",
        "no chapter",
        "nothing to do: nodes pull stand-ins from the lab's own registry (see labkit images)",
    )
}
_LINES = _SYSTEM | _KERNEL | _REGISTRY


def examine(context: EngineContext, image: str | None) -> list[Probe]:
    """Probe the engine, and its kernel in a short-lived container of `image` that leaves nothing behind.

    `image` needs sh, iproute2, and mount; the node image has them. If it's None or the engine doesn't have
    it, the kernel lines say "not probed". Raises what `EngineContext.endpoint` raises.
    """
    with closing(context.client(timeout=context.deadline(PROBE_SECONDS).seconds)) as engine:
        findings = {**_system(context, engine), **_kernel(engine, image)}
    with closing(context.client(timeout=REGISTRY_SECONDS)) as engine:
        findings["registry"] = _registry(engine)
    return [_probe(key, line, findings[key]) for key, line in _LINES.items()]


def examine_kernel(context: EngineContext, image: str | None) -> dict[str, Probe]:
    """Probe only the kernel, as `examine` does; return the probes by key."""
    with closing(context.client(timeout=context.deadline(PROBE_SECONDS).seconds)) as engine:
        findings = _kernel(engine, image)
    return {key: _probe(key, line, findings[key]) for key, line in _KERNEL.items()}


def no_engine(error: EngineNotFound | EngineUnsuitable) -> list[Probe]:
    """Return the single line for a missing engine: where labkit looked, and what it found there."""
    found = "; ".join(" ".join(line.split()) for line in error.evidence)
    return [Probe("engine", _SYSTEM["engine"].title, False, found or error.what, EVERY, error.next_step)]


def _probe(key: str, line: _Line, finding: _Finding) -> Probe:
    advice = line.advice if finding.advice is None else finding.advice
    return Probe(key, line.title, finding.ok, finding.found, line.needed_by, "" if finding.ok else advice)


def essentials_missing(probes: Iterable[Probe]) -> list[Probe]:
    """Return what every chapter needs and this engine or its host doesn't have."""
    return [probe for probe in probes if probe.ok is False and probe.needed_by == EVERY]


def require_room(client: docker.DockerClient) -> None:
    """Raise EngineUnsuitable when a local engine's disk is nearly full: a first start needs about 1 GB.

    `examine` measures the disk of a remote engine.
    """
    root = Path(client.info()["DockerRootDir"])
    if root.exists() and (free := shutil.disk_usage(root).free) < MINIMUM_ROOM:
        raise EngineUnsuitable(
            "the disk of the Docker engine is nearly full",
            evidence=[f"{root}: {free / 1e9:.1f} GB free, a lab needs {MINIMUM_ROOM / 1e9:.0f} GB"],
            next_step="docker system df shows what uses the space; docker system prune frees some",
        )


def table(probes: Iterable[Probe]) -> str:
    """Return the probes as aligned lines of at most 100 columns, each followed by its advice.

    If consecutive lines share the same advice, it follows the last of them.
    """
    rows = list(probes)
    title, needed_by = (max(len(getattr(row, name)) for row in rows) for name in ("title", "needed_by"))
    lines = []
    for row, after in zip_longest(rows, rows[1:]):
        start = f"{_MARKS[row.ok]} {row.title:<{title}}  {row.needed_by:<{needed_by}}  "
        lines.append(_wrap(row.found, start, indent=len(start)))
        if row.advice and (after is None or after.advice != row.advice):
            lines.append(_wrap(row.advice, "    → ", indent=6))
    return "\n".join(lines)


def as_json(probes: Iterable[Probe]) -> dict[str, Any]:
    """Return what `labkit doctor --json` prints; the keys are stable.

    `ready`: nothing that every chapter needs is missing. `probes`: a list, in the table's order, of
    objects with `key`, `title`, `ok` (true, false, or null for not probed), `found`, `needed_by`, `advice`.
    """
    rows = list(probes)
    return {"ready": not essentials_missing(rows), "probes": [asdict(row) for row in rows]}


def _wrap(text: str, start: str, indent: int) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _system(context: EngineContext, engine: docker.DockerClient) -> dict[str, _Finding]:
    endpoint = context.endpoint()
    return _judge_system(engine.info(), endpoint, _outer_kernel(context) if endpoint.vm else "")


def _outer_kernel(context: EngineContext) -> str:
    """The kernel of the host that runs the virtual machine."""
    try:
        return str(context.own_client(PROBE_SECONDS).info()["KernelVersion"])
    except (EngineNotFound, EngineUnsuitable):  # no engine, so the VM is a process of this host
        return platform.release()


def _judge_system(info: Mapping[str, Any], engine: Endpoint, outer_kernel: str) -> dict[str, _Finding]:
    """Judge the engine's /info; `find` has already refused an engine that is too old."""
    driver = info.get("CgroupDriver", "none")
    kernel = info.get("KernelVersion", "unknown")
    enough = VM_MEMORY_BYTES if engine.vm else MEMORY_BYTES
    if outer_kernel:
        kernel = f"{kernel} in the virtual machine, {outer_kernel} on its host"
    version = f"{info['ServerVersion']}, API {engine.api_version} ({engine.url})"
    refused = _Finding(False, f"{version}, rootless", rootless.instead())
    return {
        "engine": refused if rootless.is_rootless(info) else _Finding(True, version),
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
    except (APIError, OSError) as error:  # requests' errors, such as a timeout, are OSErrors
        reason = getattr(error, "explanation", None) or str(error)
        full = {"disk": _Finding(False, "full")} if _FULL in reason else {}
        return _not_probed(reason) | full
    return _not_probed("the probe exited early") | _parse(output)


def _not_probed(reason: str) -> dict[str, _Finding]:
    return dict.fromkeys(_KERNEL, _Finding(None, f"not probed: {reason}", _NODE_IMAGE))


def _parse(output: str) -> dict[str, _Finding]:
    """Read the script's lines `key<TAB>ok|no|unsure<TAB>detail`."""
    rows: Iterable[Sequence[str]] = (line.split("\t", 2) for line in output.splitlines())
    return {
        key: _Finding(
            {"ok": True, "no": False}.get(verdict),
            detail,
            _NODE_IMAGE if detail.startswith("not probed") else None,
        )
        for key, verdict, detail in (row for row in rows if len(row) == 3)
        if key in _KERNEL
    }


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
        security_opt=topology.load().nodes[0].api_security_opt,  # what nodes may do, not more
    )
    try:
        container.start()
        container.wait(timeout=engine.api.timeout)
        return container.logs(stdout=True, stderr=False).decode(errors="replace")
    finally:
        container.remove(v=True, force=True)


def _registry(engine: docker.DockerClient) -> _Finding:
    """Have the engine ask Docker Hub about an image: what counts is its own network and proxy."""
    try:
        engine.images.get_registry_data("hello-world")
    except APIError as error:
        # The engine quotes every step before the actual reason: "Get …: dial tcp: lookup …: no such host".
        return _Finding(False, str(error.explanation or error).rpartition(": ")[2])
    except OSError:  # requests' timeout
        return _Finding(False, f"no answer within {REGISTRY_SECONDS} s")
    return _Finding(True, "reachable")
