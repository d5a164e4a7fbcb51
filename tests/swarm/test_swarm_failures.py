"""What goes wrong on swarms, produced on a real one: what `explain` and the advice say, and if it helps."""

import re
import shlex
from collections.abc import Callable, Iterator

import pytest

from labkit import Lab, checks
from labkit.swarm.explain import explain
from labkit.util.deadline import Deadline
from labkit.util.errors import CommandFailed, CommandTimedOut
from tests.helpers import inside, service

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# A registry that asks for a password; the hash is bcrypt's of "secret".
REGISTRY = "registry:5003"
HTPASSWD = "learner:$2b$05$IxtZNYX6hmPkapx9SRX.ZOuVWlzSQ0VtFvERQgKEqb8EU8eTZUdN6"
SERVE_WITH_PASSWORD = f"""
echo '{HTPASSWD}' >/run/htpasswd
mkdir -p /etc/docker/certs.d/{REGISTRY}
cp /run/tls/cert.pem /etc/docker/certs.d/{REGISTRY}/ca.crt
export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=lab REGISTRY_AUTH_HTPASSWD_PATH=/run/htpasswd
export REGISTRY_HTTP_TLS_CERTIFICATE=/run/tls/cert.pem REGISTRY_HTTP_TLS_KEY=/run/tls/key.pem
REGISTRY_HTTP_ADDR=:5003 REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/run/private \\
    registry serve /etc/docker/registry/config.yml >/dev/null 2>&1 &
echo $! >/run/private.pid
until curl --silent --insecure --output /dev/null https://localhost:5003; do :; done
"""


def told(lab: Lab, name: str, *wanted: str, seconds: float = 60) -> list[str]:
    """Wait until the explanation of a service has a line for each pattern; return its lines."""
    for _ in Deadline(seconds).attempts(every=0.5):
        snapshot = lab.snapshot()
        lines = explain(snapshot, name).splitlines() if snapshot.quorum else ["no manager answers"]
        missing = [pattern for pattern in wanted if not any(re.search(pattern, line) for line in lines)]
        if not missing:
            return lines
    raise AssertionError(f"no line with {missing} within {seconds:g} s in:\n" + "\n".join(lines))


def do(lab: Lab, command: str, node: str = "manager1") -> str:
    return lab.node(node).run(command, quiet=True, timeout=60).stdout


def advised(lab: Lab, command: str, node: str = "manager1") -> str:
    """The next step that a command which fails is given."""
    with pytest.raises(CommandFailed) as caught:
        do(lab, command, node)
    return caught.value.next_step


# -- networks -------------------------------------------------------------------------------------------


def test_a_full_network_is_counted_and_a_larger_one_helps(swarm: Lab) -> None:
    do(swarm, "docker network create -d overlay --subnet 10.9.9.0/28 small")
    create = "docker service create -d --name web --network small --update-parallelism 6"
    do(swarm, f"{create} --replicas 12 web:1")
    lines = told(
        swarm,
        "web",
        r"waits? for an address on small, which has none left\.",
        r"ended: node is missing network attachments",
        # How many tasks get one depends on how many nodes they come to.
        r"^small \(10\.9\.9\.0/28\) is too small: .* 13 addresses .* 13 are in use: (9|10|11) tasks of web, ",
        r"needs 1[456]: 12 tasks, 1 virtual IP and [123] load balancers?$",
        seconds=120,
    )
    create, move = (line.strip() for line in lines if "network create" in line or "--network-rm" in line)
    do(swarm, create.replace("NEW", "large"))
    do(swarm, move.replace("NEW", "large").replace("service update", "service update -d"))
    swarm.wait(checks.running("web", 12), checks.on_networks("web", "large"), timeout=120)


def test_networks_whose_subnet_is_taken_are_named(swarm: Lab) -> None:
    """Docker says nothing of either: the first never gets its subnet, the second hides the nodes."""
    do(swarm, "docker network create -d overlay --subnet 10.78.0.0/24 first")
    do(swarm, "docker network create -d overlay --subnet 10.78.0.0/25 second")
    do(swarm, "docker service create -d --name stuck --network second web:1")
    lines = told(
        swarm, "stuck", r"^stuck\.1 waits for an address on second, which has no subnet", "first 10.78.0.0/24"
    )
    (move,) = (line.strip() for line in lines if "--network-rm" in line)
    do(swarm, "docker network create -d overlay --subnet 10.79.0.0/24 third")
    do(swarm, move.replace("NEW", "third").replace("service update", "service update -d"))
    swarm.wait(checks.running("stuck", 1))
    address = swarm.node("worker1").address
    do(swarm, f"docker network create -d overlay --subnet {address.rpartition('.')[0]}.0/24 lan")
    do(swarm, "docker service create -d --name hidden --network lan web:1")
    told(swarm, "hidden", f"overlaps the nodes' own network: .*worker1 is {re.escape(address)}")


