"""Scenarios about nodes: which are in the swarm, in which role, and which decide."""

from collections.abc import Iterator
from random import Random
from typing import Any

from labkit.cluster.cluster import Cluster
from labkit.course.exam import hints, scenario_checks
from labkit.course.exam.scenario import NODES, Facts, Scenario, application, ident, run
from labkit.course.exam.scenario_checks import JOIN, TOKEN
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_WORKERS = ("worker1", "worker2")
_REMOVE_DOWN = (
    "docker node ls --format '{{.ID}} {{.Status}}' | awk '$2 == \"Down\" {print $1}' "
    "| xargs --no-run-if-empty docker node rm"
)
# A new manager takes a moment to copy the state; one that is stopped before is broken.
_UNTIL_IT_ANSWERS = "until docker node ls >/dev/null 2>&1; do :; done"

# The new key reaches each manager on its own; one that restarts before needs none.
_UNTIL_ENCRYPTED = "until grep -q ENCRYPTED /var/lib/docker/swarm/certificates/swarm-node.key; do :; done"


# -- a worker that became a manager -------------------------------------------------------------------


def _node(rng: Random) -> dict[str, Any]:
    return {"node": rng.choice(_WORKERS)}


def _break_role(lab: Cluster, facts: Facts) -> Facts:
    promote = f"docker swarm join-token --quiet manager >{TOKEN}\ndocker node promote <node>"
    run(lab, (("manager1", promote), ("<node>", _UNTIL_IT_ANSWERS)), facts)
    lab.wait(checks.managers(2))
    return {"ident": ident(lab, facts["node"])}


def _role_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield from scenario_checks.members(inspector, *NODES)
    yield inspector.holds(checks.role(facts["node"], "worker"))
    yield scenario_checks.same_member(inspector, facts["node"], facts["ident"])
    yield inspector.holds(checks.managers(1))
    yield inspector.holds(checks.manager_status("manager1", "leader"))
    yield scenario_checks.token(inspector)


# -- a node that cannot join --------------------------------------------------------------------------


def _break_join(lab: Cluster, facts: Facts) -> None:
    rotate = (
        f"docker swarm join-token --quiet worker >{TOKEN}\ndocker swarm join-token --rotate --quiet worker"
    )
    run(lab, (("manager1", rotate), ("<node>", "docker swarm leave")), facts)
    lab.wait(checks.node_down(facts["node"]))


def _join_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield from scenario_checks.members(inspector, *NODES)
    yield inspector.holds(checks.role(facts["node"], "worker"))
    yield scenario_checks.token(inspector)


# -- entries of nodes that are no more ----------------------------------------------------------------


def _stale(rng: Random) -> dict[str, Any]:
    return {
        "node": rng.choice(_WORKERS),
        "service": application(rng),
        "key": rng.choice(("disk", "zone", "tier")),
        "value": rng.choice(("a1", "b2", "c3")),
    }


def _break_entries(lab: Cluster, facts: Facts) -> None:
    before = (
        "docker node update --label-add <key>=<value> <node>\n"
        "docker service create --detach --name <service> --constraint node.labels.<key>==<value> nginx\n"
        f"docker swarm join-token --quiet worker >{TOKEN}"
    )
    again = ("<node>", f"docker swarm leave\n{JOIN}")
    run(lab, (("manager1", before), again, again, ("manager1", f"rm {TOKEN}")), facts)
    lab.wait(
        checks.node_ready(facts["node"]),
        lambda now: Verdict(sum(node.status == "down" for node in now.nodes) == 2, "two entries are down"),
    )


def _entries_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield from scenario_checks.members(inspector, *NODES)
    if (gone := scenario_checks.there(inspector, facts["service"])) is not None:
        yield gone
        return
    yield inspector.holds(checks.label(facts["node"], facts["key"], facts["value"]))
    yield inspector.holds(checks.running(facts["service"], 1))
    yield scenario_checks.only_on(inspector, facts["service"], facts["node"])


