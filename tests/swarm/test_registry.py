"""The lab's registry without a way out: what nodes pull, push and look up is there, and true about itself."""

import contextlib
import io
import json
import re
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError

from labkit import Lab, checks
from labkit.cluster.provision import service_entries
from labkit.images import builder, catalog, dockerfile, store
from labkit.images.catalog import BankImage
from labkit.topology.topology import LAB_LABEL
from labkit.util.console import ProgressReporter
from labkit.util.deadline import Deadline
from labkit.util.errors import CommandFailed
from labkit.util.parallel import in_parallel
from tests.helpers import eventually, inside, leftovers, log, service

pytestmark = pytest.mark.engine
QUIET = ProgressReporter(quiet=True)


def cut_off(lab: Lab) -> None:
    """Take the default route from the lab's nodes and its registry; a restarted container has it again."""
    client = lab.context.client()
    for entry in client.api.containers(filters={"label": f"{LAB_LABEL}={lab.name}"}):
        container = client.containers.get(entry["Id"])
        if re.search(r"^eth0\t00000000", inside(container, "cat", "/proc/net/route"), re.MULTILINE):
            client.containers.run(
                builder.content_tag("busybox"),
                ["ip", "route", "delete", "default"],
                network_mode=f"container:{entry['Id']}",
                cap_add=["NET_ADMIN"],
                remove=True,
            )


def tidy(lab: Lab) -> None:
    """Remove every service, container and volume that a test has made."""
    manager = lab.node("manager1").api
    for entry in manager.services():
        manager.remove_service(entry["ID"])
    for node in lab.nodes.values():
        for _ in Deadline(30).attempts():
            if not (found := node.api.containers(all=True)):
                break
            for container in found:
                with contextlib.suppress(APIError):  # the swarm's agent may be quicker
                    node.api.remove_container(container["Id"], v=True, force=True)


@pytest.fixture(scope="module")
def _offline_lab(_shared_lab: Lab) -> Iterator[Lab]:
    lab = _shared_lab.reset(swarm=True)
    for node in lab.nodes.values():
        node.run("docker system prune --all --force", quiet=True)  # so that a pull is one
    yield lab
    containers = [service(lab, name) for name in ("registry", "storage")]
    containers += [node.container for node in lab.nodes.values()]
    in_parallel(lambda container: container.restart(timeout=1), containers)
    lab.up(reporter=QUIET)


@pytest.fixture
def offline(_offline_lab: Lab) -> Iterator[Lab]:
    """The shared lab as a swarm of three, with no network but the lab's own."""
    if (
        service_entries(_offline_lab.context.client(), _offline_lab.name).get("registry", {}).get("State")
        != "running"
    ):
        _offline_lab.up(reporter=QUIET)  # a test has failed in between
    cut_off(_offline_lab)
    yield _offline_lab
    tidy(_offline_lab)


def on(lab: Lab, command: str, node: str = "manager1", timeout: float = 60) -> str:
    return lab.node(node).run(command, quiet=True, timeout=timeout).stdout


def refused(lab: Lab, command: str) -> str:
    with pytest.raises(CommandFailed) as caught:
        on(lab, command)
    return str(caught.value)


def digest(image: str) -> str:
    found = re.search(r"sha256:[0-9a-f]{64}", image)
    assert found, f"no digest in {image!r}"
    return found[0]


def running_digests(lab: Lab, name: str) -> list[str]:
    """The digests of a service's tasks that shall run."""
    tasks = f"docker service ps --no-trunc --filter desired-state=running --format '{{{{.Image}}}}' {name}"
    return [digest(line) for line in on(lab, tasks).splitlines()]


def records_digests(lab: Lab) -> bool:
    """Whether the managers find digests in the bank: Docker 20.10 asks for them only in the first mirror.

    (moby, `GetRepository` in daemon/images/image_pull.go of that version.)
    """
    return not str(lab.node("manager1").api.version()["Version"]).startswith("20.")


def test_there_is_no_way_out(offline: Lab) -> None:
    for node in offline.nodes.values():
        with pytest.raises(CommandFailed, match="unreachable"):
            node.run("ip route get 192.0.2.1", quiet=True)
    assert "eth0\t00000000" not in inside(service(offline, "registry"), "cat", "/proc/net/route")
    assert "Docker Hub answers: yes" not in log(service(offline, "registry"))


