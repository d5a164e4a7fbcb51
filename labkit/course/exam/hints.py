"""The last hints of scenarios: the first thing that remains to be done in the swarm as it is now."""

import shlex
from collections.abc import Callable, Iterator
from functools import wraps

from labkit.course.exam import scenario_checks
from labkit.course.exam.scenario import NODES, Facts
from labkit.course.inspector import Inspector
from labkit.swarm.checks import no_view
from labkit.swarm.explain import AS_WANTED, explain
from labkit.swarm.model import Json, Snapshot

_Hint = Callable[[Inspector, Facts], str]


def says(inspector: Inspector, facts: Facts) -> str:
    """What the swarm says about the scenario's service, which may not be what the story asks for."""
    told = explain(inspector.snapshot, facts["service"])
    asked = "So the swarm does what it was told. lab.check() says what else the story asks for."
    return told.removesuffix(AS_WANTED) + asked if told.endswith(AS_WANTED) else told


def says_of_node(inspector: Inspector, facts: Facts) -> str:
    """What the swarm says about the scenario's node."""
    if inspector.snapshot.node(facts["node"]) is None:
        return "docker node ls doesn't list <node> anymore."
    return explain(inspector.snapshot, facts["node"])


def _first(steps: Callable[[Inspector, Facts], Iterator[str]]) -> _Hint:
    """The first of these steps; if none is left, what the swarm says about the scenario's service or node."""

    @wraps(steps)
    def hint(inspector: Inspector, facts: Facts) -> str:
        if "service" in facts and no_view(inspector.snapshot) is None:
            gone = scenario_checks.there(inspector, facts["service"])
            if gone is not None:
                return f"{gone.text}. lab.practice() begins the scenario again."
        told = next(steps(inspector, facts), None)
        return told or (says if "service" in facts else says_of_node)(inspector, facts)

    return hint


# -- tasks that do not stay up ------------------------------------------------------------------------


