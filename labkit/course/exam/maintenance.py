"""Scenarios about maintenance: an update under load, a task history that grows."""

from collections.abc import Iterator
from random import Random
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import Facts, Scenario, application, applications, ident, run
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_COUNTS = "/tmp/counts"
# Asks its neighbour without a pause; the file holds how many requests there were, and how many had no answer.
_ASK = f"""asked=0 lost=0
while :; do
    if curl --silent --fail --output /dev/null --max-time 3 http://tasks.$0/; then :
    elif [ $asked -gt 0 ]; then lost=$((lost + 1)); echo "request $asked had no answer"
    else continue; fi
    asked=$((asked + 1))
    echo $asked $lost >{_COUNTS}
    sleep 0.1
done"""


# -- an update under load -----------------------------------------------------------------------------


def _load(rng: Random) -> dict[str, Any]:
    service, client = applications(rng, 2)
    old, new = rng.sample(("1", "2", "3"), 2)
    return {"service": service, "client": client, "old": old, "new": new, "replicas": rng.randint(2, 3)}


def _break_load(lab: Cluster, facts: Facts) -> Facts:
    create = (
        "docker network create --driver overlay front\n"
        "docker service create --detach --name <service> --network front --replicas <replicas> "
        "--update-parallelism 0 --update-order stop-first web:<old>\n"
        f"docker service create --detach --name <client> --network front toolbox sh -c '{_ASK}' <service>"
    )
    run(lab, (("manager1", create),), facts)
    service, client = facts["service"], facts["client"]
    snapshot = lab.wait(checks.running(service, facts["replicas"]), checks.running(client, 1))
    (task,) = (task for task in snapshot.tasks if task.service == client)
    return {"task": task.id}


def _load_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, client = facts["service"], facts["client"]
    for service in (name, client):
        if (gone := scenario_checks.there(inspector, service)) is not None:
            yield gone
            return
    yield scenario_checks.image(inspector, name, f"web:{facts['new']}")
    yield inspector.holds(checks.running(name, facts["replicas"]))
    old = [task.name for task in inspector.running(name) if not task.image.endswith(f"web:{facts['new']}")]
    yield Verdict(not old, f"tasks of another version: {', '.join(old) or 'none'}")
    asking = [task for task in inspector.running(client) if task.id == facts["task"]]
    if not asking:
        yield Verdict(False, f"{client} was replaced, so its count is lost: begin the scenario again")
        return
    counts = scenario_checks.inside(inspector, asking[0], f"cat {_COUNTS}").stdout.split()
    asked, lost = (int(word) for word in counts) if len(counts) == 2 else (0, 0)
    after = "" if not lost else ": begin the scenario again"
    yield Verdict(
        asked > 0 and not lost, f"{client} asked {asked} times and had no answer {lost} times{after}"
    )


# -- a history that grows -----------------------------------------------------------------------------


def _history(rng: Random) -> dict[str, Any]:
    return {
        "service": application(rng),
        "replicas": rng.randint(1, 2),
        "limit": rng.choice((20, 30, 50)),
        "keep": rng.randint(1, 2),
    }


def _break_history(lab: Cluster, facts: Facts) -> Facts:
    create = (
        "docker swarm update --task-history-limit <limit>\n"
        "docker service create --detach --name <service> --replicas <replicas> nginx\n"
        "for run in 1 2 3 4 5; do\n"
        "docker service update --detach --update-parallelism 0 --env-add RUN=$run <service>\n"
        "done"
    )
    run(lab, (("manager1", create),), facts)
    lab.wait(checks.running(facts["service"], facts["replicas"]))
    return {"ident": ident(lab, facts["service"])}


def _history_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    name, keep = facts["service"], facts["keep"]
    limit = scenario_checks.history_limit(inspector)
    told = f"the swarm keeps up to {limit} tasks of each replica, the current one included"
    yield Verdict(0 <= limit <= keep + 1, told)
    if (gone := scenario_checks.same(inspector, name, facts["ident"])) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(name, facts["replicas"]))
    most = scenario_checks.old_tasks(inspector, name)
    yield Verdict(most <= keep, f"docker service ps {name} lists up to {most} old tasks of a replica")


SCENARIOS = {
    "no-request-lost": Scenario(
        title="A new version has to go live while customers are using the old one",
        story="<client> calls <service> several times per second, by the name tasks.<service>. Update "
        "<service> from web:<old> to web:<new>, with <replicas> tasks as before. <client> counts: not"
        " one of its requests may be lost. (docker service logs <client> lists those that were.) Last"
        " time, somebody simply changed the image, and for a few seconds nobody got an answer.",
        draw=_load,
        breaks=_break_load,
        points=_load_points,
        why="an update loses requests if it stops the old tasks before new ones are ready to answer",
        hints=(
            "How is <service> updated? docker service inspect --pretty <service> has a section called "
            "UpdateConfig.",
            "A parallelism of 0 means all at once. And in which order are tasks stopped and started?",
            "docker service update takes --update-parallelism, --update-order, and --image in a single "
            "command.",
            hints.update,
        ),
        solution=(
            (
                "manager1",
                "docker service update --detach --update-parallelism 1 --update-order start-first "
                "--image web:<new> <service>",
            ),
        ),
    ),
    "task-history": Scenario(
        title="The list of a service's tasks fills the screen",
        story="docker service ps <service> fills the screen with tasks that ended long ago. From now on, "
        "the swarm must keep no more than <keep> old tasks per replica, besides the current one, for all "
        "services. Get the list of <service> down to that as well, without removing the service.",
        draw=_history,
        breaks=_break_history,
        points=_history_points,
        why="managers keep old tasks in memory, and a long list hides the line that you're looking for",
        hints=(
            "It's a setting of the whole swarm: docker swarm update --help.",
            "A manager tidies up a replica's list whenever something happens to that replica.",
            "docker service update --force replaces tasks without changing anything else.",
            hints.history,
        ),
        solution=(
            (
                "manager1",
                "docker swarm update --task-history-limit <keep>\n"
                "docker service update --detach --force <service>",
            ),
        ),
    ),
}
