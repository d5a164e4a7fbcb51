"""Limits on open files are the same on every node and in its tasks; labs take few inotify instances."""

from collections.abc import Callable

import docker
import pytest

from labkit import Lab, checks
from labkit.images import builder
from labkit.topology import topology
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError

pytestmark = pytest.mark.engine

QUIET = ProgressReporter(quiet=True)
NewLab = Callable[[], Lab]
BOTH = "ulimit -Sn; ulimit -Hn"


def test_a_node_and_its_tasks_get_the_limit_of_the_topology(swarm: Lab) -> None:
    wanted = [str(limit) for limit in topology.load().nodes[0].ulimits["nofile"]]
    manager = swarm.node("manager1")
    assert manager.run(BOTH, quiet=True).stdout.split() == wanted
    run = f"docker service create -q --name files --mode global toolbox sh -c '{BOTH}; sleep 1000'"
    manager.run(run, quiet=True)
    swarm.wait(checks.running("files", 3))
    assert manager.run("docker service logs --raw files", quiet=True).stdout.split() == wanted * 3


def test_an_engine_that_may_not_give_so_much_gives_its_own(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an engine in a container, which has no right to raise limits. No engine may exceed fs.nr_open."""
    lab = new_lab()
    monkeypatch.setenv("LABKIT_NOFILE", str(2**30))
    lab.up(reporter=QUIET)
    soft, hard = lab.node("worker1").run(BOTH, quiet=True).stdout.split()
    assert 0 < int(soft) <= int(hard) < 2**30
    assert len(lab.nodes) == 3


def test_a_limit_that_is_too_low_for_an_engine_is_named(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab()
    monkeypatch.setenv("LABKIT_NOFILE", "16")
    with pytest.raises(LabError) as caught:
        lab.up(reporter=QUIET)
    told = str(caught.value)
    assert "too many open files" in told.lower(), told
    assert "fs.inotify.max_user_instances=512" in told
    assert "LABKIT_NOFILE" in told


def inotify_instances(client: docker.DockerClient) -> int:
    """How many the processes on the engine's host have open, as far as a container may look at them."""
    container = client.containers.create(
        builder.content_tag("node"),
        ["-c", "find /proc/[0-9]*/fd -lname anon_inode:inotify 2>/dev/null || true"],
        entrypoint="sh",
        pid_mode="host",
        cap_add=["SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN"],
        security_opt=["apparmor=unconfined", "seccomp=unconfined"],
    )
    try:
        container.start()
        container.wait(timeout=60)
        return len(container.logs(stdout=True, stderr=False).splitlines())
    finally:
        container.remove(force=True)


@pytest.mark.alone
def test_a_lab_takes_no_more_inotify_instances_than_doctor_counts_with(new_lab: NewLab) -> None:
    """None on cgroup v1; on v2 one for each container of the lab, and one for each task."""
    lab = new_lab()
    client = lab.context.client()
    before = inotify_instances(client)
    lab.up(swarm=True, reporter=QUIET)
    lab.node("manager1").run(
        "docker service create -q --name some --replicas 6 toolbox sleep 1000", quiet=True
    )
    lab.wait(checks.running("some", 6))
    taken = 0 if client.info().get("CgroupVersion", "1") == "1" else 5 + 6
    assert inotify_instances(client) - before == taken