# -- pull, push, run ------------------------------------------------------------------------------------


@pytest.mark.core
def test_a_service_converges_on_an_image_with_a_digest(offline: Lab) -> None:
    said = on(offline, "docker service create --name web --replicas 3 -p 8080:80 nginx")
    assert "converged" in said
    first = on(offline, "docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' web")
    assert first.startswith("nginx:latest@sha256:") is records_digests(offline)
    if not records_digests(offline):
        return  # each node has pulled it by its tag
    assert running_digests(offline, "web") == [digest(first)] * 3
    on(offline, "docker service update -d --image nginx:1.27 web")
    done = "docker service inspect --format '{{.UpdateStatus.State}}' web"
    eventually(lambda: on(offline, done) == "completed\n", "the update")
    [second] = set(running_digests(offline, "web"))
    assert second != digest(first)


@pytest.mark.core
def test_what_one_node_pushes_another_pulls(offline: Lab) -> None:
    pushed = on(offline, "docker pull alpine; docker tag alpine registry:5000/x; docker push registry:5000/x")
    assert pulled(offline, "registry:5000/x") == digest(pushed.splitlines()[-1])
    assert on(offline, "docker run --rm registry:5000/x echo it runs", "worker1") == "it runs\n"


def test_hello_world_greets(offline: Lab) -> None:
    assert "Hello from Docker!" in on(offline, "docker run --rm hello-world")


def test_the_bank_offers_what_its_table_says(offline: Lab) -> None:
    wanted: dict[str, set[str]] = {}
    for image in catalog.IMAGES:
        name, _, tag = image.reference.partition(":")
        wanted.setdefault(name, set()).add(tag)
    curl = "curl -s --cacert /etc/docker/certs.d/registry:5002/ca.crt https://registry:5002/v2"
    listed = on(offline, "; ".join(f"{curl}/library/{name}/tags/list" for name in wanted))
    found = [json.loads(line) for line in listed.splitlines()]
    assert {entry["name"].removeprefix("library/"): set(entry["tags"]) for entry in found} == wanted


def test_the_bank_and_the_cache_take_no_pushes(offline: Lab) -> None:
    curl = "curl -s -k -X POST -w '%{http_code}' -o /dev/null https://registry"
    begin = "; ".join(f"{curl}:{port}/v2/library/alpine/blobs/uploads/; echo" for port in (5000, 5001, 5002))
    assert on(offline, begin).split() == ["202", "405", "405"]


# -- trust ----------------------------------------------------------------------------------------------


def test_no_registry_is_insecure(offline: Lab) -> None:
    for node in offline.nodes.values():
        config = node.api.info()["RegistryConfig"]
        assert all(ip.startswith(("127.", "::1")) for ip in config["InsecureRegistryCIDRs"])
        assert all(index["Secure"] for index in config["IndexConfigs"].values())
        assert config["Mirrors"] == ["https://registry:5001/", "https://registry:5002/"]


FOREIGN = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry"
    " -addext subjectAltName=DNS:registry -keyout /dev/null -out ca.crt 2>/dev/null"
)


@pytest.mark.parametrize("instead", ["rm ca.crt", FOREIGN], ids=["none", "another lab's"])
def test_a_registry_is_trusted_by_its_own_certificate_alone(offline: Lab, pushed: str, instead: str) -> None:
    registry = service(offline, "registry")
    place = "cd /etc/docker/certs.d/registry:5000"
    inside(registry, "sh", "-ec", f"{place}; cp ca.crt /run/kept.crt; {instead}")
    try:
        assert "x509: certificate signed by unknown authority" in refused(
            offline, "docker pull registry:5000/kept"
        )
    finally:
        inside(registry, "sh", "-ec", f"{place}; cp /run/kept.crt ca.crt")
    assert pulled(offline, "registry:5000/kept") == pushed


