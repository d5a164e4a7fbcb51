"""What Docker really says, and what the learner is told to do about it."""

import re

import pytest

from labkit.swarm import advice
from tests.recorded import answers

DAEMON = "Error response from daemon: "
RPC = f"{DAEMON}rpc error: code = "

MESSAGES = {
    "write /data/x: no space left on device": "gives back all that the lab took",
    f"{DAEMON}This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager.": "on a manager",
    f'{DAEMON}This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again.": "docker swarm init here",
    f'{DAEMON}This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join '
    "another one.": "docker swarm leave on this node first",
    f"{DAEMON}could not choose an IP address to advertise since this system has multiple addresses on "
    "different interfaces (172.30.77.11 on eth0 and 172.31.0.2 on eth1) - specify one with "
    "--advertise-addr": "--advertise-addr eth0",
    f"{DAEMON}invalid join token": "docker swarm join-token worker",
    f"{RPC}FailedPrecondition desc = node dcleaumzh5g01yls3w0yp92jx is not down and can't be removed": (
        "docker swarm leave on that node first"
    ),
    f"{RPC}FailedPrecondition desc = node q6ekka94xo93ux2nq1iscat46 is a cluster manager and is a member of "
    "the raft cluster. It must be demoted to worker before removal": "docker node demote it first, then",
    f"{DAEMON}You are attempting to leave the swarm on a node that is participating as a manager. Removing "
    "the last manager erases all current state of the swarm. Use `--force` to ignore this message.": (
        "leave with --force"
    ),
    f"{DAEMON}You are attempting to leave the swarm on a node that is participating as a manager. Removing "
    "this node leaves 2 managers out of 3. Without a Raft quorum your swarm will be inaccessible. The only "
    "way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use "
    "`--force` to suppress this message.": "leave with --force",
    f"{RPC}AlreadyExists desc = name conflicts with an existing object: service web already exists": (
        "choose another name"
    ),
    f"{RPC}NotFound desc = service web not found": "the same command with ls",
    f"{DAEMON}network backend not found": "the same command with ls",
    f"{DAEMON}No such container: web.1": "the same command with ls",
    "Error: No such service: helloworld": "the same command with ls",
    "Error: No such node: worker9": "the same command with ls",
    f"{RPC}Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. "
    "Make sure more than half of the managers are online.": "more than half of them run",
    f"{DAEMON}Swarm is encrypted and needs to be unlocked before it can be used. Please use "
    '"docker swarm unlock" to unlock it.': "with the key that you keep",
    f"{DAEMON}driver failed programming external connectivity on endpoint web (0e1): Bind for 0.0.0.0:8080 "
    "failed: port is already allocated": "publish another port",
    f"{RPC}InvalidArgument desc = port '80' is already in use by service 'web' (p8qcmhmbxq2fbc7k8co5hlfnc) "
    "as an ingress port": "publish another port",
    f"docker: {DAEMON}Could not attach to network my_overlay: rpc error: code = PermissionDenied desc = "
    "network my_overlay not manually attachable.": "--attachable NAME",
    f"{RPC}FailedPrecondition desc = network lp7av95qwkbm5gqc8i8ayx0fk is in use by service "
    "pj5wzevg2qnmyao45676s6cbb": "first let nobody use it",
    f"Failed to remove network lp7av95qwkbm5gqc8i8ayx0fk: {RPC}FailedPrecondition desc = network "
    "lp7av95qwkbm5gqc8i8ayx0fk is in use by task 9vnrzb3kkqk7vufpzjm5r8p1b": "run the command again",
    f"failed to create service blog_web: {DAEMON}network blog_default not found": "run the command again",
    f"{RPC}InvalidArgument desc = secret 'db_password' is in use by the following service: db": (
        "give the service another one first"
    ),
    f"failed to update config shop_settings: {RPC}InvalidArgument desc = only updates to Labels are "
    "allowed": "make a new one under another name",
    f"{DAEMON}plugin webdav-log:latest is enabled": "docker plugin disable it first",
    "permission denied while installing plugin registry:5000/rclone:1": "to a publisher whom you trust",
    "service update paused: update paused due to failure or early termination of task "
    "u14oijkirqiotf2hshvvwyzpe": "docker service rollback takes it back",
    "docker: unknown command: docker servce\n\nRun 'docker --help' for more information": "with --help",
    "unknown flag: --replica\nSee 'docker service create --help'.": "with --help",
    "unknown shorthand flag: 'z' in -z\nSee 'docker node ls --help'.": "with --help",
    "\"docker service create\" requires at least 1 argument.\nSee 'docker service create --help'.": (
        "with --help"
    ),
    '"docker node ls" requires exactly 1 argument.': "with --help",
    f"{DAEMON}rpc error: code = Unknown desc = update out of sequence": "run the command again",
    "bash: line 1: dokcer: command not found": "check the spelling",
}
WITHOUT_ADVICE = {
    f"{RPC}InvalidArgument desc = A valid join token is necessary to join this cluster": "join-token",
    "no such service: web": "the same command with ls",
    "docker: 'servce' is not a docker command.\nSee 'docker --help'": "--help",
    f"{DAEMON}network with name backend already exists": "choose another name",
}


@pytest.mark.parametrize(("message", "expected"), MESSAGES.items(), ids=range(len(MESSAGES)))
def test_what_docker_says_is_answered_with_a_next_step(message: str, expected: str) -> None:
    assert expected in advice.for_output(f"{message}\n")


@pytest.mark.parametrize(("message", "expected"), WITHOUT_ADVICE.items(), ids=range(len(WITHOUT_ADVICE)))
def test_what_docker_says_often_has_advice(message: str, expected: str) -> None:
    assert expected in advice.for_output(message)


def test_every_line_of_the_table_answers_a_real_message() -> None:
    given = {advice.for_output(message) for message in MESSAGES}
    assert {step for _, step in advice._ADVICE} <= given


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in advice._ADVICE])
def test_every_pattern_is_in_a_real_message(pattern: str) -> None:
    assert any(re.search(pattern, " ".join(message.split())) for message in MESSAGES)


def test_the_recorded_loss_of_a_quorum_is_answered() -> None:
    data = answers("quorum-lost")
    assert "more than half" in advice.for_output(data["error"])


def test_a_message_broken_over_lines_is_recognised() -> None:
    broken = "This node is not a swarm\nmanager. Worker nodes\ncan't be used"
    assert advice.for_output(broken) == advice.for_output(broken.replace("\n", " ")) != advice.OTHERWISE


@pytest.mark.parametrize("output", ["", "something else went wrong"])
def test_anything_else_gets_the_general_advice(output: str) -> None:
    assert advice.for_output(output) == advice.OTHERWISE
