"""What Docker really says, and what the learner is told to do about it."""

import re

import pytest

from labkit.swarm import advice
from tests.recorded import answers

DAEMON = "Error response from daemon: "
RPC = f"{DAEMON}rpc error: code = "

MESSAGES = {
    "write /data/x: no space left on device": "frees all that the lab used",
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
    '"docker swarm unlock" to unlock it.': "with the unlock key that you saved",
    f"{DAEMON}driver failed programming external connectivity on endpoint web (0e1): Bind for 0.0.0.0:8080 "
    "failed: port is already allocated": "publish another port",
    f"{RPC}InvalidArgument desc = port '80' is already in use by service 'web' (p8qcmhmbxq2fbc7k8co5hlfnc) "
    "as an ingress port": "publish another port",
    f"docker: {DAEMON}Could not attach to network my_overlay: rpc error: code = PermissionDenied desc = "
    "network my_overlay not manually attachable.": "--attachable NAME",
    f"{RPC}FailedPrecondition desc = network lp7av95qwkbm5gqc8i8ayx0fk is in use by service "
    "pj5wzevg2qnmyao45676s6cbb": "first make sure that nothing uses it",
    f"Failed to remove network lp7av95qwkbm5gqc8i8ayx0fk: {RPC}FailedPrecondition desc = network "
    "lp7av95qwkbm5gqc8i8ayx0fk is in use by task 9vnrzb3kkqk7vufpzjm5r8p1b": "run the command again",
    f"failed to create service blog_web: {DAEMON}network blog_default not found": "run the command again",
    f"{RPC}InvalidArgument desc = secret 'db_password' is in use by the following service: db": (
        "give the service another one first"
    ),
    f"failed to update config shop_settings: {RPC}InvalidArgument desc = only updates to Labels are "
    "allowed": "make a new one under another name",
    f"{DAEMON}plugin webdav-log:latest is enabled": "docker plugin disable it first",
    "permission denied while installing plugin registry:5000/rclone:1": "if you trust the publisher",
    "service update paused: update paused due to failure or early termination of task "
    "u14oijkirqiotf2hshvvwyzpe": "docker service rollback undoes the update",
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
STACK_FILES = {
    "services.web.env_file.0 must be a string": "list only the paths",
    "services.web.depends_on must be a list": "list only the names",
    "services.web.ports.0.published must be a integer": "without quotes",
    "services.web.deploy.resources.limits.cpus must be a string": 'cpus: "0.5"',
    "services.web.healthcheck.interval must be a string": "write the value as that type",
    "services.web must be a mapping": "write the value as that type",
    "services.web Additional property profiles is not allowed": "remove that key",
    "services.web.deploy.placement Additional property constraint is not allowed": "fix its spelling",
    "services.web Additional property scale is not allowed": "deploy: replicas:",
    "services.web Additional property cpus is not allowed": "deploy: resources: limits:",
    "Compose file contains unsupported options:\n\nmem_limit: Set resource limits using deploy.resources": (
        "deploy: resources: limits:"
    ),
    "Compose file contains unsupported options:\n\nextends: Support for `extends` is not implemented yet.": (
        "write the service out in full"
    ),
    "configs.c Additional property content is not allowed": "put the content into a file",
    "(root) Additional property name is not allowed": "a stack is named in the command",
    "(root) Additional property include is not allowed": "-c ONE.yml -c TWO.yml",
    "unsupported Compose file version: 2.4": 'version: "3.8"',
    "version must be a string": 'version: "3.8"',
    "1 error(s) decoding:\n\n* error decoding 'Ports': Invalid hostPort: eighty": "the published port, then",
    "services.web.ports.0 Does not match format 'ports'": "the published port, then",  # 28
    "yaml: line 2: found character that cannot start any token": "not with tabs",
    "yaml: line 4: mapping values are not allowed in this context": "the colons around that line",
    'yaml: unmarshal errors:\n  line 4: mapping key "image" already defined at line 3': "remove one",  # 28
    "top-level object must be a mapping": "the file is empty",
    'invalid interpolation format for services.web.image: "required variable TAG is missing a value: set '
    'TAG"; you may need to escape any $ with another $': "a file .env isn't read",
    f'failed to create service s_web: {RPC}InvalidArgument desc = ContainerSpec: "web:" is not a valid '
    "repository/tag": "a variable that isn't set",
    f"failed to create service s_web: {RPC}InvalidArgument desc = ContainerSpec: image reference must be "
    "provided": "builds none",
    'service web: undefined network "back"': "at the top level of the file",
    'service web: undefined secret "pw"': "at the top level of the file",
    'service web: undefined config "pw"': "at the top level of the file",
    'service web: undefined volume "data"': "at the top level of the file",
    'network "front" is declared as external, but could not be found. You need to create a swarm-scoped '
    "network before the stack is deployed": "docker network create -d overlay",
    'network "lan" is declared as external, but it is not in the right scope: "local" instead of "swarm"': (
        "a stack needs an overlay network"
    ),
    "service web: secret not found: pw": "docker secret create",
    "service web: config not found: pw": "docker config create",
}
"""What `docker stack deploy` says to a file that it can't use: Docker 26.1, or 28.2 where that is noted."""
MESSAGES |= STACK_FILES

TODAY = {
    f'{DAEMON}invalid CIDR: "10.20.0.0/24". Subnet size is too small for pool: 16': "such as 24 in a /16",
    f"{DAEMON}Pool overlaps with other one on this address space": "choose another --subnet",
    f"{DAEMON}could not find an available, non-overlapping IPv4 address pool among the defaults to assign to "
    "the network": "docker network prune",
    f'{DAEMON}{{"message":"client version 1.23 is too old. Minimum supported API version is 1.24, please '
    'upgrade your client to a newer version"}': "unset DOCKER_API_VERSION if it is set",
    f"{DAEMON}client version 1.99 is too new. Maximum supported API version is 1.45": "upgrade the engine",
    "docker node ls requires API version 1.24, but the Docker daemon API version is 1.23": (
        "so that both sides agree"
    ),
    f'{DAEMON}Head "https://registry:5003/v2/shop/web/manifests/1": no basic auth credentials': (
        "--with-registry-auth"
    ),
    f"{DAEMON}pull access denied for shop/web, repository does not exist or may require 'docker login': "
    "denied: requested access to the resource is denied": "docker login first",  # Docker Hub's
    f"{DAEMON}manifest for registry:5002/nosuch:1 not found: manifest unknown: manifest unknown": (
        "no such image or tag"
    ),
}
MESSAGES |= TODAY
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