@_first
def command(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """What the service runs, and what that printed before it ended."""
    name = facts["service"]
    spec = _template(inspector, name)["ContainerSpec"]
    run = shlex.join([*(spec.get("Command") or ()), *(spec.get("Args") or ())])
    if "maxmemory" not in run:
        yield f"The command of {name} is now: {run}. It sets no limit: --maxmemory <size>mb does."
    ended = [task for task in inspector.snapshot.tasks if task.service == name and task.state == "failed"]
    if ended and not inspector.running(name):
        last = max(ended, key=lambda task: task.changed)
        said = inspector.run("manager1", f"docker service logs --raw --tail 5 {last.id} 2>&1").stdout.strip()
        yield f"The command of {name} is now: {run}\nThe last task that failed had said:\n{said}"


@_first
def health(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """How the health of the service is checked."""
    name = facts["service"]
    kind, *test = (_template(inspector, name)["ContainerSpec"].get("Healthcheck") or {}).get("Test") or [
        "NONE"
    ]
    if kind == "NONE":
        yield f"{name} has no health check now. docker service update --health-cmd gives it one."
    yield (
        f"The health check of {name} runs: {' '.join(test)}\nIts server listens on port 80 of the container. "
        "The check has to pass as long as the server answers there, and to fail when it does not."
    )


# -- nodes --------------------------------------------------------------------------------------------


@_first
def role(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Who is a manager, and which token the script has."""
    managers = {node.name: node.manager_status for node in inspector.snapshot.nodes if node.manager_status}
    if facts["node"] in managers:
        told = ", ".join(f"{name} {status}" for name, status in managers.items())
        yield f"Managers now: {told}. docker node demote takes the role away and keeps the node in the swarm."
    token = scenario_checks.token(inspector)
    if not token:
        yield f"Right now, {token.text}: docker swarm join-token --quiet worker >{scenario_checks.TOKEN}"


@_first
def joining(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """What keeps the node out of the swarm."""
    token = scenario_checks.token(inspector)
    if not token:
        fresh = f"docker swarm join-token --quiet worker >{scenario_checks.TOKEN}"
        yield f"Right now, {token.text}. On manager1, run {fresh}"
    if inspector.snapshot.engines[facts["node"]].swarm != "active":
        yield f"<node> isn't in a swarm. Run this on <node>: {scenario_checks.JOIN}"
    yield from _remove_down(inspector.snapshot)


@_first
def entries(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """What the current entry lacks, and which entries are left over."""
    for node in inspector.snapshot.nodes:
        if (node.name, node.status) == (facts["node"], "ready") and facts["key"] not in node.labels:
            labels = ", ".join(f"{key}={value}" for key, value in node.labels.items()) or "no labels"
            yield f"The entry of <node> that is ready has {labels}. Its ID: {node.id}"
    yield from _remove_down(inspector.snapshot)


@_first
def quorum(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Whether managers can decide, and who is still listed."""
    if no_view(inspector.snapshot) is not None:
        yield (
            "There's no quorum. On <survivor>: docker swarm init --force-new-cluster --advertise-addr eth0"
        )
    if inspector.snapshot.node(facts["lost"]):
        yield "There's a quorum again, but <lost> is still listed: docker node rm <lost>"


@_first
def lock(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Whether the node is locked, and whether it would be after a restart."""
    if inspector.snapshot.engines[facts["node"]].swarm == "locked":
        yield (
            "The engine of <node> is locked. docker swarm unlock-key, on <helper>, shows the key, and "
            "docker swarm unlock, on <node>, asks for it."
        )
    if not scenario_checks.locks(inspector):
        yield (
            "Managers no longer need a key after a restart, but they should: "
            "docker swarm update --autolock=true"
        )


# -- networks and ports -------------------------------------------------------------------------------


@_first
def networks(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Which networks the two services are in."""
    one, other = (
        scenario_checks.networks(inspector, facts["front"]),
        scenario_checks.networks(inspector, facts["service"]),
    )
    mine, theirs = (", ".join(sorted(names)) or "none" for names in (one, other))
    told = f"<front> is in {mine}, <service> in {theirs}."
    if facts["fronts"] not in one or facts["backs"] not in other:
        yield f"{told} Originally they were in <fronts> and in <backs>, and each has to stay there."
    if not one & other:
        yield f"{told} docker service update --network-add attaches one of them to a second network."


@_first
def ports(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """What the service publishes."""
    port = facts.get("free", facts["port"])
    if ("host", port, 80) not in scenario_checks.ports(inspector, facts["service"]):
        service = inspector.snapshot.service(facts["service"])
        told = ", ".join(map(str, service.ports if service else ())) or "nothing"
        yield f"<service> publishes {told}. It should publish {port} to 80, where its web server listens."


# -- data and secrets ---------------------------------------------------------------------------------


@_first
def volume(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Where the service's task is, and where there is a volume of that name."""
    there = [
        node for node in NODES if any(each["Name"] == facts["volume"] for each in inspector.volumes(node))
    ]
    where = ", ".join(inspector.snapshot.tasks_per_node(facts["service"])) or "nowhere"
    if where != facts["node"]:
        yield (
            f"The task of <service> runs on: {where}. A volume <volume> is on {', '.join(there)}, each with "
            "data of its own. docker service update --constraint-add keeps the task where its data is."
        )


@_first
def secret(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """Which secrets there are, and which one the service has."""
    given = {
        entry["SecretName"]: entry["File"]["Name"]
        for entry in _template(inspector, facts["service"])["ContainerSpec"].get("Secrets") or ()
    }
    told = ", ".join(f"{name} as {target}" for name, target in given.items()) or "no secret"
    if list(given.values()) != [facts["target"]] or facts["old"] in given:
        yield (
            f"<service> is given {told}. In one docker service update: --secret-rm, and --secret-add with "
            "source=NAME,target=<target>."
        )
    if inspector.secret(facts["old"]):
        yield f"<service> is given {told}. docker secret rm <old> works once no task uses it."


# -- maintenance ----------------------------------------------------------------------------------------


@_first
def update(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """How the service would be updated now."""
    found = (inspector.service(facts["service"]) or {})["Spec"]
    order = (found.get("UpdateConfig") or {}).get("Order", "stop-first")
    at_once = (found.get("UpdateConfig") or {}).get("Parallelism", 1)
    if order != "start-first" or at_once != 1:
        yield (
            f"<service> is updated {order}, {at_once or 'all'} at a time. Which order, and how many at a "
            "time, leave a task that answers at every moment?"
        )


@_first
def history(inspector: Inspector, facts: Facts) -> Iterator[str]:
    """How many old tasks the swarm keeps, and how many there are."""
    limit, most = (
        scenario_checks.history_limit(inspector),
        scenario_checks.old_tasks(inspector, facts["service"]),
    )
    if not 0 <= limit <= facts["keep"] + 1:
        yield (
            f"The swarm keeps up to {limit} tasks of each replica, the current one included: docker swarm "
            "update --task-history-limit"
        )
    if most > facts["keep"]:
        yield f"Up to {most} old tasks of a replica are listed: docker service update --force <service>"


def _template(inspector: Inspector, service: str) -> Json:
    template: Json = (inspector.service(service) or {})["Spec"]["TaskTemplate"]
    return template


def _remove_down(snapshot: Snapshot) -> Iterator[str]:
    down = [node.id for node in snapshot.nodes if node.status == "down"]
    if down:
        yield f"{len(down)} of the entries listed are down: docker node rm {' '.join(down)}"