def test_the_key_of_the_certificate_is_on_no_node(offline: Lab) -> None:
    files = on(offline, "find /etc/docker/certs.d -type f").split()
    servers = ["docker.io", *(f"registry:{port}" for port in (5000, 5001, 5002))]
    assert sorted(files) == [f"/etc/docker/certs.d/{server}/ca.crt" for server in servers]
    assert "PRIVATE" not in on(offline, f"cat {' '.join(files)}")
    assert "Read-only file system" in refused(offline, "touch /etc/docker/certs.d/mine")


# -- the course's own images ----------------------------------------------------------------------------

COLOURS = {
    "1": ("blue", "#0072b2"),
    "2": ("orange", "#e69f00"),
    "3": ("green", "#009e73"),
    "broken": ("red", "#d55e00"),
}


@pytest.mark.parametrize("version", COLOURS)
def test_web_says_who_it_is_in_text_json_and_html(offline: Lab, version: str) -> None:
    colour, code = COLOURS[version]
    on(offline, f"docker run -d --name web -e NODE=manager1 -e SLOT=2 web:{version}")
    ask = "docker exec web wget -q -O - http://127.0.0.1 --header Accept:"
    text = eventually(lambda: on(offline, f"{ask}'*/*' || true"), "an answer")
    assert text.startswith(f"web version {version} ({colour}) on node manager1, task 2, container ")
    told = json.loads(on(offline, f"{ask}application/json"))
    address = on(offline, "docker inspect --format '{{.NetworkSettings.IPAddress}}' web").strip()
    container = on(offline, "docker exec web hostname").strip()
    assert text.endswith(f"container {container}, address 127.0.0.1\n")
    assert told == {
        "version": version,
        "colour": colour,
        "node": "manager1",
        "slot": "2",
        "container": container,
        "address": "127.0.0.1",
    }
    page = on(offline, f"curl -s -H 'Accept: text/html' http://{address}")
    assert f"<h1>web version {version}</h1>" in page
    assert code in page and f"<dd>{address}</dd>" in page and "@" not in page
    health = on(offline, f"curl -s -w '%{{http_code}}' http://{address}/healthz")
    assert health == ("503\n503" if version == "broken" else "200\n200")


def test_web_shows_the_node_and_the_slot_of_each_task(offline: Lab) -> None:
    place = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"
    on(offline, f"docker service create -d --name web --replicas 3 {place} web:1")
    snapshot = offline.wait(checks.running("web", 3))
    for name in offline.nodes:
        slots = {task.slot for task in snapshot.tasks if task.node == name}
        said = on(offline, "for c in $(docker ps -q); do docker exec $c wget -q -O - 127.0.0.1; done", name)
        assert set(re.findall(r"on node (\w+), task (\d)", said)) == {(name, str(slot)) for slot in slots}


def test_web_takes_nothing_from_its_environment_that_means_something(offline: Lab) -> None:
    on(offline, """docker run -d --name web -e NODE='a"}; return 500; #/&\\n<b>' web:1""")
    ask = "docker exec web wget -q -O - --header 'Accept: application/json' 127.0.0.1 || true"
    assert json.loads(eventually(lambda: on(offline, ask), "an answer"))["node"] == "areturn500nb"


def test_an_update_to_a_broken_version_is_rolled_back(offline: Lab) -> None:
    create = "docker service create -d --name web --replicas 2 --update-failure-action rollback"
    on(offline, f"{create} --update-monitor 10s web:1")
    good = set(running_digests(offline, "web"))
    offline.wait(checks.running("web", 2))
    on(offline, "docker service update -d --image web:broken web")
    state = "docker service inspect --format '{{.UpdateStatus.State}}' web"
    eventually(lambda: on(offline, state) == "rollback_completed\n", "the rollback", 60)
    assert set(running_digests(offline, "web")) == good
    failed = on(offline, "docker service ps --no-trunc --format '{{.Image}} {{.Error}}' web")
    assert re.search(r"web:broken@\S+ .*unhealthy", failed), failed


