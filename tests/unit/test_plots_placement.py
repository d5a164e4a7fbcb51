"""The picture of placement: what it shows of recorded swarms and of big ones, and how it says it."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.plots import DARK, LIGHT, describe, describe_placement, placement
from labkit.plots.arrangement import LONGEST, Column, Tile, arrange
from labkit.plots.theme import Theme
from labkit.swarm.model import Engine, Service, Snapshot, Task
from labkit.swarm.reasons import why_it_failed, why_it_waits
from tests.pictures import faults, looks_as_before, texts
from tests.recorded import EMPTY, NO_SWARM, RECORDINGS, enlarged, recorded


def crowded() -> Snapshot:
    """Long names and messages, many services, many that wait, fail and leave, on nodes in all conditions."""
    services = tuple(
        Service(
            f"s{number}", f"a-service-with-a-long-name-{number}", "registry:5000/team/image:2-bookworm", 9
        )
        for number in range(20)
    )
    tasks = tuple(
        Task(
            id=f"t{number}",
            service=f"a-service-with-a-long-name-{number % 20}",
            slot=number,
            node=("worker1", "worker2", "worker3", "")[number % 4],
            state=("running", "preparing", "failed", "pending", "starting")[number % 5],
            desired_state=("running", "shutdown")[number % 7 == 0],
            message="an error that goes on and on, as errors do: " * 3,
            image=f"registry:5000/team/image:{number % 3}-bookworm",
        )
        for number in range(80)
    )
    nodes = enlarged(12, 0).nodes
    conditions = [("drain", "ready"), ("pause", "down"), ("active", "unknown"), ("active", "down")]
    nodes = tuple(
        replace(node, availability=conditions[place % 4][0], status=conditions[place % 4][1])
        for place, node in enumerate(nodes)
    )
    engines = {"worker1": Engine("worker1", "paused"), "worker2": Engine("worker2", "running", "inactive")}
    return Snapshot(engines, nodes, services, tasks, quorum=True)


def column(snapshot: Snapshot, name: str) -> Column:
    return next(column for column in arrange(snapshot).columns if column.name == name)


def with_docker(snapshot: Snapshot, **versions: str) -> Snapshot:
    """With other engines on some nodes."""
    nodes = (replace(node, docker=versions.get(node.name, node.docker)) for node in snapshot.nodes)
    return replace(snapshot, nodes=tuple(nodes))


def with_task(snapshot: Snapshot, **changes: object) -> Snapshot:
    """With one more task of `web`, like its first."""
    first = next(task for task in snapshot.tasks if task.service == "web")
    return replace(snapshot, tasks=(*snapshot.tasks, replace(first, id="more", slot=9, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_swarm_is_drawn_without_faults(name: str) -> None:
    assert faults(placement(recorded(name))) == []


@pytest.mark.parametrize(
    "snapshot",
    [
        enlarged(3, 15),
        enlarged(3, 24),
        enlarged(10, 300),
        enlarged(5, 60),
        enlarged(1, 4),
        crowded(),
        NO_SWARM,
        EMPTY,
    ],
    ids=["3x15", "3x24", "10x300", "5x60", "1x4", "crowded", "no swarm", "nothing"],
)
def test_swarms_of_all_sizes_are_drawn_without_faults(snapshot: Snapshot) -> None:
    assert faults(placement(snapshot)) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", ["half-updated", "pending-and-failed", "manager-unreachable", "quorum-lost"])
def test_it_looks_as_before(name: str, theme: Theme, tmp_path: Path) -> None:
    looks_as_before(placement(recorded(name), theme=theme), f"placement-{name}-{theme.name}", tmp_path)


def test_a_big_swarm_looks_as_before(tmp_path: Path) -> None:
    looks_as_before(placement(enlarged(10, 300)), "placement-10x300", tmp_path)


def test_a_column_tells_what_is_known_of_a_node() -> None:
    words = texts(placement(recorded("manager-unreachable")))
    assert {"manager1", "★ leader", "✓ ready", "active"} <= {*words}
    assert {"worker2", "✗ unreachable", "✗ down", "✗ off"} <= {*words}
    assert "drain" in texts(placement(recorded("drained")))


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (Engine("worker9", "exited"), "✗ off"),
        (Engine("worker9", "paused"), "✗ frozen"),
        (Engine("worker9", "running", "inactive"), "in no swarm"),
        (Engine("worker9", "running", "active"), "not in the list"),  # after `docker node rm --force`
        (Engine("worker9", "running", "unknown"), "✗ no answer"),
        (Engine("worker9", "running", "locked"), "locked"),
    ],
)
def test_a_machine_that_is_not_in_the_swarm_has_a_column_too(engine: Engine, told: str) -> None:
    snapshot = recorded("three-nodes")
    words = texts(placement(replace(snapshot, engines={**snapshot.engines, "worker9": engine})))
    assert words[words.index("worker9") + 1] == told


def test_a_machine_that_has_just_gone_off_is_told_before_the_swarm_notices() -> None:
    snapshot = recorded("three-nodes")
    engines = {**snapshot.engines, "worker1": Engine("worker1", "exited")}
    snapshot = replace(snapshot, engines=engines)
    assert column(snapshot, "worker1").status == "ready"
    assert "✗ off" in texts(placement(snapshot))


def test_nodes_stand_in_the_order_in_which_people_count() -> None:
    names = [column.name for column in arrange(enlarged(12, 0)).columns]
    assert names == ["manager1", *(f"worker{number}" for number in range(1, 12))]


def test_half_updated_both_images_are_told() -> None:
    snapshot = recorded("half-updated")
    assert column(snapshot, "worker1").tiles == (Tile("web", "web.2", "", "web:2", current=True),)
    assert [tile.image for tile in column(snapshot, "worker2").tiles] == ["web:1", "web:1"]
    assert {"web:1", "web:2"} <= {*texts(placement(snapshot))}


def test_the_image_is_not_told_while_all_tasks_run_the_same() -> None:
    tiles = [tile for column in arrange(recorded("overlays")).columns for tile in column.tiles]
    assert len(tiles) == 9
    assert {tile.image for tile in tiles} == {""}


@pytest.mark.parametrize(
    ("state", "desired", "told"),
    [
        ("running", "running", ""),
        ("preparing", "running", "preparing"),
        ("assigned", "ready", "assigned"),
        ("running", "shutdown", "stopping"),
        ("running", "remove", "stopping"),
        ("complete", "complete", "done"),
        ("orphaned", "shutdown", "lost"),
    ],
)
def test_a_task_that_does_not_just_run_tells_its_state(state: str, desired: str, told: str) -> None:
    snapshot = with_task(recorded("three-managers"), node="worker1", state=state, desired_state=desired)
    assert column(snapshot, "worker1").tiles[-1] == Tile("web", "web.9", told)


@pytest.mark.parametrize(
    ("state", "desired"),
    [("shutdown", "shutdown"), ("complete", "shutdown"), ("shutdown", "remove"), ("failed", "running")],
)
def test_history_is_not_drawn(state: str, desired: str) -> None:
    snapshot = recorded("three-managers")
    more = with_task(snapshot, node="worker1", state=state, desired_state=desired)
    assert column(more, "worker1").tiles == column(snapshot, "worker1").tiles


def test_tasks_of_a_node_that_is_down_are_lost() -> None:
    tiles = column(recorded("manager-unreachable"), "worker2").tiles
    assert [tile.text for tile in tiles] == ["everywhere lost", "web.1 lost", "web.2 lost"]


def test_a_removed_service_leaves_only_tasks_that_stop() -> None:
    snapshot = recorded("three-managers")
    tasks = tuple(replace(task, desired_state="remove") for task in snapshot.tasks)
    plan = arrange(replace(snapshot, services=(), tasks=tasks))
    assert [tile.text for tile in plan.columns[0].tiles] == ["removed.1 stopping"]
    assert faults(placement(replace(snapshot, services=(), tasks=tasks))) == []


def test_tasks_that_wait_tell_why() -> None:
    words = texts(placement(recorded("pending-and-failed")))
    assert "4 tasks waiting for a node" in words
    assert {"big.1", "big.2", "ssd.1", "ssd.2"} <= {*words}
    assert {"no node has enough free resources", "no node meets its constraints"} <= {*words}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "no suitable node (scheduling constraints not satisfied on 3 nodes)",
            "no node meets its constraints",
        ),
        ("no suitable node (missing plugin on 1 node)", "no node has its plugin"),
        ("no suitable node (max replicas per node limit exceed)", "every node has its maximum of replicas"),
        (
            "no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)",
            "no node is suitable: 2 without enough free resources, 1 not accepting new tasks",
        ),
        ("no suitable node", "no node is suitable"),
        ("no suitable node (something new on 2 nodes)", "something new on 2 nodes"),
        (
            "no suitable node (something new on 2 nodes; missing plugin on 1 node)",
            "something new on 2 nodes; missing plugin on 1 node",
        ),
        ("pending task scheduling", "about to be scheduled"),
        ("", "about to be scheduled"),
        ("network sandbox not found", "network sandbox not found"),
    ],
)
def test_why_a_task_waits_in_plain_words(said: str, words: str) -> None:
    assert why_it_waits(said) == words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("task: non-zero exit (3)", "exit code 3"),
        ("task: non-zero exit (137): dockerexec: unhealthy container", "exit code 137: unhealthy"),
        ("No such image: nosuch:1", "no such image: nosuch:1"),
        ("starting container failed: no port", "starting container failed: no port"),
    ],
)
def test_why_a_task_failed_in_fewer_words(said: str, words: str) -> None:
    assert why_it_failed(said) == words


def test_failed_tasks_are_counted_by_node_and_service_with_the_last_error() -> None:
    failures = column(recorded("pending-and-failed"), "manager1").failures
    assert [(each.service, each.count, each.reason) for each in failures] == [
        ("crash", 2, "exit code 3"),
        ("nope", 2, "no such image: nosuch:1"),
    ]
    assert "✗ 2 failed: crash" in texts(placement(recorded("pending-and-failed")))
    later = with_task(
        recorded("three-managers"), node="worker1", state="failed", message="the last", changed=2e9
    )
    earlier = with_task(later, node="worker1", state="failed", message="one before", changed=1e9)
    assert [(each.count, each.reason) for each in column(earlier, "worker1").failures] == [(2, "the last")]


def test_services_tell_their_image_replicas_and_update() -> None:
    words = texts(placement(recorded("half-updated")))
    assert {"web", "4/4", "web:2 · updating"} <= {*words}
    assert {"0/2", "3/3"} <= {*texts(placement(recorded("pending-and-failed")))}
    assert "base:1 · global" in texts(placement(recorded("services")))


def test_a_column_that_would_be_too_long_counts_alike_tasks() -> None:
    just = enlarged(1, LONGEST)
    assert len(column(just, "manager1").tiles) == LONGEST
    more = column(enlarged(3, 72), "worker1")
    assert [(tile.label, tile.count) for tile in more.tiles] == [
        ("api × 6", 6),
        ("cache × 6", 6),
        ("db × 6", 6),
        ("web × 6", 6),
    ]


def test_counted_tasks_are_apart_by_state_and_image() -> None:
    snapshot = enlarged(1, 40, services=["web"])
    changed = [replace(task, state="starting", image="base:2") for task in snapshot.tasks[:3]]
    tiles = column(replace(snapshot, tasks=(*changed, *snapshot.tasks[3:])), "manager1").tiles
    assert {(tile.label, tile.state, tile.image) for tile in tiles} == {
        ("web × 3", "starting", "base:2"),
        ("web × 37", "", "base:1"),
    }


def test_the_order_does_not_depend_on_that_of_the_answers() -> None:
    for snapshot in (recorded("pending-and-failed"), enlarged(3, 24)):
        tasks = list(snapshot.tasks)
        random.Random(7).shuffle(tasks)
        assert arrange(replace(snapshot, tasks=tuple(tasks))) == arrange(snapshot)


def test_slots_are_in_the_order_of_their_numbers() -> None:
    labels = [tile.label for tile in column(enlarged(1, 12, services=["web"]), "manager1").tiles]
    assert labels == [f"web.{slot}" for slot in range(1, 13)]


def test_its_size_does_not_change_with_each_task() -> None:
    snapshot = recorded("three-managers")
    more = with_task(snapshot, node="worker1")
    waiting = with_task(snapshot, node="", state="pending", message="no suitable node")
    sizes = {placement(each, steady=True).size for each in (snapshot, more, waiting)}
    assert len(sizes) == 1


def zoned() -> Snapshot:
    """A swarm whose nodes are in two zones, but for one."""
    snapshot = recorded("overlays")
    zones = {"manager1": {"zone": "b"}, "worker1": {"zone": "a"}, "worker2": {}}
    return replace(snapshot, nodes=tuple(replace(node, labels=zones[node.name]) for node in snapshot.nodes))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_zones_look_as_before(theme: Theme, tmp_path: Path) -> None:
    looks_as_before(placement(zoned(), by="zone", theme=theme), f"placement-zones-{theme.name}", tmp_path)


def test_nodes_stand_in_the_frame_of_their_label() -> None:
    picture = placement(zoned(), by="zone")
    assert faults(picture) == []
    words = texts(picture)
    assert [word for word in words if "zone" in word] == ["zone = a", "zone = b", "no zone"]
    assert [word for word in words if word in ("manager1", "worker1", "worker2")] == [
        "worker1",
        "manager1",
        "worker2",
    ]
    assert describe_placement(zoned(), by="node.labels.zone").endswith(
        "zone = a: worker1.\nzone = b: manager1.\nno zone: worker2."
    )


def test_tasks_that_are_stopping_are_not_counted_as_running() -> None:
    snapshot = with_task(recorded("services"), node="worker1", state="running", desired_state="shutdown")
    assert "; 1 old task is stopping" in describe_placement(snapshot).splitlines()[0]


def test_nobody_waiting_takes_little_room() -> None:
    assert "No task waits for a node" in texts(placement(recorded("overlays")))
    assert placement(recorded("overlays"), steady=True).size[1] - placement(recorded("overlays")).size[1] > 40


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("overlays", "All 9 tasks run on 3 nodes."),
        ("half-updated", "All 4 tasks run on 3 nodes; web is being updated."),
        (
            "pending-and-failed",
            "3 of 9 tasks run on 3 nodes; 4 tasks wait for a node; 7 tasks failed.",
        ),
        ("manager-unreachable", "4 of 7 tasks run on 2 nodes; worker2 is down; 1 task waits for a node."),
        ("three-nodes", "3 nodes, no services yet."),
        ("quorum-lost", "The managers have lost their quorum."),
    ],
)
def test_the_description_begins_with_the_conclusion(name: str, words: str) -> None:
    picture = placement(recorded(name))
    assert picture.headline == words
    assert describe(picture) == describe_placement(recorded(name))


def test_an_engine_in_no_swarm_is_no_node() -> None:
    swarm = recorded("three-nodes")
    assert placement(replace(swarm, nodes=swarm.nodes[:1])).headline == "1 node, no services yet."


def test_the_description_tells_each_node_and_service() -> None:
    assert describe_placement(recorded("pending-and-failed")).splitlines()[3:] == [
        "worker2 (worker, ready): crash.1 assigned and web.3. Failed: 1 task of crash, the last by:"
        " exit code 3. Failed: 1 task of nope, the last by: no such image: nosuch:1.",
        "Waiting for a node: big.1 and big.2, because no node has enough free resources.",
        "Waiting for a node: ssd.1 and ssd.2, because no node meets its constraints.",
        "Service big (web:1): 0 of 2 run.",
        "Service crash (toolbox:latest): 0 of 1 run.",
        "Service nope (nosuch:1): 0 of 1 run.",
        "Service ssd (web:1): 0 of 2 run.",
        "Service web (web:1): 3 of 3 run.",
    ]


def test_one_more_task_than_wanted_hides_none_that_is_missing() -> None:
    """As while an update starts the new task before it stops the old one."""
    snapshot = recorded("overlays")
    more = with_task(snapshot, node="worker1")
    fewer = replace(more, tasks=tuple(task for task in more.tasks if task.service != "cache"))
    assert describe_placement(more).startswith("All 9 tasks run")
    assert describe_placement(fewer).startswith("8 of 9 tasks run")


def test_without_a_swarm_the_machines_are_told() -> None:
    assert describe_placement(NO_SWARM).splitlines() == [
        "There is no swarm yet.",
        "Each engine is on its own until one of them creates a swarm: docker swarm init.",
        "manager1: in no swarm.",
        "worker1: off.",
        "worker2: frozen.",
    ]


def test_without_a_quorum_the_managers_that_are_on_are_told() -> None:
    assert describe_placement(recorded("quorum-lost")).splitlines()[2:] == [
        "manager1: manager, on.",
        "worker1: off.",
        "worker2: off.",
    ]


def test_each_node_shows_its_engines_version() -> None:
    mixed = with_docker(recorded("three-nodes"), manager1="20.10.24", worker2="28.5.2")
    picture = placement(mixed)
    shown = [text for text in texts(picture) if text.startswith("Docker ")]
    assert shown == ["Docker 20.10.24", "Docker 26.1.5", "Docker 28.5.2"]
    narrow = placement(mixed, width=500)  # the board beside a notebook
    assert {"20.10.24", "26.1.5", "28.5.2"} <= set(texts(narrow))
    assert faults(picture) == faults(narrow) == []


def test_different_engines_are_told_and_equal_ones_are_not() -> None:
    mixed = with_docker(recorded("three-nodes"), worker2="28.5.2")
    assert "Docker versions: 26.1.5 on manager1 and worker1; 28.5.2 on worker2." in describe_placement(mixed)
    assert "Docker versions" not in describe_placement(recorded("three-nodes"))
