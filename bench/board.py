"""Times the live board: a snapshot, an event until the board shows it, a board at rest, 500 real changes.

.venv/bin/python bench/board.py [REPEATS]

A snapshot is held against `docker node ls`, `service ls` and `service ps` as processes. An event counts from
its own time stamp, in the node's engine, to the repainted picture; what the browser adds is not in it.
"""

import gc
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from labkit import Lab, checks, plots
from labkit.observe import watcher
from labkit.observe.recording import Frame
from labkit.util.console import ProgressReporter
from labkit.widgets.board import Board

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.recorded import enlarged  # noqa: E402

LAB = "bench"
TASKS = 24
IDLE_SECONDS = 30.0
CHANGES = 500


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    lab = Lab(LAB).up(swarm=True, reporter=ProgressReporter(quiet=True))
    try:
        manager = lab.node("manager1")
        manager.run(f"docker service create --detach --name web --replicas {TASKS} web:1", quiet=True)
        lab.wait(checks.running("web", TASKS), timeout=180)
        snapshots(lab, repeats)
        board = lab.board()
        frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        with watcher.subscribe(lab, frames.put):  # is called after the board
            at_rest(frames)
            latencies(lab, board, frames, repeats)
            memory(lab, frames)
        board.close()
        left = [thread.name for thread in threading.enumerate() if "labkit-follow" in thread.name]
        print(f"threads left behind: {len(left)}")
    finally:
        lab.down()
    big(repeats)


def report(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(f"{what:<52} median {1000 * statistics.median(times):6.1f} ms   p95 {1000 * p95:6.1f} ms")


def snapshots(lab: Lab, repeats: int) -> None:
    manager = lab.node("manager1").container.name
    commands = (["node", "ls"], ["service", "ls"], ["service", "ps", "web"])
    ours, theirs = [], []
    for _ in range(repeats):
        started = time.monotonic()
        lab.snapshot()
        ours.append(time.monotonic() - started)
        started = time.monotonic()
        for command in commands:
            subprocess.run(["docker", "exec", manager, "docker", *command], check=True, capture_output=True)
        theirs.append(time.monotonic() - started)
    report(f"lab.snapshot(), 3 nodes × {TASKS} tasks", ours)
    report("docker node ls + service ls + service ps", theirs)
    print(f"processes / snapshot: {statistics.median(b / a for a, b in zip(ours, theirs, strict=True)):.1f}")


def settled(frames: "queue.SimpleQueue[Frame]", quiet: float) -> None:
    """Read frames until none has come for `quiet` seconds."""
    while True:
        try:
            frames.get(timeout=quiet)
        except queue.Empty:
            return


def at_rest(frames: "queue.SimpleQueue[Frame]") -> None:
    settled(frames, 3)
    before, started = time.process_time(), time.monotonic()
    settled(frames, IDLE_SECONDS)
    share = (time.process_time() - before) / (time.monotonic() - started)
    print(f"board at rest: {100 * share:.2f} % of one core")


def latencies(lab: Lab, board: Board, frames: "queue.SimpleQueue[Frame]", repeats: int) -> None:
    """Kill one task after the other, each on the next node; wait until the board shows its end."""
    names = list(lab.nodes)
    times = []
    for turn in range(repeats):
        node = lab.node(names[turn % len(names)])
        lab.wait(checks.running("web", TASKS), timeout=120)
        settled(frames, 1)
        victim = node.api.containers(filters={"label": "com.docker.swarm.service.name=web"})[0]
        task = victim["Labels"]["com.docker.swarm.task.id"]
        node.api.kill(victim["Id"])
        died = None
        while True:
            frame = frames.get(timeout=30)
            now = time.time()
            died = died or next((event.moment for event in frame.events if event.action == "die"), None)
            state = next((each.state for each in frame.snapshot.tasks if each.id == task), "gone")
            if died and state != "running":
                times.append(now - died)
                break
    assert board.live
    report(f"event to repainted board, 3 nodes × {TASKS} tasks", times)


def memory(lab: Lab, frames: "queue.SimpleQueue[Frame]") -> None:
    """Scale up and down until so many states of tasks have changed; how much this process has grown."""
    manager = lab.node("manager1")
    states: dict[str, str] = {}
    changes, before = 0, 0.0
    while changes < CHANGES:
        for count in (6, TASKS):
            manager.run(f"docker service scale --detach web={count}", quiet=True)
            lab.wait(checks.running("web", count), timeout=120)
        while not frames.empty():
            now = {task.id: task.state for task in frames.get().snapshot.tasks}
            changes += sum(states.get(task) != state for task, state in now.items()) if states else 0
            states = now
        before = before or resident()
    print(f"after {changes} changes of tasks: {resident() - before:+.1f} MiB")


def resident() -> float:
    """What this process has in memory, in MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def big(repeats: int) -> None:
    snapshot = enlarged(nodes=10, tasks=300)
    times = []
    for _ in range(repeats):
        started = time.monotonic()
        plots.placement(snapshot).html()
        times.append(time.monotonic() - started)
    report("picture of 10 nodes × 300 tasks (recorded)", times)


if __name__ == "__main__":
    main()
