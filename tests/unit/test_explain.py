"""How services and nodes of recorded swarms stand, in plain words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from labkit.swarm.explain import explain, troubles
from labkit.swarm.model import Port, Snapshot, Task
from labkit.util.errors import LabError
from tests.recorded import NO_SWARM, recorded


def said(recording: str, name: str) -> list[str]:
    return explain(recorded(recording), name).splitlines()


def changed(snapshot: Snapshot, service: str, **fields: object) -> Snapshot:
    """The snapshot with other values in one of its services."""
    services = tuple(
        replace(found, **fields) if found.name == service else found  # type: ignore[arg-type]
        for found in snapshot.services
    )
    return replace(snapshot, services=services)


def with_tasks(snapshot: Snapshot, service: str, tasks: Sequence[Task]) -> Snapshot:
    """The snapshot with these tasks in place of those of one service."""
    others = tuple(task for task in snapshot.tasks if task.service != service)
    return replace(snapshot, tasks=(*others, *tasks))


def of(snapshot: Snapshot, service: str) -> list[Task]:
    return [task for task in snapshot.tasks if task.service == service]


def test_a_service_that_runs_says_where_and_that_all_is_well() -> None:
    assert said("services", "web") == [
        "web (base:1): 4 replicas wanted, 4 of 4 running.",
        "  manager1 runs 1",
        "  worker1 runs 2",
        "  worker2 runs 1",
        "Everything is as it should be.",
    ]


def test_a_global_service_counts_the_nodes_that_it_is_meant_for() -> None:
    first, *_ = said("drained", "everywhere")
    assert first == "everywhere (base:1): one task on each suitable node wanted, 2 of 2 running."


def test_a_constraint_that_no_node_meets_is_named_with_what_nodes_have_and_the_way_out() -> None:
    assert said("services", "pending") == [
        "pending (base:1): 1 replica wanted, 0 of 1 running.",
        "pending.1 waits for a node: no node meets its constraints.",
        "  it asks for node.labels.disk==ssd: no node fits "
        "(manager1 has none, worker1 has none, worker2 has none)",
        "  docker node update --label-add disk=ssd NODE adds that label to a node",
    ]


def test_a_constraint_that_some_node_meets_is_not_to_blame() -> None:
    snapshot = changed(
        recorded("services"), "pending", constraints=("node.labels.disk==ssd", "node.role != worker")
    )
    assert (
        "  it asks for node.role != worker: manager1 fits "
        "(manager1 has manager, worker1 has worker, worker2 has worker)" in explain(snapshot, "pending")
    )


def test_nodes_that_are_closed_and_nodes_that_are_down_need_different_things() -> None:
    drained, down = said("drained", "pending"), said("manager-unreachable", "pending")
    assert "  worker1 is on drain: docker node update --availability active NODE reopens one" in drained
    assert "  worker2 is down: it has to come back, or other nodes have to take over" in down
    assert not any("availability active" in line for line in down)


def test_a_reservation_is_held_against_what_nodes_have_left() -> None:
    snapshot = recorded("pending-and-failed")
    assert "not reserved yet: unknown" in explain(snapshot, "big")  # this recording leaves nodes' memory out
    nodes = tuple(replace(node, memory=8 * 2**30) for node in snapshot.nodes)
    busy = changed(replace(snapshot, nodes=nodes), "web", memory=3 * 2**30)
    assert (
        "  each task reserves 900.0 GiB memory; not reserved yet: "
        "manager1 has 5.0 GiB, worker1 has 5.0 GiB, worker2 has 5.0 GiB" in explain(busy, "big")
    )


def test_a_port_in_host_mode_is_told_with_who_else_has_it() -> None:
    taken = "no suitable node (host-mode port already in use on 3 nodes)"
    port = (Port(9100, 80, "tcp", "host"),)
    snapshot = changed(changed(recorded("services"), "pending", ports=port), "everywhere", ports=port)
    snapshot = with_tasks(
        snapshot, "pending", [replace(task, message=taken) for task in of(snapshot, "pending")]
    )
    assert explain(snapshot, "pending").splitlines()[1:] == [
        "pending.1 waits for a node: its port is in use on every node.",
        "  it publishes port 9100 in host mode, and so does everywhere: only one task per node can use it",
    ]


def dropped(**fields: object) -> Snapshot:
    """The recorded service that no node fits was updated, and worker2 fits now; with other values in it."""
    snapshot = recorded("services")
    (task,) = of(snapshot, "pending")
    revised = {"constraints": ("node.hostname==worker2",), "revised": True, "changed": task.changed + 5}
    return changed(snapshot, "pending", **revised | fields)


def test_a_pending_task_that_swarm_has_dropped_is_to_be_replaced() -> None:
    assert explain(dropped(), "pending").splitlines()[1:] == [
        "pending.1 stays pending although worker2 could run it: Swarm doesn't look at it again.",
        "  pending was updated while no node could run it, so Swarm's scheduler dropped it",
        "  docker service update --force pending replaces it (moby issue 53722)",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"revised": False},
        {"changed": 0.0},  # before the task was created
        {"constraints": ("node.labels.disk==ssd",)},  # no node fits yet
    ],
)
def test_a_pending_task_that_waits_with_reason_is_not_called_dropped(fields: dict[str, object]) -> None:
    first, *_ = explain(dropped(**fields), "pending").splitlines()[1:]
    assert first == "pending.1 waits for a node: no node meets its constraints."


def test_a_task_that_was_made_a_moment_ago_is_not_called_dropped() -> None:
    snapshot = dropped()
    (task,) = of(snapshot, "pending")
    latest = max(each.changed for each in (*snapshot.services, *snapshot.tasks))
    updated = changed(snapshot, "pending", changed=latest + 0.3)  # by its update, which has paused
    new = replace(task, created=latest, changed=latest + 0.1)
    assert "doesn't look" not in explain(with_tasks(updated, "pending", [new]), "pending")


def test_tasks_that_crash_are_counted_and_lead_to_their_logs() -> None:
    lines = said("pending-and-failed", "crash")
    assert "4 of its tasks ended: exit code 3." in lines
    assert "  what it printed before it ended: docker service logs crash" in lines


def test_an_image_that_is_nowhere_leads_to_its_name() -> None:
    assert "  check the image's name, nosuch:1: docker service update --image IMAGE nope" in said(
        "pending-and-failed", "nope"
    )


def crashed(snapshot: Snapshot, **fields: object) -> Snapshot:
    """The recorded swarm of four tasks of `web`, the first of which has failed."""
    first, *others = of(snapshot, "web")
    failed = replace(
        first,
        **{"state": "failed", "desired_state": "shutdown", "message": "task: non-zero exit (137)"} | fields,  # type: ignore[arg-type]
    )
    return with_tasks(snapshot, "web", [failed, *others])


def test_a_task_that_was_killed_is_not_sent_to_its_logs() -> None:
    lines = explain(crashed(recorded("services")), "web").splitlines()
    assert "1 of its tasks ended: exit code 137." in lines
    assert (
        "  it was killed by a person, by a program, or by the kernel because its node ran out of memory"
        in lines
    )
    assert any("it won't be replaced" in line for line in lines)
    assert "Everything is as it should be." not in lines


def test_what_has_healed_is_history_and_no_trouble() -> None:
    snapshot = recorded("services")
    snapshot = with_tasks(snapshot, "web", [*of(snapshot, "web"), *of(crashed(snapshot), "web")[:1]])
    assert troubles(snapshot, "web") == []
    *_, before, last = explain(snapshot, "web").splitlines()
    assert before == "Before, 1 of its tasks ended: exit code 137. Replacements are running now."
    assert last == "Everything is as it should be."


def test_a_task_that_has_done_its_work_is_no_failure() -> None:
    snapshot = changed(recorded("services"), "web", replicas=1)
    done = replace(of(snapshot, "web")[0], state="complete", desired_state="shutdown", message="finished")
    lines = explain(with_tasks(snapshot, "web", [done]), "web").splitlines()
    assert lines[1:] == [
        "1 of its tasks completed, with exit code 0, and its restart policy doesn't start another."
    ]


def test_an_update_under_way_says_how_far_it_is() -> None:
    lines = said("half-updated", "web")
    assert lines[-2:] == [
        "The update is in progress: update in progress.",
        "  2 of 4 tasks that run are of web:2",
    ]


def test_an_update_that_hangs_names_the_way_back() -> None:
    snapshot = changed(recorded("half-updated"), "web", update="paused", update_message="a task failed")
    lines = explain(snapshot, "web").splitlines()
    assert "The update is paused: a task failed." in lines
    assert any(line.startswith("  docker service rollback web undoes it") for line in lines)
    assert "Everything is as it should be." not in lines


def test_a_task_held_back_says_so() -> None:
    lines = said("manager-unreachable", "web")
    assert sum("waits for its turn" in line for line in lines) == 2


def test_a_service_scaled_to_nothing_wants_nothing() -> None:
    snapshot = changed(with_tasks(recorded("services"), "web", []), "web", replicas=0)
    assert "It is scaled to 0, so no tasks should run." in explain(snapshot, "web")


def test_a_node_tells_what_it_takes_and_runs() -> None:
    assert said("services", "manager1") == [
        "manager1: a manager, ready, as manager leader, availability active.",
        "It accepts new tasks.",
        "Tasks there: everywhere (running), web.3 (running).",
    ]
    assert "It's drained: it accepts no tasks" in explain(recorded("drained"), "worker1")


def test_a_node_that_is_down_takes_nothing() -> None:
    lines = said("manager-unreachable", "worker2")
    assert "It accepts new tasks." not in lines
    assert any(line.startswith("It has not reported for a while") for line in lines)
    assert any("counts for the quorum" in line for line in lines)


def test_what_is_not_there_is_an_error_with_the_names_that_are() -> None:
    with pytest.raises(LabError, match="it has everywhere, pending, web, manager1"):
        explain(recorded("services"), "wbe")
    with pytest.raises(LabError, match="lost their quorum"):
        explain(recorded("quorum-lost"), "web")
    with pytest.raises(LabError, match="there is no swarm yet"):
        explain(NO_SWARM, "web")


def test_every_service_and_node_of_every_recording_can_be_explained() -> None:
    for name in ("services", "overlays", "half-updated", "pending-and-failed", "three-managers", "drained"):
        snapshot = recorded(name)
        for thing in [
            *[service.name for service in snapshot.services],
            *[node.name for node in snapshot.nodes],
        ]:
            lines = explain(snapshot, thing).splitlines()
            assert all(line.strip() for line in lines)


# -- what goes wrong on swarms today, each recorded when a real swarm of Docker 26.1 had it -----------------


def test_a_full_network_is_counted_with_who_has_its_addresses_and_two_ways_out() -> None:
    assert said("network-full", "web") == [
        "web (web:1): 20 replicas wanted, 9 of 20 running.",
        "  manager1 runs 4",
        "  worker1 runs 3",
        "  worker2 runs 2",
        "web.2, web.3, web.4, web.5, web.9 and 6 more wait for an address on small, which has none left.",
        "15 of its tasks ended: node is missing network attachments, ip addresses may be exhausted.",
        "  their nodes found no address left for their load balancers on one of its networks",
        "small (10.9.9.0/28) is too small: it has 13 addresses for tasks, services, and nodes, "
        "and 13 are in use: 9 tasks of web, the virtual IP of web and a load balancer on manager1, worker1 "
        "and worker2.",
        "  everything that should run there needs 24: 20 tasks, 1 virtual IP and 3 load balancers",
        "  a network keeps its size: run fewer tasks (docker service scale web=9) or move web to a larger "
        "one (a /24 by default):",
        "  docker network create -d overlay NEW",
        "  docker service update --update-order start-first --network-rm small --network-add NEW web",
        "Before, 1 of its tasks ended: node is missing network attachments, ip addresses may be exhausted. "
        "Replacements are running now.",
    ]


def test_tasks_without_an_address_are_not_blamed_on_a_network_with_room() -> None:
    snapshot = recorded("network-full")
    larger = replace(snapshot, networks=tuple(replace(found, addresses=253) for found in snapshot.networks))
    lines = explain(larger, "web").splitlines()
    assert "  if it takes longer, the log of the engine on manager1 says why" in lines
    assert not any("too small" in line for line in lines)


def test_an_image_behind_a_password_leads_to_the_registry_and_to_who_has_it() -> None:
    assert said("registry-password", "shop")[-4:] == [
        "8 of its tasks ended: no such image: registry:5003/shop/web:1.",
        "  check the image's name, registry:5003/shop/web:1: docker service update --image IMAGE shop",
        "  it runs on manager1, so the image exists, but worker1 and worker2 couldn't pull it",
        "  if the registry asks for a password: docker login registry:5003, "
        "then docker service update --with-registry-auth shop",
    ]


def test_a_port_that_a_container_has_is_one_reason_however_often_it_happened() -> None:
    assert said("host-ports", "edge")[3:5] == [
        "4 of its tasks ended: Bind for 0.0.0.0:9200 failed: port is already allocated.",
        "  something that isn't a service has port 9200 on worker1: docker ps there shows it",
    ]


def test_a_recorded_port_in_host_mode_names_the_service_that_has_it() -> None:
    assert said("host-ports", "second")[1:] == [
        "second.1 waits for a node: its port is in use on every node.",
        "  it publishes port 9100 in host mode, and so does first: only one task per node can use it",
    ]


def test_nodes_without_the_label_the_room_or_the_place_say_what_they_have() -> None:
    assert "  docker node update --label-add disk=ssd NODE adds that label to a node" in said(
        "no-room", "label"
    )
    assert said("no-room", "room")[-1] == (
        "  each task reserves 900.0 GiB memory; not reserved yet: "
        "manager1 has 23.5 GiB, worker1 has 23.5 GiB, worker2 has 23.5 GiB"
    )
    assert said("no-room", "max")[-3:] == [
        "max.4 waits for a node: every node has its maximum of replicas.",
        "  at most 1 on a node: add nodes, or",
        "  docker service update --replicas-max-per-node NUMBER max",
    ]


def test_recorded_tasks_that_swarm_has_dropped_are_told_from_one_that_it_took() -> None:
    for name in ("c", "sc"):  # a label was added to one, the other was scaled, while worker2 was away
        assert f"  docker service update --force {name} replaces it (moby issue 53722)" in said(
            "dropped", name
        )
    assert said("dropped", "control")[-1] == "Everything is as it should be."


def test_a_health_check_that_never_passes_is_shown_even_if_the_program_ends_with_0() -> None:
    assert said("unhealthy", "sick")[-4:] == [
        "3 of its tasks completed, with exit code 0.",
        "  a task that fails its health check is stopped, and its program may then exit with 0",
        "  it runs echo database unreachable; exit 1",
        "  what it printed: docker inspect --format '{{json .State.Health.Log}}' b4163443d7ce on worker2",
    ]


def test_a_health_check_that_has_not_passed_yet_is_shown() -> None:
    assert said("unhealthy", "slow")[1:] == [
        "slow.1 on worker1 is starting: if it has a health check, that has not passed yet.",
        "  it runs exit 1",
        "  what it printed: docker inspect --format '{{json .State.Health.Log}}' b27b3e7b1a22 on worker1",
    ]


def test_a_task_over_its_limit_of_memory_is_told_how_to_make_sure_and_what_to_change() -> None:
    assert said("out-of-memory", "hungry")[1:5] == [
        "3 of its tasks ended: exit code 137.",
        "  it was killed: the kernel kills a process that exceeds its limit, 16 MiB of memory",
        "  this prints true if memory was the reason: "
        "docker inspect --format '{{.State.OOMKilled}}' f239a4c389eb on manager1",
        "  to give it more: docker service update --limit-memory SIZE hungry",
    ]


def test_a_network_whose_subnet_overlaps_is_named_with_the_subnets_in_use() -> None:
    assert said("subnet-overlaps", "onov2")[1:] == [
        "onov2.1 waits for an address on ov2, which has no subnet.",
        "  the requested subnet overlaps another one, or the default address pool is used up",
        "  in use: ov1 10.78.0.0/24; ingress 10.0.0.0/24",
        "  docker network create -d overlay --subnet SUBNET NEW, with one that is free",
        "  docker service update --update-order start-first --network-rm ov2 --network-add NEW onov2",
    ]
