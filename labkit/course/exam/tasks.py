"""Scenarios in which tasks do not keep running."""

import shlex
from collections.abc import Iterator
from random import Random
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import Facts, Scenario, application, by, run
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Task

_VERSIONS = ("1", "2", "3")


# -- an image that is not there -----------------------------------------------------------------------


def _image(rng: Random) -> dict[str, Any]:
    version = rng.choice(_VERSIONS)
    tags = (f"{version}.0", f"v{version}", f"{version}-final", f"0{version}")
    return {
        "service": application(rng),
        "replicas": rng.randint(2, 3),
        "version": version,
        "tag": rng.choice(tags),
        "older": rng.choice([other for other in _VERSIONS if other != version]),
    }


def _image_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    yield scenario_checks.image(inspector, name, f"web:{facts['version']}")
    yield inspector.holds(checks.running(name, facts["replicas"]))


# -- a program that exits at once ----------------------------------------------------------------------


def _crash(rng: Random) -> dict[str, Any]:
    size = rng.choice((24, 32, 48, 64))
    return {
        "service": rng.choice(("cache", "sessions", "queue", "counters")),
        "size": size,
        "wrong": rng.choice((f"{size}megs", f"{size}mbyte", f"{size}.5mb")),
    }


def _crash_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, size = facts["service"], facts["size"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(name, 1))
    spec = (inspector.service(name) or {})["Spec"]["TaskTemplate"]["ContainerSpec"]
    lasting = "maxmemory" in " ".join([*(spec.get("Command") or ()), *(spec.get("Args") or ())])
    lasting = lasting or bool(spec.get("Configs"))
    yield Verdict(
        lasting, f"the next task of {name} would {'have its limit too' if lasting else 'have no limit'}"
    )
    for task in inspector.running(name)[:1]:
        said = scenario_checks.inside(inspector, task, "redis-cli config get maxmemory").stdout.split()
        limit = int(said[-1]) if said and said[-1].isdecimal() else 0
        right = limit in (size * 2**20, size * 10**6)
        yield Verdict(right, f"{name} itself says that its limit is {limit / 2**20:.0f} MB (0: none)")


# -- an update that stands still ----------------------------------------------------------------------


def _update(rng: Random) -> dict[str, Any]:
    old, other = rng.sample(_VERSIONS, 2)
    return {"service": application(rng), "replicas": rng.randint(2, 3), "old": old, "other": other}


def _break_update(lab: Cluster, facts: Facts) -> None:
    create = "docker service create --detach --name <service> --replicas <replicas> web:<old>"
    run(lab, (("manager1", create),), facts)
    lab.wait(checks.running(facts["service"], facts["replicas"]))
    run(lab, (("manager1", "docker service update --detach --image web:broken <service>"),), facts)


def _update_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    yield scenario_checks.image(inspector, name, f"web:{facts['old']}")
    tasks = inspector.running(name)
    others = sorted({task.image for task in tasks if not task.image.endswith(f"web:{facts['old']}")})
    yield Verdict(not others, f"tasks run another image: {', '.join(others)}" if others else "no mixture")
    yield inspector.holds(checks.running(name, facts["replicas"]))
    service = inspector.snapshot.service(name)
    state = service.update if service else ""
    yield Verdict("paused" not in state, f"the last update of {name} is {state.replace('_', ' ') or 'none'}")


# -- a health check that asks at the wrong door -------------------------------------------------------


def _health(rng: Random) -> dict[str, Any]:
    return {
        "service": application(rng),
        "replicas": rng.randint(1, 2),
        "wrong": rng.choice((8080, 8000, 3000, 5000)),
    }


def _health_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    found = inspector.service(name) or {}
    container = found["Spec"]["TaskTemplate"]["ContainerSpec"]
    kind, *test = (container.get("Healthcheck") or {}).get("Test") or ["NONE"]
    yield Verdict(kind != "NONE", f"{name} has {'a' if kind != 'NONE' else 'no'} health check")
    yield inspector.holds(checks.running(name, facts["replicas"]))
    if kind == "NONE":
        return
    for task in inspector.running(name)[:1]:
        notices = not _passes_without_a_server(
            inspector, task, test if kind == "CMD" else ["sh", "-c", *test]
        )
        text = f"where no server answers, the check {'fails' if notices else 'passes all the same'}"
        yield Verdict(notices, text)


