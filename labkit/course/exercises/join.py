"""Chapter 2, join and manage nodes."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict


def _saved_version(inspector: Inspector) -> Iterator[Verdict]:
    saved = inspector.file("/lab/worker2-version")
    if saved is None:
        yield Verdict(False, "there's no file /lab/worker2-version yet")
        return
    worker = inspector.node("worker2")
    version = worker["Description"]["Engine"]["EngineVersion"] if worker else None
    yield Verdict(saved == version, f"/lab/worker2-version says '{saved}'; worker2 runs {version}")


def _is_labelled(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.label("worker2", "disk", "ssd"))
    yield inspector.holds(checks.label_nowhere_else("worker2", "disk", "ssd"))


def _all_back(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.nodes_ready(3))
    yield inspector.holds(checks.listed_once())
    yield inspector.holds(checks.role("worker1", "worker"))
    yield from _is_labelled(inspector)


def _handed_over(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.manager_status("worker1", "leader"))
    yield inspector.holds(checks.managers(1))
    yield inspector.holds(checks.role("manager1", "worker"))
    yield inspector.holds(checks.nodes_ready(3))
    yield inspector.holds(checks.listed_once())
    oldest = min(inspector.manager.nodes(), key=lambda entry: str(entry["CreatedAt"]))
    stayed = oldest["Description"]["Hostname"] == "manager1"
    yield Verdict(stayed, f"manager1 {'was' if stayed else 'was not'} in this swarm all the time")


def _what_the_file_says(inspector: Inspector) -> str:
    saved = inspector.file("/lab/worker2-version")
    if saved is None:
        return "There's no file yet. --format prints a field of the JSON, and > writes it to a file."
    return f"The file starts with '{saved[:30]}'. Let --format print just that one field of worker2."


def _which_labels_there_are(inspector: Inspector) -> str:
    told = [
        f"{node.name} {key}={value}"
        for node in inspector.snapshot.nodes
        for key, value in node.labels.items()
    ]
    return (
        f"Labels right now: {', '.join(told) or 'none'}. docker node update takes --label-add KEY=VALUE or "
        "--label-rm KEY, followed by the node."
    )


def _who_leads(inspector: Inspector) -> str:
    leader = next(
        (node.name for node in inspector.snapshot.nodes if node.manager_status == "leader"), "nobody"
    )
    managers = [node.name for node in inspector.snapshot.nodes if node.role == "manager"]
    if managers == ["manager1"]:
        return (
            "A swarm can't be without a manager, so promote the new one first, and then demote the old one."
        )
    return (
        f"Managers: {', '.join(managers)}; the leader is {leader}. Demote on one that answers docker node ls."
    )


def _what_worker1_believes(inspector: Inspector) -> str:
    believed = inspector.snapshot.engines["worker1"].swarm
    return f"worker1 itself believes that its swarm is {believed}. A node can be in only one swarm." + (
        " So let it leave first: docker swarm leave, on worker1." if believed == "active" else " Let it join."
    )


EXERCISES = {
    1: Exercise(
        task="Write the version of worker2's engine, and nothing else, to /lab/worker2-version",
        points=_saved_version,
        why="scripts and inventories need single fields, and --format prints them without another tool",
        hints=(
            "Look at the whole JSON: docker node inspect worker2. Where do you see a version?",
            "Under Description, then Engine, then EngineVersion. A path in --format starts with a dot.",
            _what_the_file_says,
        ),
        drill=True,
    ),
    2: Exercise(
        task="Give worker2 the label disk=ssd",
        points=_is_labelled,
        why="labels are how you tell the scheduler what only you know about a node",
        hints=(
            "A label is in the part of a node that you can change. Which subcommand of docker node "
            "changes it, and on which node do you run it?",
            "docker node update --help lists the options. One of them adds a label.",
            _which_labels_there_are,
        ),
    ),
    3: Exercise(
        task="Bring back worker1 as a worker: three ready nodes, each listed once; label worker2 again",
        points=_all_back,
        why="a node that was removed by force doesn't know about it, and looks healthy from the inside",
        hints=(
            "Ask worker1 what it believes: docker system info | grep Swarm",
            _what_worker1_believes,
            "Leave and join on worker1, with the token in /lab/worker-token. Then label worker2.",
        ),
    ),
    4: Exercise(
        task="Hand the swarm over: worker1 is its only manager, manager1 a worker, and all three are ready",
        points=_handed_over,
        why="servers get replaced, and a swarm moves to new managers without stopping a single container",
        hints=(
            "A swarm is never without a manager. What does that mean for the order of promote and demote?",
            _who_leads,
        ),
    ),
}