# -- managers without a majority ----------------------------------------------------------------------


def _quorum(rng: Random) -> dict[str, Any]:
    other, worker = rng.sample(_WORKERS, 2)
    survivor, lost = rng.sample(("manager1", other), 2)
    return {
        "service": application(rng),
        "replicas": rng.randint(2, 3),
        "other": other,
        "worker": worker,
        "survivor": survivor,
        "lost": lost,
    }


def _break_quorum(lab: Cluster, facts: Facts) -> Facts:
    before = (
        "docker service create --detach --name <service> --replicas <replicas> nginx\n"
        "docker node promote <other>"
    )
    run(lab, (("manager1", before), ("<other>", _UNTIL_IT_ANSWERS)), facts)
    lab.wait(checks.managers(2), checks.running(facts["service"], facts["replicas"]))
    found = {"ident": ident(lab, facts["service"])}
    lab.node(facts["lost"]).kill()
    return found


def _quorum_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield inspector.holds(checks.managers(1))
    yield inspector.holds(checks.manager_status(facts["survivor"], "leader"))
    yield from scenario_checks.members(inspector, facts["survivor"], facts["worker"])
    if (gone := scenario_checks.same(inspector, facts["service"], facts["ident"])) is not None:
        yield gone
        return
    yield inspector.holds(checks.running(facts["service"], facts["replicas"]))


# -- a manager that is locked -------------------------------------------------------------------------


def _locked(rng: Random) -> dict[str, Any]:
    node, helper = rng.sample(NODES, 2)
    return {"node": node, "helper": helper}


def _break_lock(lab: Cluster, facts: Facts) -> Facts:
    run(lab, (("manager1", "docker node promote worker1 worker2"),), facts)
    run(lab, tuple((name, _UNTIL_IT_ANSWERS) for name in _WORKERS), facts)
    lab.wait(checks.managers(3))
    run(lab, (("manager1", "docker swarm update --autolock=true"), ("<node>", _UNTIL_ENCRYPTED)), facts)
    node = lab.node(facts["node"])
    found = {"ident": ident(lab, node.name)}
    node.kill()
    node.start()
    # The others may have to elect a leader first.
    lab.wait(checks.swarm_locked(node.name), checks.manager_status(node.name, "unreachable"))
    return found


def _locked_points(inspector: Inspector, facts: Facts) -> Iterator[Verdict]:
    yield inspector.holds(checks.swarm_active(facts["node"]))
    yield scenario_checks.same_member(inspector, facts["node"], facts["ident"])
    yield inspector.holds(checks.managers(3))
    yield from scenario_checks.members(inspector, *NODES)
    locks = scenario_checks.locks(inspector)
    yield Verdict(locks, f"managers are {'locked' if locks else 'not locked'} after a restart")


