"""The placement picture in words."""

from labkit.plots.arrangement import Arrangement, Column, Entry
from labkit.swarm.reasons import label_of_update
from labkit.util.text import counted, listed

NOTES = {
    None: "Each engine is on its own until one of them creates a swarm: docker swarm init.",
    False: "No manager can list the tasks now. Those on running nodes keep running.",
}


def title(quorum: bool | None, plan: Arrangement) -> str:
    """How many of the tasks are running, or why there is nothing to say."""
    if quorum is None:
        return "There is no swarm yet"
    if not quorum:
        return "The managers have lost their quorum"
    if not plan.services:
        members = sum(bool(column.status) for column in plan.columns)  # of the swarm
        return f"{counted(members, 'node')}, no services yet"
    return f"{_headline(plan)}{_stopping(plan)}"


def _stopping(plan: Arrangement) -> str:
    """How many tasks are shutting down: they're drawn, but don't count as running."""
    count = sum(tile.count for column in plan.columns for tile in column.tiles if tile.state == "stopping")
    return f"; {counted(count, 'old task')} {'is' if count == 1 else 'are'} stopping" if count else ""


def _headline(plan: Arrangement) -> str:
    """How many of the tasks are running."""
    wanted = sum(entry.wanted for entry in plan.services)
    running = sum(min(entry.running, entry.wanted) for entry in plan.services)  # an update may run more
    nodes = counted(sum(any(not tile.state for tile in column.tiles) for column in plan.columns), "node")
    if not wanted:
        return "No tasks are supposed to run"
    if running < wanted:
        return f"{running} of {counted(wanted, 'task')} {'runs' if wanted == 1 else 'run'} on {nodes}"
    return f"{f'All {wanted} tasks run' if wanted > 1 else 'The only task runs'} on {nodes}"


def narrate(quorum: bool | None, plan: Arrangement) -> str:
    """The whole picture, one line per node and service; the first sentence says whether all tasks run."""
    waiting = sum(len(row.labels) for row in plan.waiting)
    failed = sum(failures.count for column in plan.columns for failures in column.failures)
    down = [column.name for column in plan.columns if column.status == "down"]
    troubles = [
        title(quorum, plan),
        *(f"{entry.name} is being updated" for entry in plan.services if entry.update == "updating"),
        f"{listed(down)} {'is' if len(down) == 1 else 'are'} down" if down else "",
        f"{counted(waiting, 'task')} {'waits' if waiting == 1 else 'wait'} for a node" if waiting else "",
        f"{counted(failed, 'task')} failed" if failed else "",
    ]
    lines = [
        "; ".join(filter(None, troubles)) + ".",
        NOTES.get(quorum, ""),
        *(_of_column(column) for column in plan.columns),
        _of_engines(plan),
        *(f"Waiting for a node: {listed(row.labels)}, because {row.reason}." for row in plan.waiting),
        *(_of_entry(entry) for entry in plan.services),
    ]
    return "\n".join(filter(None, lines))


def _of_column(column: Column) -> str:
    about = (column.role, column.part, column.status, column.availability, column.condition)
    told = ", ".join(word for word in about if word and word != "active")
    if not column.status:
        return f"{column.name}: {told if column.condition else f'{told}, on'.removeprefix(', ')}."
    tiles = listed([tile.text for tile in column.tiles]) or "no tasks"
    failed = "".join(
        f" Failed: {counted(failures.count, 'task')} of {failures.service}, the last by: {failures.reason}."
        for failures in column.failures
    )
    return f"{column.name} ({told}): {tiles}.{failed}"


def _of_engines(plan: Arrangement) -> str:
    """Which version of Docker runs where; empty if all nodes have the same version."""
    nodes: dict[str, list[str]] = {}
    for column in plan.columns:
        if column.docker:
            nodes.setdefault(column.docker, []).append(column.name)
    if len(nodes) < 2:
        return ""
    versions = (f"{version} on {listed(names)}" for version, names in sorted(nodes.items()))
    return f"Docker versions: {'; '.join(versions)}."


def _of_entry(entry: Entry) -> str:
    about = ", ".join(filter(None, [entry.image, entry.mode, label_of_update(entry.update)]))
    return f"Service {entry.name} ({about}): {entry.running} of {entry.wanted} run."
