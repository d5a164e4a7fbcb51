"""Scenarios in which services cannot be reached."""

from collections.abc import Iterator
from random import Random
from typing import Any

from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import NODES, Facts, Scenario, application, applications, by
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_NETWORKS = ("inner", "outer", "blue", "green", "east", "west")


# -- two services that cannot see each other ----------------------------------------------------------


def _deaf(rng: Random) -> dict[str, Any]:
    front, back = applications(rng, 2)
    one, two = rng.sample(_NETWORKS, 2)
    return {"front": front, "service": back, "fronts": one, "backs": two, "replicas": rng.randint(1, 2)}


def _deaf_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    front, back = facts["front"], facts["service"]
    for name in (front, back):
        if (gone := scenario_checks.there(inspector, name)) is not None:
            yield gone
            return
    fronts, backs = scenario_checks.networks(inspector, front), scenario_checks.networks(inspector, back)
    kept = facts["fronts"] in fronts and facts["backs"] in backs
    yield Verdict(kept, "both are in the networks that they were in" if kept else "one has left its network")
    common = fronts & backs
    yield Verdict(bool(common), f"networks that both are in: {', '.join(sorted(common)) or 'none'}")
    published = scenario_checks.ports(inspector, back)
    yield Verdict(not published, f"{back} publishes {'a port' if published else 'no port'}")
    yield inspector.holds(checks.running(front, 1))
    yield inspector.holds(checks.running(back, facts["replicas"]))
    for task in inspector.running(front)[:1]:
        ask = f"curl --silent --output /dev/null --max-time 3 http://tasks.{back}/"
        good = scenario_checks.inside(inspector, task, ask).exit_code == 0
        yield Verdict(
            good, f"from a task of {front}, tasks.{back} {'answers' if good else 'does not answer'}"
        )


# -- a published port that leads nowhere --------------------------------------------------------------


def _door(rng: Random) -> dict[str, Any]:
    return {
        "service": application(rng),
        "port": rng.randint(8101, 8199),
        "wrong": rng.choice((8080, 8000, 3000, 5000)),
    }


def _door_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, port = facts["service"], facts["port"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    right = ("host", port, 80) in scenario_checks.ports(inspector, name)
    text = ", ".join(
        f"{port} to {target} in {mode} mode" for mode, port, target in scenario_checks.ports(inspector, name)
    )
    yield Verdict(right, f"{name} publishes {text or 'nothing'}")
    yield inspector.holds(checks.running(name, len(NODES)))
    for node in NODES:
        yield scenario_checks.answers(inspector, node, port)


# -- two services want one port -----------------------------------------------------------------------


def _port(rng: Random) -> dict[str, Any]:
    old, new = applications(rng, 2)
    port = rng.randint(8081, 8089)
    return {"old": old, "service": new, "node": rng.choice(NODES), "port": port, "free": port + 10}


def _port_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    old, new = facts["old"], facts["service"]
    for name in (old, new):
        if (gone := scenario_checks.there(inspector, name)) is not None:
            yield gone
            return
    untouched = scenario_checks.ports(inspector, old) == [("host", facts["port"], 80)]
    yield Verdict(untouched, f"{old} {'still' if untouched else 'no longer'} has port {facts['port']}")
    yield inspector.holds(checks.running(old, 3))
    right = ("host", facts["free"], 80) in scenario_checks.ports(inspector, new)
    text = ", ".join(
        f"{port} to {target} in {mode} mode" for mode, port, target in scenario_checks.ports(inspector, new)
    )
    yield Verdict(right, f"{new} publishes {text or 'nothing'}")
    yield inspector.holds(checks.running(new, 1))
    yield scenario_checks.only_on(inspector, new, facts["node"])
    yield scenario_checks.answers(inspector, facts["node"], facts["free"])


SCENARIOS = {
    "deaf-services": Scenario(
        title="One application can't find the other",
        story="<front> gets its data from http://tasks.<service>/ and reports that this name doesn't exist."
        " Both services are running. Other services use the same networks, so leave both where they "
        "are. <service> must not become reachable from outside. Make it reachable for <front>.",
        draw=_deaf,
        breaks=by(
            (
                "manager1",
                "docker network create --driver overlay <fronts>\n"
                "docker network create --driver overlay <backs>\n"
                "docker service create --detach --name <service> --replicas <replicas> "
                "--network <backs> nginx\n"
                "docker service create --detach --name <front> --network <fronts> toolbox",
            )
        ),
        points=_deaf_points,
        why="a service's name is known only inside its networks, and that keeps applications apart",
        hints=(
            "Which networks is each of the two attached to? docker service inspect --pretty SERVICE lists "
            "them at the end.",
            "Two services that share no network can't see each other. A service may be attached to several "
            "networks.",
            "docker service update --help lists two options that start with --network.",
            hints.networks,
        ),
        solution=(("manager1", "docker service update --detach --network-add <backs> <front>"),),
    ),
    "closed-door": Scenario(
        title="Every node refuses the customers' requests",
        story="Customers ask any of the nodes for <service>, at port <port>, but no node answers. Its tasks"
        " are running. It's an ordinary nginx that listens on port 80 of its container. Each node has"
        " to answer at its own port <port>, with its own task.",
        draw=_door,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --mode global "
                "--publish mode=host,published=<port>,target=<wrong> nginx",
            )
        ),
        points=_door_points,
        why="nobody checks that a program listens behind a published port: the task runs, but requests fail",
        hints=(
            "Ask a node yourself: curl --max-time 3 http://worker1:<port>/",
            "docker service inspect --pretty <service>: which port of the container does <port> lead to?",
            "docker service update --publish-rm mode=host,target=PORT, with the port inside the container, "
            "and --publish-add as in docker service create.",
            hints.ports,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach --publish-rm mode=host,target=<wrong> "
                "--publish-add mode=host,published=<port>,target=80 <service>",
            ),
        ),
    ),
    "port-taken": Scenario(
        title="The second of two web services doesn't start",
        story="The service <service> is supposed to run on <node>, on a port of that node, but it doesn't "
        "start. The service <old> was there first, and its customers know port <port>, so leave it "
        "alone. On <node>, the firewall lets port <free> through for <service>, whose web server "
        "listens on port 80.",
        draw=_port,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <old> --mode global "
                "--publish mode=host,published=<port>,target=80 nginx\n"
                "docker service create --detach --name <service> --constraint node.hostname==<node> "
                "--publish mode=host,published=<port>,target=80 nginx",
            )
        ),
        points=_port_points,
        why="a port in host mode belongs to one task per node, so a second task that wants it has to wait",
        hints=(
            "docker service ps --no-trunc <service> says what its task is waiting for.",
            "docker service inspect --format '{{json .Endpoint.Spec.Ports}}' SERVICE shows the ports of "
            "each.",
            "docker service update --publish-rm mode=host,target=PORT, with the port inside the container, "
            "and --publish-add as in docker service create.",
            hints.ports,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach --publish-rm mode=host,target=80 "
                "--publish-add mode=host,published=<free>,target=80 <service>",
            ),
        ),
    ),
}
