"""Chapter 5, connect overlays."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Json

_SUBNET = "10.40.0.0/24"
_PROBE_NODE = "manager1"
_TIERS = ("front", "api", "db")


def _own_range(inspector: Inspector) -> Iterator[Verdict]:
    network = next((found for found in inspector.snapshot.networks if found.name == "warehouse"), None)
    if network is None:
        yield Verdict(False, "no network warehouse spans the swarm")
        return
    yield Verdict(network.driver == "overlay", f"the driver of warehouse is {network.driver}")
    ranges = ", ".join(network.subnets) or "nowhere"
    yield Verdict(network.subnets == (_SUBNET,), f"warehouse takes its addresses from {ranges}")


def _where_warehouse_is(inspector: Inspector) -> str:
    if any(network.name == "warehouse" for network in inspector.snapshot.networks):
        return (
            "A network's subnet can't be changed. Run docker network rm warehouse, and then create it again."
        )
    local = inspector.run(
        _PROBE_NODE, "docker network inspect --format '{{.Driver}}' warehouse"
    ).stdout.strip()
    if local:
        return f"{_PROBE_NODE} has a {local} network of this name that ends there. Use -d overlay."
    return f"The command starts with docker network create -d overlay --subnet {_SUBNET}."


def _no_vip(inspector: Inspector) -> Iterator[Verdict]:
    service, spec = inspector.snapshot.service("cache"), inspector.service("cache")
    if service is None or spec is None:
        yield Verdict(False, "there's no service cache yet")
        return
    image = service.image.rpartition("/")[2].partition(":")[0]
    yield Verdict(image == "redis", f"cache runs the image {service.image}")
    networks = ", ".join(service.networks) or "no network of the swarm"
    yield Verdict("my_overlay" in _joined(inspector, "cache"), f"cache is on {networks}")
    if _endpoint_mode(inspector, "cache") == "dnsrr":
        yield Verdict(True, "the name cache leads directly to its tasks")
    else:
        yield Verdict(False, "the name cache leads to a virtual address, not directly to its tasks")
    yield inspector.holds(checks.running("cache", 2))


def _endpoint_mode(inspector: Inspector, service: str) -> str:
    spec = (inspector.service(service) or {}).get("Spec") or {}
    return str((spec.get("EndpointSpec") or {}).get("Mode", "vip"))


def _what_cache_lacks(inspector: Inspector) -> str:
    if inspector.service("cache") is None:
        return "docker service create --help: look for --endpoint-mode, --network, and --replicas."
    if _endpoint_mode(inspector, "cache") != "dnsrr":
        return "cache has a VIP. docker service update --endpoint-mode dnsrr cache changes that."
    return "The mode is right. Check the other points: docker service inspect --pretty cache"


def _tiers_apart(inspector: Inspector) -> Iterator[Verdict]:
    running = [_all_run(inspector, name) for name in _TIERS]
    yield from running
    if not all(running):
        return
    for one, other in (("front", "api"), ("api", "db")):
        shared = ", ".join(sorted(_joined(inspector, one) & _joined(inspector, other)))
        yield Verdict(bool(shared), f"{one} and {other} share {shared or 'no overlay network'}")
    shared = ", ".join(sorted(_touched(inspector, "front") & _touched(inspector, "db")))
    yield Verdict(not shared, f"front and db share {shared or 'nothing'}")


def _all_run(inspector: Inspector, service: str) -> Verdict:
    """Every task of a service runs, and there is at least one."""
    tasks = inspector.tasks(service)
    up = inspector.running(service)
    return Verdict(bool(tasks) and len(up) == len(tasks), f"{len(up)} of {len(tasks)} tasks of {service} run")


def _joined(inspector: Inspector, service: str) -> set[str]:
    """The overlay networks that every task of a service is on: there, others can reach all of it."""
    tasks = inspector.running(service)
    overlays = {network.name for network in inspector.snapshot.networks if network.driver == "overlay"}
    return overlays.intersection(*(task.networks for task in tasks)) if tasks else set()


def _touched(inspector: Inspector, service: str) -> set[str]:
    """The networks of any kind that any task of a service is on, or will be."""
    found = inspector.snapshot.service(service)
    networks = {name for task in inspector.tasks(service) for name in task.networks}
    return networks.union(found.networks if found else ())


def _who_shares_what(inspector: Inspector) -> str:
    places = "; ".join(
        f"{name}: {', '.join(sorted(_touched(inspector, name))) or 'nothing'}" for name in _TIERS
    )
    return f"Right now ({places}). Give api and db a second network, and then remove db from the first one."


def _probe_inside(inspector: Inspector) -> Iterator[Verdict]:
    found = _probe(inspector)
    if found is None:
        yield Verdict(False, f"{_PROBE_NODE} has no container named probe")
        return
    image = found["Image"].removesuffix(":latest")
    yield Verdict(image == "toolbox", f"probe is made from the image {image}")
    yield Verdict(found["State"] == "running", f"probe is {found['State']}")
    yield _all_run(inspector, "nginx_service")
    networks = set((found.get("NetworkSettings") or {}).get("Networks") or {})
    shared = ", ".join(sorted(networks & _joined(inspector, "nginx_service")))
    alone = f"no overlay network with nginx_service, only {', '.join(sorted(networks)) or 'nothing'}"
    yield Verdict(bool(shared), f"probe shares {shared or alone}")


def _probe(inspector: Inspector) -> Json | None:
    return next((entry for entry in inspector.containers(_PROBE_NODE) if "/probe" in entry["Names"]), None)


def _what_probe_lacks(inspector: Inspector) -> str:
    names = [network.name for network in inspector.snapshot.networks if not network.ingress]
    attachable = [name for name in names if (inspector.network(name) or {}).get("Attachable")]
    if not attachable:
        return "No network is attachable yet. Create one: docker network create -d overlay --attachable NAME"
    inside = sorted(_joined(inspector, "nginx_service") & set(attachable))
    if not inside:
        return f"{attachable[0]} is attachable. Add it to nginx_service: docker service update --network-add"
    return f"Both meet on {inside[0]}: docker run -d --name probe --network {inside[0]} toolbox"


def _moved(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.running("nginx_overlay", 2))
    yield inspector.holds(checks.publishes("nginx_overlay", 8081, 80, "ingress"))
    networks = _touched(inspector, "nginx_overlay")
    sealed = {network.name for network in inspector.snapshot.networks if network.encrypted}
    if not networks or not _joined(inspector, "nginx_overlay"):
        yield Verdict(False, "nginx_overlay is on no network of the swarm")
    elif open_ := sorted(networks - sealed):
        yield Verdict(False, f"nginx_overlay is on {', '.join(open_)}, which isn't encrypted")
    else:
        yield Verdict(True, f"nginx_overlay is on {', '.join(sorted(networks))}, encrypted")
    if not any(network.name == "my_overlay" for network in inspector.snapshot.networks):
        yield Verdict(True, "my_overlay is gone")
        return
    users = sorted(
        service.name for service in inspector.snapshot.services if "my_overlay" in service.networks
    )
    yield Verdict(False, f"my_overlay is still there (used by {', '.join(users) or 'no service'})")


def _who_is_in_the_way(inspector: Inspector) -> str:
    users = sorted(
        service.name for service in inspector.snapshot.services if "my_overlay" in service.networks
    )
    if users:
        return f"On my_overlay right now: {', '.join(users)}. One of them has to move, and the others may go."
    return "No service uses my_overlay anymore. While its last tasks stop, rm still refuses, so run it again."


EXERCISES = {
    1: Exercise(
        task=f"Create an overlay network warehouse with addresses from {_SUBNET}",
        points=_own_range,
        why="a subnet that overlaps with one of your company's networks cuts off whatever is on that network",
        hints=(
            "Which option of docker network create sets the addresses? Its --help lists them.",
            "--subnet takes the range. Without -d overlay, you get a bridge on a single node.",
            _where_warehouse_is,
        ),
    ),
    2: Exercise(
        task="Run a service cache of two redis tasks on my_overlay, whose name leads directly to its tasks",
        points=_no_vip,
        why="database clients often want to know every server, and to choose one themselves",
        hints=(
            "Three options of docker service create: the mode of the endpoint, the network, the replicas.",
            _what_cache_lacks,
        ),
        drill=True,
    ),
    3: Exercise(
        task="front reaches api, api reaches db, and front and db share no network",
        points=_tiers_apart,
        why="anyone who breaks into the public service shouldn't find the database next door",
        hints=(
            "One network for front and api, another for api and db. Which service is on both?",
            "docker service update takes --network-add and --network-rm, even in a single command.",
            _who_shares_what,
        ),
    ),
    4: Exercise(
        task="On manager1, run a plain container probe on an overlay network that nginx_service is on",
        points=_probe_inside,
        why="a container with tools on the same network sees what other services see",
        hints=(
            "Only an attachable network accepts it, and a network can't become attachable later.",
            "Three steps: create the network, add it to nginx_service, and run the container with --network.",
            _what_probe_lacks,
        ),
    ),
    5: Exercise(
        task="Move nginx_overlay to an encrypted network, both tasks running, and remove my_overlay",
        points=_moved,
        why="an existing network can't be changed, so you move its services to a new one",
        hints=(
            "First create the new network. Then one docker service update can add it and remove the old one.",
            "Services that still use my_overlay keep it alive. plots.topology(lab.snapshot()) shows them.",
            _who_is_in_the_way,
        ),
    ),
}
