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
        return f"{target} is the volume {source or '(unnamed)'} of the driver {_driver(mount)}"
    if kind == "bind":
        return f"{target} is the node's folder {source}"
    return f"{target} is a mount of type {kind}"


def _kept_beside(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.service("portainer")
    if service is None:
        yield Verdict(False, "there's no service portainer yet")
        return
    mount = _mount(service, "/data")
    right = mount.get("Type") == "volume" and mount.get("Source") == "portainer_data"
    yield Verdict(right and _driver(mount) == "local", _describe(mount, "/data"))
    yield inspector.holds(checks.pinned("portainer", "manager1"))
    yield inspector.holds(checks.running("portainer", 1, on="manager1"))


def _what_portainer_may(inspector: Inspector) -> str:
    service = inspector.service("portainer")
    if service is None:
        return "Start with docker service create --name portainer, one --mount, and one --constraint."
    if not inspector.holds(checks.pinned("portainer", "manager1")):
        return (
            "Its task could run on other nodes than manager1. docker service update --constraint-add helps, "
            "with node.labels.portainer."
        )
    return f"The constraint is right. About the mount: {_describe(_mount(service, '/data'), '/data')}."


def _two_mounts(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.service("scratch")
    if service is None:
        yield Verdict(False, "there's no service scratch yet")
        return
    shared, cache = _mount(service, "/shared"), _mount(service, "/cache")
    bound = shared.get("Type") == "bind" and shared["Source"].rstrip("/") == "/lab"
    yield Verdict(bound, _describe(shared, "/shared"))
    if bound:
        locked = bool(shared.get("ReadOnly"))
        yield Verdict(locked, f"/shared {'is read-only' if locked else 'can be written to'}")
    if cache.get("Type") == "tmpfs":
        size = (cache.get("TmpfsOptions") or {}).get("SizeBytes", 0)
        said = f"at most {size / _MEBIBYTE:g} MiB" if size else "without a limit"
        yield Verdict(size == 8 * _MEBIBYTE, f"/cache is memory, {said}")
    else:
        yield Verdict(False, _describe(cache, "/cache"))
    yield inspector.holds(checks.running("scratch", 1, on="worker2"))


def _plugin_everywhere(inspector: Inspector) -> Iterator[Verdict]:
    for node in inspector.snapshot.engines:
        plugins = {entry["Name"].removesuffix(":latest"): entry for entry in inspector.plugins(node)}
        found = plugins.get("rclone")
        if found is None:
            has = f"only {', '.join(plugins)}" if plugins else "none at all"
            yield Verdict(False, f"{node} has no plugin called rclone ({has})")
            continue
        origin = found.get("PluginReference", "")
        if "/rclone:" not in origin:
            yield Verdict(False, f"on {node}, the name rclone belongs to {origin}")
        elif not found["Enabled"]:
            yield Verdict(False, f"{node} has rclone, but it's disabled")
        else:
            yield Verdict(True, f"{node} has rclone, and it's enabled")


def _what_manager1_has(inspector: Inspector) -> str:
    plugins = {entry["Name"]: entry["Enabled"] for entry in inspector.plugins("manager1")}
    if "rclone:latest" in plugins:
        return "It's installed. docker plugin ls says if it's enabled, and docker plugin enable turns it on."
    if plugins:
        return (
            f"manager1 has {', '.join(plugins)}. Disable and remove a plugin with the wrong name; --alias "
            "sets the right one."
        )
    return "The command for the workers is right for manager1, too. Start the cell with %%on manager1."


def _diary_follows(inspector: Inspector) -> Iterator[Verdict]:
    pages = (inspector.file(_PAGES) or "").splitlines()
    if not pages:
        yield Verdict(False, f"{_PAGES} is missing or empty: run the cell that saves the first pages")
        return
    service = inspector.service("diary")
    if service is None:
        yield Verdict(False, "there's no service diary: run the cells of this chapter from the top")
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
    yield Verdict(driver == "rclone", f"the driver of the volume at /data of diary is {driver}")
    if driver != "rclone":
        return
    yield _usable_everywhere(inspector, service, mounts[0]["Name"])
    asked = (service["Spec"]["TaskTemplate"].get("Placement") or {}).get("Constraints") or []
    yield Verdict(
        not asked, f"the task of diary may run on {'any node' if not asked else f'nodes with {asked[0]}'}"
    )
    kept = inspector.run(node, f"docker exec {containers[0]['Id']} cat /data/diary").stdout.splitlines()
    found = [line for line in pages if line in kept]
    yield Verdict(
        found == pages, f"/data/diary contains {len(found)} of the {len(pages)} lines of the first pages"
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
            f"the service names no driver, so {', '.join(without)} would create a local volume {volume}",
        )
    return Verdict(True, f"each node has the volume {volume}")


def _where_the_diary_writes(inspector: Inspector) -> str:
    service = inspector.service("diary")
    if service and _driver(_mount(service, "/data")) == "rclone":
        return (
            "The service uses the driver already. To copy the pages, create a volume on manager1 with the "
            "same remote, and mount it and /lab in a container with docker run --rm."
        )
    return (
        "docker service update --mount-add with the same target replaces the mount. Use the same target, "
        "volume-driver, and volume-opt as the ledger, but with storage:diary."
    )


_GUESTS = ("Ada", "Grace")


def _guests_are_back(inspector: Inspector) -> Iterator[Verdict]:
    runs = inspector.holds(checks.running("guestbook", 1))
    yield runs
    if not runs:
        return
    [task] = inspector.running("guestbook")
    containers = inspector.containers_of("guestbook", task.node)
    entries = (
        inspector.run(task.node, f"docker exec {containers[0]['Id']} cat /data/entries").stdout.split()
        if containers
        else []
    )
    missing = [name for name in _GUESTS if name not in entries]
    told = f"lacks the entries of {' and '.join(missing)}" if missing else "has the entries of Ada and Grace"
    yield Verdict(not missing, f"the guestbook on {task.node} {told}")
    yield inspector.holds(checks.pinned("guestbook", task.node))


def _where_the_guests_are(inspector: Inspector) -> str:
    service = inspector.snapshot.service("guestbook")
    if service is None:
        return "The service guestbook is gone. Run the cells that created it again."
    holders = [
        node
        for node in inspector.snapshot.engines
        if any(entry["Name"] == "guests" for entry in inspector.volumes(node))
    ]
    asked = ", ".join(service.constraints) or "no constraint"
    return f"A volume guests exists on {' and '.join(holders)}. The service now has {asked}."


EXERCISES = {
    5: Exercise(
        task="Bring back the guestbook with the entries of Ada and Grace, and keep its task where they are",
        points=_guests_are_back,
        why="data that seems lost is often just on another node, and a few calm commands will find it",
        hints=(
            "Nobody deleted anything. On which node did the guests write their names?",
            "docker volume ls on each node shows where a volume guests exists, and docker service inspect "
            "--pretty guestbook shows the constraint.",
            _where_the_guests_are,
        ),
    ),
    1: Exercise(
        task="Run portainer with the volume portainer_data at /data, and only on manager1",
        points=_kept_beside,
        why="a service that ends up on the wrong node starts with empty data, and nothing reports an error",
        hints=(
            "Two options: --mount says what appears where, and --constraint says which nodes are allowed.",
            "The mount is type=volume,source=portainer_data,target=/data.",
            _what_portainer_may,
        ),
        drill=True,
    ),
    2: Exercise(
        task="Run scratch on worker2 with /lab read-only at /shared and 8 MiB of memory at /cache",
        points=_two_mounts,
        why="a task that can only write what it has to can do less damage, and it can't fill up the disk",
        hints=(
            "Use --mount twice, each time with its type: bind for a folder of the node, tmpfs for memory.",
            "The first is type=bind,source=/lab,target=/shared,readonly. A tmpfs has no source.",
            lambda inspector: (
                "The service exists. docker service update --mount-add with the same target changes a mount."
                if inspector.service("scratch")
                else "Keep it on worker2 the way the diary was: --constraint node.hostname==worker2."
            ),
        ),
    ),
    3: Exercise(
        task="Install the plugin rclone on manager1 too, under that name and enabled",
        points=_plugin_everywhere,
        why="without the driver, a node can't reach the data, so Swarm never sends the task there",
        hints=(
            "A plugin belongs to one engine. On which node do you run docker plugin install?",
            _what_manager1_has,
        ),
        drill=True,
    ),
    4: Exercise(
        task="Move the diary's data to an rclone volume at /data, including the first pages",
        points=_diary_follows,
        why="a planned move beats a rescue: copy the data while the node still runs",
        hints=(
            "First the data: docker volume create -d rclone -o remote=storage:diary NAME, on manager1. "
            "Then docker run --rm with -v /lab:/from and -v NAME:/to can copy the pages.",
            "Then the service: docker service update --mount-add, with the target /data.",
            _where_the_diary_writes,
        ),
    ),
}
