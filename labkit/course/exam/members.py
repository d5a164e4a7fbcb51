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
        title="Changes fail whenever either of two nodes restarts",
        story="<node> was reinstalled last week, as a worker, by a script that reads its token from the "
        f"file {TOKEN}. Since then, nothing in the swarm can be changed while <node> restarts. "
        "manager1 is supposed to be the only manager. Fix <node> without taking it out of the swarm, "
        "and make sure that the script does the right thing next time.",
        draw=_node,
        breaks=_break_role,
        points=_role_points,
        why="with two managers, losing either one blocks every change; the join token decides the role",
        hints=(
            "docker node ls: look at the column MANAGER STATUS.",
            "You can change a node's role while it stays in the swarm. And which token does the script use?",
            f"docker node demote on a manager; docker swarm join-token --quiet worker >{TOKEN}",
            hints.role,
        ),
        solution=(
            ("manager1", f"docker node demote <node>\ndocker swarm join-token --quiet worker >{TOKEN}"),
        ),
    ),
    "refused-join": Scenario(
        title="A reinstalled node stays outside of the swarm",
        story="<node> was reinstalled. A script tried to bring it back into the swarm as a worker, with the"
        f" token in the file {TOKEN}, and failed. Bring it back: three ready nodes, each listed once. "
        "The script has to work next time.",
        draw=_node,
        breaks=_break_join,
        points=_join_points,
        why="once a token has been rotated, the old one lets nobody in, and scripts that keep a copy of it "
        "are the last to notice",
        hints=(
            "Is the token in the file the one that docker swarm join-token worker shows?",
            "Write the current token to the file, and then join with it, on <node>.",
            "docker node ls still shows an entry from before. docker node rm with the ID removes it.",
            hints.joining,
        ),
        solution=(
            ("manager1", f"docker swarm join-token --quiet worker >{TOKEN}"),
            ("<node>", JOIN),
            ("manager1", _REMOVE_DOWN),
        ),
    ),
    "stale-entries": Scenario(
        title="The list of nodes is longer than it should be",
        story="There are three nodes, but the swarm lists more. Since <node> was reinstalled, <service> "
        "isn't running either. It belongs on <node>, which the team had given the label "
        "<key>=<value>. Clean up the list, and get <service> running there. The constraint of the "
        "service is right.",
        draw=_stale,
        breaks=_break_entries,
        points=_entries_points,
        why="to Swarm, a node that joins again is a new node: its labels stay with the dead entry",
        hints=(
            "docker node ls: which entries are Down? They share their name with one that is Ready.",
            "docker node rm also takes an ID. The names alone don't tell the entries apart.",
            "docker node inspect --pretty ID shows the labels of each entry. Which labels does the new one "
            "have?",
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
        title="A server burned down, and now nothing can be changed",
        story="<lost> burned down last night and won't come back, so don't start it again. The swarm had "
        "two managers, <lost> and <survivor>, and now every docker command about the swarm fails. "
        "Save it: <survivor> as its only manager, <worker> as a worker, <lost> no longer listed, and "
        "<service> with its <replicas> tasks. With a new swarm, everything would be lost, so keep "
        "this one.",
        draw=_quorum,
        breaks=_break_quorum,
        points=_quorum_points,
        why="without a majority, no manager may decide, and only you can know that the lost ones won't "
        "return",
        hints=(
            "Run docker node ls on <survivor>. How many managers does a majority of two need?",
            "docker swarm init --help lists an option for a swarm whose majority is gone for good.",
            "The server that burned down is still listed. docker node rm removes an entry that isn't Ready "
            "anymore.",
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
        title="A manager came back after a restart and doesn't take part",
        story="All three nodes are managers. <node> was restarted, and since then it hasn't taken part in "
        "the swarm. Bring it back as the manager that it was. The security team wants the managers to"
        " stay protected the way they are, so don't weaken that.",
        draw=_locked,
        breaks=_break_lock,
        points=_locked_points,
        why="with autolock, a stolen disk doesn't reveal the swarm's secrets, but you need the key at hand",
        hints=(
            "Run docker node ls on <node> itself, and read the whole error message.",
            "The managers that are unlocked know the key: run docker swarm unlock-key on one of them.",
            "docker swarm unlock, on <node>, reads the key from the terminal or from its input.",
            hints.lock,
        ),
        solution=(
            ("<helper>", "docker swarm unlock-key --quiet >/lab/unlock-key"),
            ("<node>", "docker swarm unlock </lab/unlock-key\nrm /lab/unlock-key"),
        ),
    ),
}