def _passes_without_a_server(inspector: Inspector, task: Task, check: list[str]) -> bool:
    """Run a health check with the files of a task's container, but in a network where nothing listens."""
    pid = f"docker inspect --format '{{{{.State.Pid}}}}' {scenario_checks.container(task)}"
    command = f'unshare --net nsenter --target "$({pid})" --mount {shlex.join(check)}'
    return inspector.run(task.node, command).exit_code == 0


SCENARIOS = {
    "missing-image": Scenario(
        title="A new application doesn't start on any node",
        story="Version <version> of the application web was supposed to go live as the service <service>, "
        "with <replicas> replicas. Its tasks keep failing on every node. Get version <version> "
        "running.",
        draw=_image,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --quiet --name <service> --replicas <replicas> web:<tag> "
                "2>&1",
            )
        ),
        points=_image_points,
        why="Swarm keeps trying to pull an image that doesn't exist, and only the task's error says so",
        hints=(
            "docker service ps --no-trunc <service> shows why each task failed.",
            "The registry has web:1, web:2, and web:3. Which image does the service ask for?",
            hints.says,
        ),
        solution=(("manager1", "docker service update --detach --image web:<version> <service>"),),
    ),
    "crash-loop": Scenario(
        title="A service starts every few seconds and never stays up",
        story="The service <service> is a Redis that may use <size> MB of memory. Redis itself has to "
        "enforce this limit, with its setting maxmemory. Since the service's command was last "
        "changed, it starts, exits, and starts again. Repair it, and make sure that the limit is in "
        "effect.",
        draw=_crash,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> redis "
                "redis-server --protected-mode no --maxmemory <wrong>",
            )
        ),
        points=_crash_points,
        why="Swarm knows that a program ended and with which exit code, but only the program's log says why",
        hints=(
            "docker service ps <service> says that the task exited, and no more. What did the program print?",
            "docker service logs <service>: read the line after FATAL.",
            "docker service update --args replaces everything that follows the image's name.",
            hints.command,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach "
                "--args 'redis-server --protected-mode no --maxmemory <size>mb' <service>",
            ),
        ),
    ),
    "paused-update": Scenario(
        title="An update has started and doesn't finish",
        story="Somebody started an update of <service>, and it doesn't finish. One of the <replicas> tasks "
        "is no longer what it was. The team says that web:<old> worked well. Go back to it, with all "
        "tasks.",
        draw=_update,
        breaks=_break_update,
        points=_update_points,
        why="a paused update protects the rest of your tasks, and then waits for you to decide",
        hints=(
            "docker service inspect --pretty <service> has a section called UpdateStatus.",
            "There's a command that takes a service back to the way it was before its last update.",
            hints.says,
        ),
        solution=(("manager1", "docker service rollback --detach <service>"),),
    ),
    "health-check": Scenario(
        title="A service never becomes ready and is killed over and over",
        story="The tasks of <service> start without an error but are killed a few seconds later. There "
        "should be <replicas> of them. Its web server is fine: it listens on port 80 of its "
        "container. The service needs a health check that really checks that.",
        draw=_health,
        breaks=by(
            (
                "manager1",
                "docker service create --detach --name <service> --replicas <replicas> "
                "--health-cmd 'wget -q -O /dev/null http://127.0.0.1:<wrong>/ || exit 1' "
                "--health-interval 1s --health-timeout 1s --health-retries 2 nginx",
            )
        ),
        points=_health_points,
        why="a wrong health check kills healthy tasks, and without one, a task that hangs counts as running",
        hints=(
            "docker service ps --no-trunc <service>: who decides that the tasks aren't well?",
            "docker service inspect --format '{{json .Spec.TaskTemplate.ContainerSpec.Healthcheck}}' "
            "<service>",
            "docker service update has an option --health-cmd.",
            hints.health,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach "
                "--health-cmd 'wget -q -O /dev/null http://127.0.0.1:80/ || exit 1' <service>",
            ),
        ),
    ),
}