# -- tasks that wait ------------------------------------------------------------------------------------


def test_a_task_that_swarm_does_not_look_at_again_is_replaced(swarm: Lab) -> None:
    swarm.node("worker2").stop()
    swarm.wait(checks.node_down("worker2"), timeout=60)
    for name in ("labeled", "scaled", "control"):
        do(swarm, f"docker service create -d --name {name} --constraint node.hostname==worker2 web:1")
        told(swarm, name, "no node is suitable: 2 ruled out by its constraints, 1 not accepting new tasks")
    do(swarm, "docker service update -d --label-add a=b labeled")
    do(swarm, "docker service scale -d scaled=2")
    do(swarm, "docker service create -d --name other web:1")  # the scheduler goes through its queue
    swarm.wait(checks.running("other", 1))
    swarm.node("worker2").start()
    swarm.wait(checks.running("control", 1), timeout=60)
    told(swarm, "labeled", r"^labeled\.1 stays pending although worker2 could run it")
    told(swarm, "scaled", r"^scaled\.1 stays pending although worker2 could run it")
    for name in ("labeled", "scaled"):
        step = next(line for line in explain(swarm.snapshot(), name).splitlines() if "--force" in line)
        do(swarm, step.strip().partition(" replaces")[0].replace("service update", "service update -d"))
    swarm.wait(checks.running("labeled", 1), checks.running("scaled", 2))


def test_a_node_without_the_label_the_room_or_the_port_is_named_with_what_it_lacks(swarm: Lab) -> None:
    do(swarm, "docker service create -d --name label --constraint node.labels.disk==ssd web:1")
    do(swarm, "docker service create -d --name room --reserve-memory 900G web:1")
    host = "--publish mode=host,published=9100,target=80 web:1"
    do(swarm, f"docker service create -d --name first --mode global {host}")
    swarm.wait(checks.running("first", 3))
    do(swarm, f"docker service create -d --name second {host}")
    told(swarm, "label", "docker node update --label-add disk=ssd NODE adds that label to a node")
    told(swarm, "room", r"each task reserves 900\.0 GiB memory; not reserved yet: manager1 has \d")
    told(swarm, "second", "its port is in use on every node", "port 9100 in host mode, and so does first")
    do(swarm, "docker node update --label-add disk=ssd worker1")
    swarm.wait(checks.running("label", 1))


# -- tasks that end -------------------------------------------------------------------------------------


def test_a_port_that_a_container_has_is_named_with_its_node(swarm: Lab) -> None:
    do(swarm, "docker run -d --name squatter -p 9200:80 web:1", "worker1")
    host = "--publish mode=host,published=9200,target=80 web:1"
    do(swarm, f"docker service create -d --name edge --mode global {host}")
    told(swarm, "edge", "something that isn't a service has port 9200 on worker1: docker ps")


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("", "completed, with exit code 0"),  # which is what many programs do when they are told to stop
        ("sleep 1000", "ended: exit code 137: unhealthy"),
    ],
)
def test_a_health_check_that_never_passes_is_shown_with_what_it_printed(
    swarm: Lab, program: str, ended: str
) -> None:
    check = "--health-cmd 'echo no database; exit 1' --health-interval 1s --health-retries 1"
    do(swarm, f"docker service create -d --name sick {check} --stop-grace-period 1s web:1 {program}")
    lines = told(swarm, "sick", ended, "it runs echo no database; exit 1", "what it printed: docker")
    step = next(line for line in lines if "what it printed" in line)
    command, _, node = step.partition(": ")[2].rpartition(" on ")
    assert "no database" in do(swarm, command, node)


def test_a_task_that_took_too_much_memory_is_told_from_one_that_was_killed(swarm: Lab) -> None:
    eat, die = "tail /dev/zero", "sleep 1000 & kill -KILL $!; wait $!"
    do(swarm, f"docker service create -d --name eater --limit-memory 16M web:1 sh -c {shlex.quote(eat)}")
    do(swarm, f"docker service create -d --name killed web:1 sh -c {shlex.quote(die)}")
    for name, words, oom in (
        ("eater", "exceeds its limit, 16 MiB of memory", "true"),
        ("killed", "it was killed by a person, by a program, or by the kernel", "false"),
    ):
        lines = told(swarm, name, r"ended: exit code 137", words)
        step = next(line for line in lines if "true if memory was the reason" in line)
        command, _, node = step.partition(": ")[2].rpartition(" on ")
        assert do(swarm, command, node).strip() == oom


