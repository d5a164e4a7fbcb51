"""A lab's life: up, down, reset, side by side; what its containers may and may not do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import Lab, checks
from labkit.cluster.provision import node_entries
from labkit.images import builder
from labkit.topology import topology
from labkit.util.console import ProgressReporter
from labkit.util.errors import CommandFailed, LabNotRunning, NoSuchNode, NotConverged
from tests.helpers import A_LAB, leftovers

pytestmark = pytest.mark.engine
QUIET = ProgressReporter(quiet=True)
NewLab = Callable[[], Lab]


@pytest.mark.core
def test_up_gives_three_engines_that_belong_to_no_swarm(lab: Lab) -> None:
    assert list(lab.nodes) == ["manager1", "worker1", "worker2"]
    assert checks.swarm_inactive()(lab.snapshot())
    for node in lab.nodes.values():
        assert node.api.version()["Version"]


@pytest.mark.core
def test_up_swarm_forms_one_swarm_in_the_topologys_roles(swarm: Lab) -> None:
    swarm.wait(
        checks.nodes_ready(3),
        checks.manager_status("manager1", "leader"),
        checks.role("worker1", "worker"),
        checks.role("worker2", "worker"),
    )


@pytest.mark.core
def test_up_again_changes_nothing(swarm: Lab) -> None:
    before = {
        name: (node.container_id, node.container.attrs["State"]["StartedAt"])
        for name, node in swarm.nodes.items()
    }
    members = {node.id for node in swarm.snapshot().nodes}
    swarm.up(swarm=True, reporter=QUIET)
    after = {
        name: (node.container_id, node.container.attrs["State"]["StartedAt"])
        for name, node in swarm.nodes.items()
    }
    assert after == before
    assert {node.id for node in swarm.snapshot().nodes} == members


@pytest.mark.core
def test_up_brings_back_what_is_stopped_paused_or_gone(swarm: Lab) -> None:
    swarm.node("worker1").stop()
    swarm.node("worker2").pause()
    swarm.up(swarm=True, reporter=QUIET)
    swarm.wait(checks.nodes_ready(3))
    gone = swarm.node("worker2")
    gone.container.remove(force=True)
    swarm.up(reporter=QUIET)
    assert swarm.node("worker2").container_id != gone.container_id
    assert swarm.node("worker2").api.ping()


@pytest.mark.core
def test_swarm_survives_a_restart_of_all_nodes(swarm: Lab) -> None:
    for node in swarm.nodes.values():
        node.kill()
    swarm.up(reporter=QUIET)
    swarm.wait(checks.nodes_ready(3), checks.manager_status("manager1", "leader"))


@pytest.mark.core
def test_down_leaves_nothing_and_may_be_repeated(new_lab: NewLab) -> None:
    lab = new_lab().up(reporter=QUIET)
    assert len(leftovers(lab.name)) == A_LAB
    assert len(lab.down()) == A_LAB
    assert leftovers(lab.name) == []
    assert lab.down() == []


@pytest.mark.core
def test_reset_takes_away_all_that_a_learner_made(swarm: Lab) -> None:
    manager = swarm.node("manager1")
    manager.run(
        "touch /lab/file; docker volume create kept; docker network create -d overlay net; "
        "ip link add storage0 type bridge; printf x | docker secret create word -",
        quiet=True,
    )
    # A node that's in no swarm isn't restarted, so its firewall has to be emptied.
    swarm.node("worker1").run("docker swarm leave; iptables -A INPUT -p tcp --dport 23 -j DROP", quiet=True)
    swarm.node("worker2").kill()
    swarm.reset()
    assert checks.swarm_inactive()(swarm.snapshot())
    assert swarm.node("worker1").run("ls /lab", quiet=True).stdout == ""
    assert "DROP" not in swarm.node("worker1").run("iptables -S INPUT", quiet=True).stdout
    manager = swarm.node("manager1")
    assert manager.run("docker volume ls -q", quiet=True).stdout == ""
    assert "storage0" not in manager.run("ip -brief link", quiet=True).stdout


def test_reset_rebuilds_a_node_that_cannot_be_cleaned(new_lab: NewLab) -> None:
    lab = new_lab().up(swarm=True, reporter=QUIET)
    broken = lab.node("worker1")
    broken.run("rm -r /var/lib/docker/swarm; mv /usr/bin/docker /usr/bin/hidden", quiet=True)
    lab.reset()
    assert lab.node("worker1").container_id != broken.container_id
    assert checks.swarm_inactive()(lab.snapshot())


def test_nodes_of_an_outdated_image_are_told_and_renewed_by_reset(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = new_lab().up(reporter=QUIET)
    before = {node.container_id for node in lab.nodes.values()}
    # As if the image folder had changed: the nodes' image is not the current one any more.
    monkeypatch.setattr(builder, "installed_tag", lambda *_: builder.content_tag("base"))
    lab.up()
    assert "manager1 worker1 worker2: outdated image; to update: labkit reset" in capsys.readouterr().out
    lab.reset()
    assert not before & {node.container_id for node in lab.nodes.values()}


def test_two_labs_do_not_touch_each_other(swarm: Lab, new_lab: NewLab) -> None:
    other = new_lab().up(swarm=True, reporter=QUIET)
    assert other.node("manager1").container_id != swarm.node("manager1").container_id
    ours = {node.id for node in swarm.snapshot().nodes}
    theirs = {node.id for node in other.snapshot().nodes}
    assert len(ours | theirs) == 6
    other.down()
    assert leftovers(other.name) == []
    swarm.wait(checks.nodes_ready(3))


def test_a_taken_subnet_is_left_alone(new_lab: NewLab) -> None:
    first, second = new_lab().up(reporter=QUIET), new_lab().up(reporter=QUIET)
    networks = [
        lab.context.client().api.networks(filters={"label": f"{topology.LAB_LABEL}={lab.name}"})[0]
        for lab in (first, second)
    ]
    subnets = {network["IPAM"]["Config"][0]["Subnet"] for network in networks}
    assert len(subnets) == 2
    assert not any(subnet.startswith("10.") for subnet in subnets)
    found = second.node("worker1").run("hostname -i", quiet=True).stdout.strip()
    assert (
        found
        == node_entries(second.context.client(), second.name)["worker1"]["NetworkSettings"]["Networks"][
            f"{second.name}_lab"
        ]["IPAddress"]
    )


def test_nodes_share_a_folder_and_know_each_other_by_name(lab: Lab) -> None:
    lab.node("worker1").run("echo hello > /lab/greeting", quiet=True)
    assert lab.node("worker2").run("cat /lab/greeting", quiet=True).stdout == "hello\n"
    found = lab.node("worker2").run("getent hosts manager1", quiet=True).stdout
    assert found.split()[0] == lab.node("manager1").run("hostname -i", quiet=True).stdout.strip()


@pytest.mark.core
def test_nodes_hold_no_more_power_than_the_topology_says(lab: Lab) -> None:
    wanted = {
        service.name: service for service in topology.load(env={**os.environ, "LABKIT_LAB": lab.name}).nodes
    }
    for name, node in lab.nodes.items():
        host = node.container.attrs["HostConfig"]
        assert not host["Privileged"]
        assert not host["PortBindings"]
        assert sorted(cap.removeprefix("CAP_") for cap in host["CapAdd"]) == sorted(wanted[name].cap_add)
        assert host["SecurityOpt"] == wanted[name].api_security_opt
        assert host["Memory"] == wanted[name].memory
        assert host["PidsLimit"] == wanted[name].pids_limit
        assert host["CgroupnsMode"] == "private"
        assert {mount["Type"] for mount in node.container.attrs["Mounts"]} == {
            "volume"
        }  # nothing of the host


def test_no_engine_listens_on_the_network(lab: Lab) -> None:
    for node in lab.nodes.values():
        listening = node.run("ss -Hltnp", quiet=True).stdout
        assert "dockerd" not in listening
        assert "containerd" not in listening


def test_a_task_runs_under_another_user_and_exec_reaches_it(
    lab: Lab, base_image: Callable[[Lab, str], str]
) -> None:
    image = base_image(lab, "worker1")
    node = lab.node("worker1")
    node.run(f"docker run -d --name task --memory 64m --user 1000 {image} sleep 1000", quiet=True)
    assert node.run("docker exec task id -u", quiet=True).stdout == "1000\n"


@pytest.mark.core
def test_tasks_of_a_service_run_on_every_node_of_an_overlay(
    swarm: Lab, base_image: Callable[[Lab, str], str]
) -> None:
    image = base_image(swarm, "*")
    manager = swarm.node("manager1")
    manager.run("docker network create -d overlay --attachable net", quiet=True)
    create = "docker service create -d --no-resolve-image --name web --mode global --network net"
    manager.run(f"{create} {image} sleep 1000", quiet=True)
    snapshot = swarm.wait(checks.running("web", 3))
    assert {task.node for task in snapshot.tasks} == set(swarm.nodes)
    addresses = "docker exec $(docker ps -q) getent ahostsv4 tasks.web | cut -d' ' -f1 | sort -u | wc -l"
    manager.run(f'until [ "$({addresses})" = 3 ]; do sleep 0.1; done', quiet=True, timeout=30)


def test_unknown_node_suggests_the_right_one(lab: Lab) -> None:
    with pytest.raises(NoSuchNode, match="workr1") as caught:
        lab.node("workr1")
    assert caught.value.next_step == "did you mean worker1?"


def test_a_lab_that_is_down_says_so() -> None:
    with pytest.raises(LabNotRunning, match="'no-such-lab' is not running"):
        Lab("no-such-lab").node("manager1")


def test_wait_reports_what_was_missing(lab: Lab) -> None:
    with pytest.raises(NotConverged) as caught:
        lab.wait(checks.swarm_inactive(), checks.swarm_active("worker1"), timeout=0)
    assert caught.value.evidence == ("✗ worker1 is in no swarm (its swarm state is inactive)",)


def test_lost_quorum_is_a_state_and_no_error(swarm: Lab) -> None:
    manager = swarm.node("manager1")
    manager.run("docker node promote worker1", quiet=True)
    swarm.wait(checks.managers(2))
    swarm.node("worker1").kill()
    swarm.wait(lambda snapshot: checks.Verdict(snapshot.quorum is False, "the quorum is still there"))
    assert not checks.nodes_ready(3)(swarm.snapshot())


@pytest.mark.parametrize("chapter", ["create-a-swarm", "02-join-and-manage-nodes"])
def test_a_chapter_begins_from_any_state(swarm: Lab, chapter: str) -> None:
    swarm.node("worker1").kill()
    swarm.begin(chapter, yes=True)
    expected = {"inactive"} if chapter == "create-a-swarm" else {"inactive", "active"}
    assert {found.swarm for found in swarm.snapshot().engines.values()} == expected


def test_a_node_that_does_not_boot_shows_its_log_and_is_removed(
    new_lab: NewLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / topology.FILE_NAME
    text = topology.default_path().read_text().replace("    - SYS_ADMIN ", "    - SYS_TIME ")
    broken.write_text(text)
    monkeypatch.setenv("LABKIT_TOPOLOGY", str(broken))
    lab = new_lab()
    with pytest.raises((CommandFailed, LabNotRunning)) as caught:
        lab.up(reporter=QUIET)
    assert "mount" in str(caught.value)
    assert leftovers(lab.name) == []
    with pytest.raises((CommandFailed, LabNotRunning)):
        lab.up(keep=True, reporter=QUIET)
    assert leftovers(lab.name)


def test_a_service_that_ends_at_once_shows_its_log_and_is_removed(
    new_lab: NewLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / topology.FILE_NAME
    text = topology.default_path().read_text()
    broken.write_text(
        text.replace("    image: labkit/storage", "    image: labkit/storage\n    command: [--typo]")
    )
    monkeypatch.setenv("LABKIT_TOPOLOGY", str(broken))
    lab = new_lab()
    with pytest.raises(NotConverged, match="the lab's storage ended") as caught:
        lab.up(reporter=QUIET)
    assert "unknown flag: --typo" in str(caught.value)
    assert leftovers(lab.name) == []