def test_every_service_ends_on_sigterm(offline: Lab) -> None:
    names = [f"{name}:{tag}" for name, tag in (("web", "1"), ("web", "broken"), ("toolbox", "latest"))]
    names += ["counter", "nginx", "redis", "registry"]
    run = "; ".join(f"docker run -d --name s{number} {name}" for number, name in enumerate(names))
    running = "docker ps -q | wc -l"
    on(offline, run)
    assert on(offline, running) == f"{len(names)}\n", on(offline, "docker ps -a")
    # After 2 s it would be SIGKILL, and the exit code 137.
    on(offline, "docker stop --time 2 $(docker ps -q)")
    codes = on(offline, "docker inspect --format '{{.Config.Image}} {{.State.ExitCode}}' $(docker ps -aq)")
    assert len(codes.splitlines()) == len(names)
    assert " 137" not in codes, codes


def test_counter_keeps_every_line_that_it_has_answered_for(offline: Lab) -> None:
    address = "$(docker inspect --format '{{.NetworkSettings.IPAddress}}' counter)"
    answers = f"until curl -s http://{address}/?count; do sleep 0.05; done"
    on(offline, f"docker run -d --name counter -v lines:/data counter; {answers}")
    lines = {f"{'long ' * 400}{number}" for number in range(60)}
    post = f"curl -s -o /dev/null -w '%{{http_code}}\\n' -d \"$(printf 'long %.0s' $(seq 400))$1\" http://{address}"
    codes = on(offline, f"post() {{ {post}; }}; export -f post; seq 0 59 | xargs -P 20 -I@ bash -c 'post @'")
    assert codes.split() == ["201"] * 60
    on(offline, f"docker kill counter; docker start counter; {answers}")
    kept = on(offline, f"curl -s http://{address}").splitlines()
    assert len(kept) == 60
    assert set(kept) == lines


TOOLS = {
    "curl": ("curl --silent --head http://web", "200 OK"),
    "dig": ("dig +short registry", ".5\n"),
    "nslookup": ("nslookup registry", ".5\n"),
    "ping": ("ping -c 1 registry", "1 received"),
    "nc": ("nc -z -v registry 5000", "succeeded"),
    "openssl": ("openssl s_client -connect registry:5000 </dev/null", "CN=registry"),
    "tcpdump": ("ping -c 9 -i 0.2 registry >/dev/null & tcpdump -c 1 -n icmp", "ICMP echo request"),
    "ip": ("ip -V; ip address", "iproute2"),
    "ss": ("ss -V", "iproute2"),
    "ipvsadm": ("ipvsadm --list", "IP Virtual Server"),
}


def test_each_tool_of_the_toolbox_works(offline: Lab) -> None:
    on(offline, "docker run -d --name web web:1; docker run -d --name toolbox --link web toolbox")
    failed = {}
    for tool, (command, expected) in TOOLS.items():
        said = on(offline, f"docker exec toolbox timeout 10 sh -c '{command}' 2>&1 || true")
        if expected not in said:
            failed[tool] = said
    assert failed == {}


# -- what stands in for others' images ------------------------------------------------------------------

# What the program itself says, as the label must.
LABEL = '{{index .Config.Labels "org.labkit.stand-in"}}'
BUSYBOX = ("busybox", r"BusyBox v(\d+\.\d+)", "busybox {}")
DEBIAN = ("cat /etc/debian_version", r"(\d+)", "Debian {}")
PROGRAMS = {
    "nginx": ("nginx -v", r"nginx/(\d+\.\d+)", "nginx {}"),
    "redis": ("redis-server --version", r"v=(\d+\.\d+)", "redis {}"),
    "registry": ("registry --version", r" v?(\d+\.\d+)", "docker-registry {}"),
    "alpine": BUSYBOX,
    "busybox": BUSYBOX,
    "hello-world": ("busybox", BUSYBOX[1], "a greeting by busybox"),
    "ubuntu": DEBIAN,
    "debian": DEBIAN,
}


@pytest.mark.core
def test_a_stand_in_says_truly_what_it_is(offline: Lab) -> None:
    stand_ins = {image.reference.partition(":")[0] for image in catalog.IMAGES if image.stand_in}
    assert stand_ins == set(PROGRAMS)
    for name, (command, pattern, program) in PROGRAMS.items():
        on(offline, f"docker pull -q {name}")
        said = on(offline, f"docker run --rm --entrypoint sh {name} -c '{command}' 2>&1")
        found = re.search(pattern, said)
        assert found, f"{name}: {said}"
        label = on(offline, f"docker image inspect --format '{LABEL}' {name}").strip()
        assert label.startswith(program.format(found[1])), f"{name}: {label}, but {said}"
        assert "Debian 13" in label