SCENARIOS = {
    "second-manager": Scenario(
        title="Changes fail whenever either of two machines restarts",
        story="<node> was set up anew last week, as a worker, by a script that takes its token from the file "
        f"{TOKEN}. Since then nothing in the swarm can be changed while <node> restarts. Only manager1 is to "
        "decide. Put <node> right without taking it out of the swarm, and see to it that the script does it "
        "right the next time.",
        draw=_node,
        breaks=_break_role,
        points=_role_points,
        why="two managers are worse than one: each of them can stop the swarm, and a token decides the role",
        hints=(
            "docker node ls: look at the column MANAGER STATUS.",
            "A role can be changed while the node stays. And which token does the script use?",
            f"docker node demote on a manager; docker swarm join-token --quiet worker >{TOKEN}",
            hints.role,
        ),
        solution=(
            ("manager1", f"docker node demote <node>\ndocker swarm join-token --quiet worker >{TOKEN}"),
        ),
    ),
    "refused-join": Scenario(
        title="A machine that was set up anew stays outside",
        story="<node> was set up anew. A script should have taken it back in as a worker, with the token in "
        f"the file {TOKEN}, and failed. Bring it back: three ready machines, each listed once. The script "
        "has to work the next time.",
        draw=_node,
        breaks=_break_join,
        points=_join_points,
        why="a token that was rotated no longer opens the door, and scripts that keep copies notice it last",
        hints=(
            "Is the token in the file still the one that docker swarm join-token worker shows?",
            "Write the present token to the file, then join with it, on <node>.",
            "docker node ls still has an entry from before. docker node rm with the ID removes it.",
            hints.joining,
        ),
        solution=(
            ("manager1", f"docker swarm join-token --quiet worker >{TOKEN}"),
            ("<node>", JOIN),
            ("manager1", _REMOVE_DOWN),
        ),
    ),
    "stale-entries": Scenario(
        title="The list of machines is longer than the row of machines",
        story="There are three machines, and the swarm lists more. Since <node> was set up anew, <service> "
        "does not run either: it belongs on <node>, for which the team once noted <key>=<value>. Tidy up "
        "the list and get <service> to run there. The rule of the service is right.",
        draw=_stale,
        breaks=_break_entries,
        points=_entries_points,
        why="to the swarm a machine that joins again is a new one: labels stay with the entry that is dead",
        hints=(
            "docker node ls: which entries are Down? They share a name with one that is Ready.",
            "docker node rm takes an ID, too. The names alone do not tell the entries apart.",
            "docker node inspect --pretty ID shows the labels of each. What has the new entry?",
            hints.entries,
        ),
        solution=(
            (
                "manager1",
                "docker node update --label-add <key>=<value> "
                "$(docker node ls --format '{{.ID}} {{.Hostname}} {{.Status}}' "
                '| awk \'$2 == "<node>" && $3 == "Ready" {print $1}\')\n'
                f"{_REMOVE_DOWN}",
            ),
        ),
    ),
    "lost-quorum": Scenario(
        title="A machine burned, and now nothing can be changed",
        story="<lost> burned last night and will not come back: do not start it again. The swarm had two "
        "managers, <lost> and <survivor>. Now every docker command about it fails. Save it: <survivor> is "
        "its only manager, <worker> a worker, <lost> is no longer listed, and <service> runs its "
        "<replicas> tasks. A new swarm would lose everything, so keep this one.",
        draw=_quorum,
        breaks=_break_quorum,
        points=_quorum_points,
        why="without a majority nobody can decide, and only you may say that the lost managers will not "
        "return",
        hints=(
            "Run docker node ls on <survivor>. How many managers does a majority of two need?",
            "docker swarm init --help has an option for a swarm whose majority is gone for good.",
            "The entry of the machine that burned is still listed. docker node rm has an option for such.",
            hints.quorum,
        ),
        solution=(
            (
                "<survivor>",
                "docker swarm init --force-new-cluster --advertise-addr eth0\ndocker node rm --force <lost>",
            ),
        ),
    ),
    "locked-manager": Scenario(
        title="A manager came back after a restart and does not take part",
        story="All three machines are managers. <node> was restarted, and since then it takes no part in the "
        "swarm. Bring it back as the manager that it was. The security team wants managers to stay protected "
        "as they are, so do not weaken that.",
        draw=_locked,
        breaks=_break_lock,
        points=_locked_points,
        why="with autolock, a stolen disk is of no use to the thief; the key has to be at hand when you "
        "need it",
        hints=(
            "Run docker node ls on <node> itself, and read the error to its end.",
            "The key is known to the managers that are unlocked: docker swarm unlock-key, on one of those.",
            "docker swarm unlock on <node> reads the key from a terminal, or from its input.",
            hints.lock,
        ),
        solution=(
            ("<helper>", "docker swarm unlock-key --quiet >/lab/unlock-key"),
            ("<node>", "docker swarm unlock </lab/unlock-key\nrm /lab/unlock-key"),
        ),
    ),
}