@pytest.fixture
def registry_with_password(swarm: Lab) -> Iterator[Lab]:
    """The shared swarm, and a registry that asks for a password and has one image."""
    container = service(swarm, "registry")
    inside(container, "sh", "-c", SERVE_WITH_PASSWORD)
    login = f"docker login -u learner --password-stdin {REGISTRY} <<< secret"
    do(swarm, f"docker pull web:1 && docker tag web:1 {REGISTRY}/shop/web:1")
    do(swarm, f"{login} && docker push {REGISTRY}/shop/web:1 && docker image rm {REGISTRY}/shop/web:1")
    yield swarm
    do(swarm, f"docker logout {REGISTRY}")
    inside(container, "sh", "-c", f"kill $(cat /run/private.pid); rm -r /etc/docker/certs.d/{REGISTRY}")


def test_an_image_behind_a_password_needs_the_credentials(registry_with_password: Lab) -> None:
    swarm, image = registry_with_password, f"{REGISTRY}/shop/web:1"
    assert "docker login" in advised(swarm, f"docker pull {image}", "worker1")
    do(swarm, f"docker service create -d --name shop --constraint node.role==worker --replicas 2 {image}")
    lines = told(swarm, "shop", "no such image", f"docker login {REGISTRY}")
    step = next(line for line in lines if "docker login" in line)
    do(swarm, step.rpartition("then ")[2].replace("service update", "service update -d"))
    swarm.wait(checks.running("shop", 2))


# -- commands -------------------------------------------------------------------------------------------


def test_logs_that_wait_for_a_node_name_it(
    swarm: Lab, magic: Callable[[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    do(swarm, "docker service create -d --name web --mode global web:1")
    swarm.wait(checks.running("web", 3))
    swarm.node("worker1").pause()
    try:
        with pytest.raises(CommandTimedOut) as caught:
            magic("--timeout 15 manager1", "docker service logs web")
    finally:
        swarm.node("worker1").unpause()
    words = "docker service logs waits for worker1 (paused), which doesn't answer."
    assert words in caught.value.evidence
    assert f"… {words}" in capsys.readouterr().err


def test_messages_of_the_engine_lead_to_a_next_step(swarm: Lab) -> None:
    """The messages of tests/unit/test_advice.py are what these commands print."""
    assert "upgrade this client" in advised(swarm, "DOCKER_API_VERSION=1.23 docker version")
    assert "so that both sides agree" in advised(swarm, "DOCKER_API_VERSION=1.99 docker node ls")
    do(swarm, "docker network create --subnet 10.77.0.0/24 one")
    assert "another --subnet" in advised(swarm, "docker network create --subnet 10.77.0.0/25 two")
    deploy = "docker stack deploy -d=true -c - shop <<< 'configs: {c: {file: ./a}}\nversion: \"3.8\"'"
    do(swarm, f"echo one >a; {deploy}")
    assert "under another name" in advised(swarm, f"echo two >a; {deploy}")


@pytest.fixture(scope="module")
def stack_swarm(_shared_lab: Lab) -> Lab:
    """The shared lab as a swarm for stack files that are all refused, so one reset is enough."""
    return _shared_lab.reset(swarm=True)


@pytest.mark.parametrize(
    ("web", "rest", "words"),
    [
        ("env_file: [{path: ./a.env, required: false}]", "", "list only the paths"),
        ("depends_on: {db: {condition: service_healthy}}", "", "list only the names"),
        ("ports: [{target: 80, published: '8080'}]", "", "without quotes"),
        ("deploy: {resources: {limits: {cpus: 0.5}}}", "", 'cpus: "0.5"'),
        ("mem_limit: 64m", "", "deploy: resources: limits:"),
        ("profiles: [dev]", "", "remove that key"),
        ("scale: 2", "", "deploy: replicas:"),
        ("networks: [back]", "", "at the top level of the file"),
        ("networks: [back]", "networks: {back: {external: true}}", "docker network create -d overlay"),
        ("secrets: [pw]", "secrets: {pw: {external: true}}", "docker secret create"),
        ("init: true", "name: shop", "a stack is named in the command"),
        ("init: true", "configs: {c: {content: hello}}", "put the content into a file"),
    ],
)
def test_a_stack_file_that_only_compose_reads_leads_to_what_to_write(
    stack_swarm: Lab, web: str, rest: str, words: str
) -> None:
    file = f"services:\n  web:\n    image: web:1\n    {web}\n{rest}\n"
    assert words in advised(stack_swarm, f"docker stack deploy -d=true -c - shop <<'YAML'\n{file}YAML")
