"""Following a real swarm: nodes that die, leaders that change, several followers, and nothing left behind."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from labkit import Lab, checks
from labkit.observe import watcher
from labkit.observe.recording import Frame
from labkit.swarm.checks import Check
from labkit.swarm.model import Snapshot
from tests.helpers import eventually, wait_for_line

pytestmark = pytest.mark.engine


class Seen(list[Frame]):
    """Collects frames, and waits for one."""

    def frame(self, wanted: Callable[[Frame], object], what: str, seconds: float = 60) -> Frame:
        return eventually(lambda: next((frame for frame in list(self) if wanted(frame)), None), what, seconds)

    def told(self) -> list[str]:
        return [event.describe() for frame in list(self) for event in frame.events]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def followed(swarm: Lab, seen: Seen) -> Iterator[Lab]:
    """A swarm of three that is followed while the test runs."""
    with watcher.subscribe(swarm, seen.append):
        seen.frame(lambda frame: len(frame.snapshot.nodes) == 3, "a first frame")
        yield swarm


def holds(check: Check) -> Callable[[Frame], bool]:
    return lambda frame: bool(check(frame.snapshot))


def threads(lab: Lab) -> list[str]:
    return [thread.name for thread in threading.enumerate() if f"labkit-follow-{lab.name}" in thread.name]


def tunnels(lab: Lab) -> dict[str, int]:
    """How many connections into each node's engine there are."""
    count = "pgrep -fc '[d]ial-stdio' || true"
    return {name: int(node.run(count, quiet=True).stdout) for name, node in lab.nodes.items()}


def test_tells_what_happens_on_every_node(followed: Lab, seen: Seen) -> None:
    manager = followed.node("manager1")
    manager.run("docker service create --detach --name web --mode global web:1", quiet=True)
    seen.frame(holds(checks.running("web", 3)), "three tasks")
    for name in followed.nodes:
        eventually(lambda name=name: f"web on {name}: started" in seen.told(), f"the start on {name}")  # type: ignore[misc]
    manager.run("docker node update --availability drain worker2", quiet=True)
    drain = {"availability": ("active", "drain")}
    frame = seen.frame(lambda frame: any(event.changes == drain for event in frame.events), "the drain")
    assert "node worker2: availability active → drain" in seen.told()
    assert [event.subject for event in frame.events if event.kind == "node"] == ["worker2"]
    manager.run("docker service rm web", quiet=True)
    seen.frame(lambda frame: seen.index(frame) > 0 and not frame.snapshot.services, "the removal")


def test_frames_are_in_order_and_each_says_something_new(followed: Lab, seen: Seen) -> None:
    followed.node("manager1").run("docker service create --detach --name web --replicas 6 web:1", quiet=True)
    seen.frame(holds(checks.running("web", 6)), "six tasks")
    frames = list(seen)
    assert all(a.moment < b.moment for a, b in pairwise(frames))
    assert all(b.events or a.snapshot != b.snapshot for a, b in pairwise(frames))


def test_survives_a_node_that_dies_and_comes_back(followed: Lab, seen: Seen) -> None:
    node = followed.node("worker1")
    node.kill()
    frame = seen.frame(lambda frame: frame.snapshot.engines["worker1"].container == "exited", "the loss")
    assert "node worker1 stopped" in seen.told()
    assert frame.snapshot.quorum
    node.start()
    seen.frame(
        lambda frame: frame.moment > seen[-1].moment - 1 and holds(checks.node_ready("worker1"))(frame), "it"
    )
    node.run("docker run --rm --detach --name alone busybox true", quiet=True)
    eventually(lambda: "container alone on worker1: started" in seen.told(), "an event after the restart")
    assert seen.told().count("container alone on worker1: started") == 1


def leader(snapshot: Snapshot) -> str:
    return next((node.name for node in snapshot.nodes if node.manager_status == "leader"), "")


def test_follows_the_new_leader(followed: Lab, seen: Seen) -> None:
    begun = time.monotonic()
    eventually(lambda: time.monotonic() > begun + 5, "an age at which a node's joining is no news")
    followed.node("manager1").run("docker node promote worker1 worker2", quiet=True)
    for name in ("worker1", "worker2"):  # until then, it cannot take over
        eventually(lambda name=name: _lists_nodes(followed, name), f"an answer of {name}")  # type: ignore[misc]
    followed.node("manager1").kill()
    frame = seen.frame(lambda frame: leader(frame.snapshot) in ("worker1", "worker2"), "another leader")
    followed.node(leader(frame.snapshot)).run("docker service create --detach --name web web:1", quiet=True)
    seen.frame(holds(checks.running("web", 1)), "the task")
    # A manager that is new tells of all that it learns; what was there before is no news.
    assert not {"network ingress: created", "node manager1: joined"} & set(seen.told())
    assert seen.told().count("service web: created") == 1