# -- names ----------------------------------------------------------------------------------------------


def test_docker_com_answers_to_ping_and_docker_hub_is_not_there(offline: Lab) -> None:
    assert " 0% packet loss" in on(offline, "docker run --rm alpine ping -c 1 docker.com")
    assert "bad address" in refused(
        offline, "docker run --rm alpine wget -T 5 https://registry-1.docker.io/v2/"
    )


def test_a_container_finds_the_labs_services_and_no_unknown_name(offline: Lab) -> None:
    look_up = "docker run --rm alpine timeout 5 nslookup -type=a"
    for name in ("registry", "storage", "manager1"):
        address = on(offline, f"getent ahostsv4 {name} | cut -d' ' -f1 | head -1").strip()
        assert f"Address: {address}\n" in on(offline, f"{look_up} {name}")
    unknown = f"{look_up} no-such-name.example || true"
    eventually(lambda: "NXDOMAIN" in on(offline, unknown), "an answer about an unknown name")


def test_an_engine_learns_at_once_that_docker_hub_is_not_there(offline: Lab) -> None:
    """`docker service create` asks for it each time, and would wait as long."""
    for node in offline.nodes.values():
        with pytest.raises(CommandFailed, match="exited 2"):  # 124 would be the timeout
            node.run("timeout 3 getent hosts registry-1.docker.io", quiet=True)


# -- the tutorial of docs.docker.com/engine/swarm/swarm-tutorial ----------------------------------------


def test_the_tutorials_first_service(offline: Lab) -> None:
    on(offline, "docker service create --replicas 1 --name helloworld alpine ping docker.com")
    assert " helloworld " in on(offline, "docker service ls")
    pretty = on(offline, "docker service inspect --pretty helloworld")
    assert re.search(r"Image:\s+alpine:latest@sha256:", pretty)
    assert re.search(r"Args:\s+ping docker.com", pretty)
    logs = "docker service logs helloworld 2>&1"
    eventually(lambda: "64 bytes from" in on(offline, logs), "a ping's answer")
    assert "helloworld scaled to 5" in on(offline, "docker service scale helloworld=5")
    assert len(running_digests(offline, "helloworld")) == 5
    on(offline, "docker service rm helloworld")
    assert "no such service" in refused(offline, "docker service inspect helloworld")


@pytest.mark.core
def test_the_tutorials_rolling_update_and_drain(offline: Lab) -> None:
    # The tutorial's delay is 10 s.
    on(offline, "docker service create --replicas 3 --name redis --update-delay 1s redis:7.4.0")
    image = "docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' redis"
    before = on(offline, image).strip()
    on(offline, "docker service update --image redis:7.4.1 redis", timeout=90)
    tasks = "docker service ps --no-trunc --format '{{.Image}} {{.DesiredState}}' redis"
    history = on(offline, tasks).splitlines()
    after = on(offline, image).strip()
    assert before.startswith("redis:7.4.0") and after.startswith("redis:7.4.1")
    assert ("@sha256:" in before) is ("@sha256:" in after) is records_digests(offline)
    assert before.partition("@")[2] != after.partition("@")[2] or not records_digests(offline)
    assert [history.count(f"{before} Shutdown"), history.count(f"{after} Running")] == [3, 3]
    on(offline, "docker node update --availability drain worker1")
    try:
        assert re.search(r"Availability:\s+Drain", on(offline, "docker node inspect --pretty worker1"))
        snapshot = offline.wait(checks.running("redis", 3))
        assert "worker1" not in {task.node for task in snapshot.tasks if task.state == "running"}
    finally:
        on(offline, "docker node update --availability active worker1")


# -- the registry's life --------------------------------------------------------------------------------


@pytest.fixture
def pushed(offline: Lab) -> str:
    """The digest of an image in the registry that a learner has pushed."""
    reference = "registry:5000/kept"
    said = on(offline, f"docker pull -q alpine; docker tag alpine {reference}; docker push {reference}")
    return digest(said.splitlines()[-1])


