"""Scenarios about data and secrets."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import NODES, Facts, Scenario, application, ident, run
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Json
from labkit.swarm.parse import seconds

_PASSWORD = "/lab/new-password"


# -- a volume that stayed behind ----------------------------------------------------------------------


def _elsewhere(rng: Random) -> dict[str, Any]:
    return {
        "service": rng.choice(("ledger", "diary", "guestbook", "journal")),
        "volume": rng.choice(("lines", "pages", "entries", "records")),
        "node": rng.choice(NODES),
        "lines": rng.randint(3, 9),
    }


def _break_volume(lab: Cluster, facts: Facts) -> None:
    write = (
        "docker volume create <volume>\n"
        "seq --format 'entry %.0f' <lines> >/var/lib/docker/volumes/<volume>/_data/lines"
    )
    create = (
        "docker node update --availability drain <node>\n"
        "docker service create --detach --name <service> "
        "--mount type=volume,source=<volume>,target=/data counter"
    )
    run(lab, (("<node>", write), ("manager1", create)), facts)
    lab.wait(checks.running(facts["service"], 1))
    run(lab, (("manager1", "docker node update --availability active <node>"),), facts)


def _volume_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, node = facts["service"], facts["node"]
    if (gone := scenario_checks.there(inspector, name)) is not None:
        yield gone
        return
    yield inspector.holds(checks.pinned(name, node))
    yield inspector.holds(checks.running(name, 1))
    yield scenario_checks.only_on(inspector, name, node)
    for task in inspector.running(name)[:1]:
        shown = scenario_checks.inside(inspector, task, "cat /data/lines").stdout.splitlines()
        old = sum(line.startswith("entry ") for line in shown)
        yield Verdict(old == facts["lines"], f"{name} shows {old} of {facts['lines']} entries")
    for other in NODES:
        yield inspector.holds(checks.availability(other, "active"))


# -- a secret to rotate -------------------------------------------------------------------------------


def _secret(rng: Random) -> dict[str, Any]:
    service, version = application(rng), rng.randint(1, 7)
    return {
        "service": service,
        "replicas": rng.randint(2, 3),
        "old": f"{service}_password_{version}",
        "new": f"{service}_password_{version + 1}",
        "target": rng.choice(("password", "db_password", "api_key")),
        "word": "".join(rng.choices("abcdefghkmnpqrstuvwxyz23456789", k=16)),
    }


def _break_secret(lab: Cluster, facts: Facts) -> Facts:
    create = (
        "printf leaked | docker secret create <old> -\n"
        f"printf <word> >{_PASSWORD}\n"
        "docker service create --detach --name <service> --replicas <replicas> "
        "--secret source=<old>,target=<target> nginx"
    )
    run(lab, (("manager1", create),), facts)
    snapshot = lab.wait(checks.running(facts["service"], facts["replicas"]))
    return {"ident": ident(lab, facts["service"]), "since": max(task.changed for task in snapshot.tasks)}


def _secret_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name = facts["service"]
    if (gone := scenario_checks.same(inspector, name, facts["ident"])) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(name, facts["replicas"]))
    tasks = inspector.running(name)
    for task in tasks:
        held = scenario_checks.inside(inspector, task, f"cat /run/secrets/{facts['target']}").stdout.strip()
        known = {facts["word"]: "the new", "leaked": "the old"}.get(held, "another" if held else "no")
        yield Verdict(held == facts["word"], f"{task.name} has {known} password in {facts['target']}")
    kept = inspector.secret(facts["old"]) is not None
    yield Verdict(not kept, f"the secret {facts['old']} {'is still there' if kept else 'is gone'}")
    gap = without(inspector.manager.tasks(filters={"service": name}), facts["since"])
    text = "at least one task was always running" if gap <= 0 else f"no task ran for {gap:.1f} s: begin again"
    yield Verdict(gap <= 0, text)


def without(tasks: Iterable[Json], since: float) -> float:
    """For how many seconds in a row none of a service's tasks ran, after a moment when all did.

    `tasks` as the engine's API gives them.
    """
    task_histories = []
    for entry in tasks:
        changed, state = seconds(entry["Status"]["Timestamp"]), entry["Status"]["State"]
        if state == "running":
            task_histories.append((changed, float("inf")))
        elif entry["Status"].get("ContainerStatus"):  # it ran; when it began is not kept
            task_histories.append((seconds(entry["CreatedAt"]), changed))
    covered, gap = since, 0.0
    for begin, end in sorted(task_histories):
        gap, covered = max(gap, begin - covered), max(covered, end)
    return gap


SCENARIOS = {
    "data-elsewhere": Scenario(
        title="An application has forgotten everything since last night",
        story="<node> was in maintenance last night. Since then, <service> has been showing an empty page, "
        "although it had <lines> entries. The maintenance is over, and all nodes are supposed to be "
        "in use. Bring the entries back, and make sure that <service> can't lose them this way again:"
        " it belongs on <node>.",
        draw=_elsewhere,
        breaks=_break_volume,
        points=_volume_points,
        why="a local volume stays on its node, and the task starts elsewhere with an empty volume of that"
        " name",
        hints=(
            "Where is the task of <service> running? Which nodes have a volume of that name? docker volume "
            "ls",
            "The entries are in the volume on <node>. A constraint can keep the service there.",
            "docker service update --constraint-add, with node.hostname.",
            hints.volume,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach --constraint-add node.hostname==<node> <service>",
            ),
        ),
    ),
    "leaked-secret": Scenario(
        title="A password has leaked and has to be replaced at once",
        story=f"The password of <service> has leaked. A new one is in the file {_PASSWORD}. The program "
        "reads its password from /run/secrets/<target>, and that must not change. Give it the new "
        "password, and delete the old one from the swarm. The service has customers, so at least one "
        "of its <replicas> tasks has to be running at every moment.",
        draw=_secret,
        breaks=_break_secret,
        points=_secret_points,
        why="you can't change a secret, only replace it; a service can switch to the new one task by task",
        hints=(
            "docker secret ls. You can't change a secret, so what else can you do?",
            "docker service update takes --secret-rm and --secret-add in a single command.",
            "--secret-add takes source=NAME,target=NAME: its name in the swarm, and its name in the "
            "container.",
            hints.secret,
        ),
        solution=(
            (
                "manager1",
                f"docker secret create <new> {_PASSWORD}\n"
                "docker service update --detach --secret-rm <old> "
                "--secret-add source=<new>,target=<target> <service>\n"
                "until docker secret rm <old> 2>/dev/null; do sleep 1; done",
            ),
        ),
    ),
}