def test_a_lost_quorum_is_a_state(followed: Lab, seen: Seen) -> None:
    followed.node("manager1").run("docker node promote worker1", quiet=True)
    eventually(lambda: _lists_nodes(followed, "worker1"), "an answer of worker1")
    followed.node("manager1").kill()
    frame = seen.frame(lambda frame: frame.snapshot.quorum is False, "the lost quorum")
    assert frame.snapshot.engines["worker1"].manager
    followed.node("manager1").start()
    seen.frame(lambda later: later.moment > frame.moment and later.snapshot.quorum, "the quorum again")


def _lists_nodes(lab: Lab, name: str) -> bool:
    return not lab.node(name).run("docker node ls", check=False, quiet=True).exit_code


def test_leaves_no_thread_and_no_connection(swarm: Lab, seen: Seen) -> None:
    swarm.snapshot()
    before = tunnels(swarm)
    first, second = watcher.subscribe(swarm, seen.append), watcher.subscribe(swarm, Seen().append)
    seen.frame(lambda frame: len(frame.snapshot.nodes) == 3, "a frame")
    eventually(lambda: all(tunnels(swarm)[name] > before[name] for name in before), "streams to all nodes")
    assert len(threads(swarm)) == 5  # one looks, one for the containers, three for the nodes: not twice
    first.close()
    assert len(threads(swarm)) == 5
    second.close()
    second.close()
    assert threads(swarm) == []
    eventually(lambda: tunnels(swarm) == before, "the end of all streams")


def test_a_follower_that_fails_leaves_the_others_alone(
    swarm: Lab, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(frame: Frame) -> None:
        raise ValueError(f"cannot show {len(frame.snapshot.nodes)} nodes")

    with watcher.subscribe(swarm, fail), watcher.subscribe(swarm, seen.append):
        seen.frame(lambda frame: len(frame.snapshot.nodes) == 3, "a frame")
        swarm.node("manager1").run("docker service create --detach --name web web:1", quiet=True)
        seen.frame(holds(checks.running("web", 1)), "the task")
    assert [record.message for record in caplog.records if "not called again" in record.message] == [
        f"a follower of lab '{swarm.name}' failed and is not called again"
    ]


def test_a_loop_that_is_left_ends_the_following(swarm: Lab) -> None:
    for frame in watcher.follow(swarm):
        assert frame.snapshot.quorum
        break
    eventually(lambda: not threads(swarm), "the end of the threads")


# A process that follows while its main thread is busy, is interrupted as a cell is, and goes on following.
INTERRUPTED = """
import sys, threading
from labkit import Lab
from labkit.observe import watcher
from tests.helpers import eventually, wait_for_line
lab, seen = Lab(sys.argv[1]), []
def work():  # in short waits: Python misses a signal that comes just before a long one
    eventually(lambda: False, "an interrupt", 60)
with watcher.subscribe(lab, seen.append):
    eventually(lambda: seen, "a frame")
    try:
        print("busy", flush=True)
        work()
    except KeyboardInterrupt:
        lab.node("manager1").run("docker network create --driver overlay probe", quiet=True)
        eventually(lambda: any(event.subject == "probe" for frame in seen for event in frame.events), "news")
        print("follows", flush=True)
for frame in watcher.follow(lab):
    try:
        print("busy again", flush=True)
        work()
    except KeyboardInterrupt:
        break
eventually(lambda: not [thread for thread in threading.enumerate() if "follow" in thread.name], "the end")
print("left", flush=True)
"""


def test_an_interrupt_ends_what_was_asked_for_and_nothing_else(swarm: Lab) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, swarm.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for said in ("busy", "follows", "busy again", "left"):
        wait_for_line(process, f"^{said}$")
        if said.startswith("busy"):
            process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_a_recording_has_beginning_events_and_end(swarm: Lab) -> None:
    with swarm.record() as recording:
        swarm.node("manager1").run("docker service create --detach --name web --replicas 2 web:1", quiet=True)
        swarm.wait(checks.running("web", 2))
    assert recording.frames[0].snapshot.services == ()
    assert checks.running("web", 2)(recording.frames[-1].snapshot)
    assert [event.describe() for event in recording.events if event.kind == "service"] == [
        "service web: created"
    ]
    assert recording.end > recording.start
    assert threads(swarm) == []