def pulled(lab: Lab, reference: str) -> str:
    return digest(on(lab, f"docker pull {reference}", "worker1"))


@pytest.mark.parametrize("power", ["kill", "pause", "stop", "remove"])
def test_up_brings_the_registry_back_with_what_was_pushed(offline: Lab, pushed: str, power: str) -> None:
    registry = service(offline, "registry")
    getattr(registry, power)(**{"force": True} if power == "remove" else {})
    offline.up(reporter=QUIET)
    assert pulled(offline, "registry:5000/kept") == pushed
    assert pulled(offline, "alpine") == pushed


def test_a_service_of_an_outdated_image_is_replaced_and_keeps_what_it_has(
    offline: Lab, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = offline.context.client()
    current = builder.content_tag("bank")
    other = "labkit-test-other:latest"
    client.images.build(fileobj=io.BytesIO(f"FROM {current}\nLABEL changed=1".encode()), tag=other, rm=True)
    ensure = builder.ensure
    try:
        with monkeypatch.context() as changed:
            changed.setattr(builder, "ensure", lambda *given: other if given[1] == "bank" else ensure(*given))
            offline.up(reporter=QUIET)
        assert service(offline, "registry").image == client.images.get(other)
        assert pulled(offline, "registry:5000/kept") == pushed
        nodes = {node.container_id for node in offline.nodes.values()}
        offline.up(reporter=QUIET)
        assert service(offline, "registry").image == client.images.get(current)
        assert pulled(offline, "registry:5000/kept") == pushed
        assert {node.container_id for node in offline.nodes.values()} == nodes
    finally:
        offline.up(reporter=QUIET)
        client.images.remove(other)


# The processes of the cache and of the names, by number.
FIND = """
for process in /proc/[0-9]*; do
    if grep -qs ADDR=:5001 $process/environ || grep -qs '^dnsmasq' $process/comm; then
        echo ${process#/proc/}
    fi
done
"""


def test_a_cache_and_names_that_die_are_started_again(offline: Lab) -> None:
    registry = service(offline, "registry")

    def processes() -> set[str]:
        return set(inside(registry, "sh", "-c", FIND).split())

    died = processes()
    assert len(died) == 2
    inside(registry, "kill", "-9", *died)
    eventually(lambda: len(processes() - died) == 2, "a new cache and new names")
    inside(registry, "timeout", "10", "registry-ready")
    assert "Name:\tstorage" in on(offline, "docker run --rm alpine timeout 5 nslookup -type=a storage")


def test_filling_a_bank_touches_no_lab_and_leaves_only_the_image(
    offline: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, tag = offline.context.client(timeout=120), "labkit-test-bank:latest"
    registry = builder.ensure(client, "registry", print)
    monkeypatch.setattr(catalog, "IMAGES", (BankImage("only:1", "hello-world"),))
    monkeypatch.setattr(catalog, "PLUGINS", ())
    targets: list[str] = []

    def build(
        own: docker.DockerClient, folder: str, target: str, arguments: dict[str, str], labels: dict[str, str]
    ) -> None:
        targets.append(target)
        below = {"BUSYBOX": builder.content_tag("busybox"), **arguments}
        dockerfile.build(own, builder.FOLDER / folder, target, below, labels, print)

    catalog.fill(client, registry, tag, build, print)
    first = client.images.get(tag)
    of_a_lab = client.containers.create(tag)
    before = sorted(leftovers(offline.name))
    try:
        # A filling that was killed has left these.
        client.containers.create(tag, name="labkit-filling")
        build(client, "hello-world", "127.0.0.1:9/library/left:1", {}, {catalog.REFERENCE_LABEL: "left:1"})
        catalog.fill(client, registry, tag, build, print)
        of_a_lab.reload()  # it is no leftover of the first time
        assert sorted(leftovers(offline.name)) == before
        assert not any(store.has(client, target) for target in targets)
        assert not client.containers.list(all=True, filters={"name": "labkit-filling"})
    finally:
        of_a_lab.remove()
        client.images.remove(tag)
        client.images.remove(first.id)
