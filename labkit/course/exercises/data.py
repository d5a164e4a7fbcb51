"""Chapter 6, keep data."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Json

_MEBIBYTE = 2**20
_PAGES = "/lab/first-pages"


def _mount(service: Json, target: str) -> Json:
    """What a service mounts at a path; empty if nothing."""
    mounts = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Mounts") or ()
    return next((entry for entry in mounts if entry["Target"].rstrip("/") == target), {})


def _driver(mount: Json) -> str:
    """The volume driver that a mount of a service names; `local` if it names none."""
    config = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    return str(config.get("Name") or "local").removesuffix(":latest")


def _describe(mount: Json, target: str) -> str:
    """A mount in plain words."""
    if not mount:
        return f"nothing is mounted at {target}"
    kind, source = mount["Type"], mount.get("Source", "")
    if kind == "volume":
        return f"{target} is the volume {source or 'without a name'} of the driver {_driver(mount)}"
    if kind == "bind":
        return f"{target} is the node's folder {source}"
    return f"{target} is a mount of type {kind}"


def _kept_beside(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.service("portainer")
    if service is None:
        yield Verdict(False, "there is no service portainer yet")
        return
    mount = _mount(service, "/data")
    right = mount.get("Type") == "volume" and mount.get("Source") == "portainer_data"
    yield Verdict(right and _driver(mount) == "local", _describe(mount, "/data"))
    yield inspector.holds(checks.pinned("portainer", "manager1"))
    yield inspector.holds(checks.running("portainer", 1, on="manager1"))


def _what_portainer_may(inspector: Inspector) -> str:
    service = inspector.service("portainer")
    if service is None:
        return "docker service create --name portainer, with one --mount and one --constraint."
    if not inspector.holds(checks.pinned("portainer", "manager1")):
        return (
            "Nothing keeps its task on manager1. docker service update --constraint-add, with node.hostname."
        )
    return f"Its constraint is right. As to the mount: {_describe(_mount(service, '/data'), '/data')}."


def _two_mounts(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.service("scratch")
    if service is None:
        yield Verdict(False, "there is no service scratch yet")
        return
    shared, cache = _mount(service, "/shared"), _mount(service, "/cache")
    bound = shared.get("Type") == "bind" and shared["Source"].rstrip("/") == "/lab"
    yield Verdict(bound, _describe(shared, "/shared"))
    if bound:
        locked = bool(shared.get("ReadOnly"))
        yield Verdict(locked, f"/shared {'can only be read' if locked else 'can be written'}")
    if cache.get("Type") == "tmpfs":
        size = (cache.get("TmpfsOptions") or {}).get("SizeBytes", 0)
        said = f"at most {size / _MEBIBYTE:g} MiB" if size else "as much as it likes"
        yield Verdict(size == 8 * _MEBIBYTE, f"/cache is memory, and takes {said}")
    else:
        yield Verdict(False, _describe(cache, "/cache"))
    yield inspector.holds(checks.running("scratch", 1, on="worker2"))


def _plugin_everywhere(inspector: Inspector) -> Iterator[Verdict]:
    for node in inspector.snapshot.engines:
        plugins = {entry["Name"].removesuffix(":latest"): entry for entry in inspector.plugins(node)}
        found = plugins.get("rclone")
        if found is None:
            has = f"only {', '.join(plugins)}" if plugins else "none"
            yield Verdict(False, f"{node} has no plugin of the name rclone ({has})")
            continue
        origin = found.get("PluginReference", "")
        if "/rclone:" not in origin:
            yield Verdict(False, f"what {node} calls rclone is {origin}")
        elif not found["Enabled"]:
            yield Verdict(False, f"{node} has rclone, and it is disabled")
        else:
            yield Verdict(True, f"{node} has rclone, and it is enabled")


def _what_manager1_has(inspector: Inspector) -> str:
    plugins = {entry["Name"]: entry["Enabled"] for entry in inspector.plugins("manager1")}
    if "rclone:latest" in plugins:
        return (
            "It is there. docker plugin ls says whether it is enabled, docker plugin enable switches it on."
        )
    if plugins:
        return (
            f"manager1 has {', '.join(plugins)}. Remove what has the wrong name (disable first); --alias "
            "gives the right one."
        )
    return "The command for the workers is right for manager1 too; begin the cell with %%on manager1."


def _diary_follows(inspector: Inspector) -> Iterator[Verdict]:
    pages = (inspector.file(_PAGES) or "").splitlines()
    if not pages:
        yield Verdict(False, f"there are no first pages in {_PAGES}: run the cell that saves them")
        return
    service = inspector.service("diary")
    if service is None:
        yield Verdict(False, "there is no service diary: run the cells of this chapter from the top")
        return
    runs = inspector.holds(checks.running("diary", 1))
    yield runs
    if not runs:
        return
    node = next(task.node for task in inspector.tasks("diary"))
    containers = inspector.containers_of("diary", node)
    mounts = (
        [entry for entry in containers[0]["Mounts"] if entry["Destination"] == "/data"] if containers else []
    )
    driver = (mounts[0].get("Driver") or mounts[0]["Type"] if mounts else "none").removesuffix(":latest")
    yield Verdict(driver == "rclone", f"the driver of what diary has at /data is {driver}")
    if driver != "rclone":
        return
    yield _usable_everywhere(inspector, service, mounts[0]["Name"])
    kept = inspector.run(node, f"docker exec {containers[0]['Id']} cat /data/diary").stdout.splitlines()
    found = [line for line in pages if line in kept]
    yield Verdict(
        found == pages, f"of the {len(pages)} first pages, {len(found)} stand in the diary's /data/diary"
    )


def _usable_everywhere(inspector: Inspector, service: Json, volume: str) -> Verdict:
    """Whether any node has the same volume for a task: the service names the driver, or each node has it."""
    if _driver(_mount(service, "/data")) == "rclone":
        return Verdict(True, "the service names the driver, so any node can use the volume")
    without = [
        node
        for node in inspector.snapshot.engines
        if not any(
            entry["Name"] == volume and entry["Driver"].startswith("rclone")
            for entry in inspector.volumes(node)
        )
    ]
    if without:
        return Verdict(
            False,
            f"the service names no driver, and {', '.join(without)} would make a local volume {volume}",
        )
    return Verdict(True, f"each node has the volume {volume}")


def _where_the_diary_writes(inspector: Inspector) -> str:
    service = inspector.service("diary")
    if service and _driver(_mount(service, "/data")) == "rclone":
        return (
            "The service uses the driver already. Now the pages: a volume on manager1 with that remote, and "
            "docker run --rm with that volume and /lab, to copy from the one to the other."
        )
    return (
        "docker service update --mount-add with the same target replaces a mount. Write source, target, "
        "volume-driver and volume-opt as the ledger has them, with storage:diary."
    )


EXERCISES = (
    Exercise(
        task="Run portainer with the volume portainer_data at /data, able to run on manager1 alone",
        points=_kept_beside,
        why="a service that lands beside the wrong disk starts with empty data, and nothing reports an error",
        hints=(
            "Two options: --mount says what is shown where, --constraint says which nodes are allowed.",
            "The mount is type=volume,source=portainer_data,target=/data.",
            _what_portainer_may,
        ),
    ),
    Exercise(
        task="Run scratch on worker2 with /lab read-only at /shared and 8 MiB of memory at /cache",
        points=_two_mounts,
        why="a task that can write only what it needs to write can spoil less, and cannot fill the memory",
        hints=(
            "Write --mount twice, each with its type: bind for a folder of the node, tmpfs for memory.",
            "type=bind,source=/lab,target=/shared,readonly is the first. A tmpfs has a target and no source.",
            lambda inspector: (
                "The service is there. To change it: docker service update with --mount-add (same target)."
                if inspector.service("scratch")
                else "Constrain it as the diary was: --constraint node.hostname==worker2."
            ),
        ),
    ),
    Exercise(
        task="Give manager1 the plugin rclone too, under that name and enabled",
        points=_plugin_everywhere,
        why="a task cannot get its data on a node without its driver, so the swarm does not try there",
        hints=(
            "A plugin belongs to one engine. On which node do you run docker plugin install?",
            _what_manager1_has,
        ),
    ),
    Exercise(
        task="Let diary keep its data in an rclone volume at /data, with the first pages in it",
        points=_diary_follows,
        why="to move data off a node before the node is gone is the one migration that you can plan",
        hints=(
            "First the data: docker volume create -d rclone -o remote=storage:diary NAME, on manager1. "
            "docker run --rm with -v /lab:/from and -v NAME:/to can copy the pages.",
            "Then the service: docker service update --mount-add, with the target /data.",
            _where_the_diary_writes,
        ),
    ),
)
