"""labkit on an engine that is reached over TCP with TLS on both sides: a real dockerd with --tlsverify.

It runs in a container as a node's engine does. Its certificate signs itself, so does the client's: each side
has the other's as its CA.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from labkit.cluster import provision
from labkit.cluster.containers import LabContainer
from labkit.engine.endpoints import Endpoint
from labkit.engine.find import ask, connect, own_engine
from labkit.engine.selection import DOCKER, EngineContext
from labkit.images import builder, store
from labkit.topology import topology
from labkit.topology.topology import LAB_LABEL
from labkit.transport import tunnel
from labkit.transport.attach import STDERR, STDOUT, Execution
from labkit.util.errors import EngineNotFound
from tests.certificates import Certificate, client_folder, self_signed
from tests.helpers import eventually, inside

pytestmark = pytest.mark.engine

FOLDER = "/etc/docker/tls"
LAB = "test-tls"
SECONDS = 20  # until a test gives up
MUCH = os.urandom(1_000_000) * 50


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: self_signed(folder, name) for name in ("server", "client", "stranger")}


@pytest.fixture(scope="module")
def folder(certificates: dict[str, Certificate], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What DOCKER_CERT_PATH names."""
    made = tmp_path_factory.mktemp("tls") / "certs"
    return client_folder(made, certificates["server"], certificates["client"])


@pytest.fixture(scope="module")
def url(certificates: dict[str, Certificate], folder: Path) -> Iterator[str]:
    """Where an engine listens that has busybox, and a container `box` with the engine's socket and tools."""
    here = own_engine()
    if not here.url.startswith("unix:"):
        pytest.skip("publishes a port on the engine's host, which is another one")
    outer = connect(here)
    for left in outer.containers.list(all=True, filters={"label": f"{LAB_LABEL}={LAB}"}):
        left.remove(v=True, force=True)  # by a killed run
    container = create_engine(outer, certificates["server"], certificates["client"])
    try:
        container.start()
        container.reload()
        port = container.ports["2376/tcp"][0]["HostPort"]
        there = Endpoint(f"tcp://127.0.0.1:{port}", "test", cert_path=folder)
        eventually(lambda: isinstance(ask(there), Endpoint), "an answer over TLS")
        answered = ask(there)
        assert isinstance(answered, Endpoint)
        inner = connect(answered)
        busybox = builder.ensure(outer, "busybox", lambda _: None)
        store.load(inner, store.save(outer, [busybox, "labkit/busybox:latest"]))
        mounts = ["/usr:/usr:ro", "/var/run/docker.sock:/var/run/docker.sock"]
        command = ["tini", "--", "sleep", "infinity"]
        inner.containers.run(busybox, command, name="box", detach=True, network_mode="none", volumes=mounts)
        yield there.url
    finally:
        container.remove(v=True, force=True)


def create_engine(outer: docker.DockerClient, server: Certificate, client: Certificate) -> Container:
    """An engine that listens with TLS, for those who have this client's certificate; not started yet."""
    node = topology.load().nodes[0]
    container = outer.containers.create(
        builder.ensure(outer, "node", lambda _: None),
        [
            "--host=unix:///var/run/docker.sock",
            "--host=tcp://0.0.0.0:2376",
            "--tlsverify",
            f"--tlscacert={FOLDER}/ca.pem",
            f"--tlscert={FOLDER}/cert.pem",
            f"--tlskey={FOLDER}/key.pem",
        ],
        labels={LAB_LABEL: LAB},
        ports={"2376/tcp": ("127.0.0.1", None)},
        volumes=["/var/lib/docker"],
        tmpfs=dict.fromkeys(node.tmpfs, ""),
        cap_add=list(node.cap_add),
        security_opt=node.api_security_opt,
        cgroupns=node.cgroup,
        device_cgroup_rules=list(node.device_cgroup_rules),
    )
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, file in (("ca.pem", client.file), ("cert.pem", server.file), ("key.pem", server.key)):
            tar.add(file, f"{FOLDER}/{name}")
    container.put_archive("/", made.getvalue())
    return container


@pytest.fixture
def chosen(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The user's variables name this engine."""
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    return monkeypatch


@pytest.fixture
def context(chosen: pytest.MonkeyPatch) -> EngineContext:  # noqa: ARG001
    """Of a lab whose engine was not looked for yet."""
    return EngineContext(LAB, DOCKER)


@pytest.fixture
def client(context: EngineContext) -> docker.DockerClient:
    return context.client()


@pytest.fixture
def box(client: docker.DockerClient) -> Container:
    return client.containers.get("box")


def execute(box: Container, script: str, **options: Any) -> Execution:
    assert box.client
    process = Execution(box.client, str(box.id), ["bash", "-c", script], **options)
    process.settimeout(SECONDS)
    return process


def output(process: Execution, number: int = STDOUT) -> bytes:
    """What is left of one of its streams."""
    return b"".join(data for stream, data in process.frames() if stream == number)


def at_once(work: Any, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


# -- the engine is found -----------------------------------------------------------------------------


def test_an_engine_is_found_here_and_by_child_processes(
    context: EngineContext, client: docker.DockerClient, url: str
) -> None:
    assert context.endpoint().url == url
    name = client.info()["Name"]
    script = (
        "from labkit.engine.selection import EngineContext; "
        f"print(EngineContext({LAB!r}, 'docker').client().info()['Name'])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == name


def test_an_engine_of_a_docker_context_is_found_without_a_trace(
    url: str, folder: Path, tmp_path: Path, chosen: pytest.MonkeyPatch
) -> None:
    if not shutil.which("docker"):
        pytest.skip("needs docker's CLI")
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        chosen.delenv(name)
    chosen.setenv("DOCKER_CONFIG", str(tmp_path))
    files = ",".join(f"{name}={folder}/{name}.pem" for name in ("ca", "cert", "key"))
    create = ["docker", "context", "create", "class", "--docker", f"host={url},{files}"]
    for command in (create, ["docker", "context", "use", "class"]):
        subprocess.run(command, check=True, capture_output=True)
    before = dict(os.environ)
    context = EngineContext(LAB, DOCKER)
    found = context.endpoint()
    assert (found.url, found.source, found.verify) == (url, "docker context class", True)
    assert [box.name for box in context.client().containers.list()] == ["box"]
    assert dict(os.environ) == before


def test_what_testcontainers_makes_is_there(
    context: EngineContext, client: docker.DockerClient, chosen: pytest.MonkeyPatch
) -> None:
    chosen.setenv("REQUESTS_CA_BUNDLE", "/dev/null")  # is for the web, and not for engines
    wanted = provision.create_network(context, provision.choose_topology(client, LAB))
    try:
        service = replace(wanted.services[0], command=("sleep", "infinity"), volumes=(), dns=())
        LabContainer(client, wanted, service, "labkit/busybox:latest").start()
        [entry] = provision.containers(client, LAB)
        assert entry["State"] == "running"
    finally:
        provision.remove(context)


@pytest.mark.parametrize(
    ("server", "own", "evidence"),
    [
        ("server", "stranger", "it refused cert.pem"),
        ("stranger", "client", "its certificate is not trusted here"),
    ],
)
def test_certificates_that_do_not_fit_are_the_evidence(
    certificates: dict[str, Certificate],
    tmp_path: Path,
    chosen: pytest.MonkeyPatch,
    server: str,
    own: str,
    evidence: str,
) -> None:
    chosen.setenv(
        "DOCKER_CERT_PATH", str(client_folder(tmp_path / "certs", certificates[server], certificates[own]))
    )
    with pytest.raises(EngineNotFound) as caught:
        EngineContext(LAB, DOCKER).endpoint()
    assert f"TLS failed: {evidence}" in caught.value.evidence[0]
    assert "certificates for DOCKER_HOST" in caught.value.next_step


def test_an_engine_with_tls_asked_without(chosen: pytest.MonkeyPatch) -> None:
    chosen.delenv("DOCKER_CERT_PATH")
    chosen.delenv("DOCKER_TLS_VERIFY")
    with pytest.raises(EngineNotFound) as caught:
        EngineContext(LAB, DOCKER).endpoint()
    assert "HTTP request to an HTTPS server" in caught.value.evidence[0]


# -- attached processes ------------------------------------------------------------------------------


def test_quick_output_is_never_lost(box: Container) -> None:
    assert all(output(execute(box, "echo here")) == b"here\n" for _ in range(30))


def test_much_input_comes_back_after_its_end(box: Container) -> None:
    process = execute(box, "cat; exit 7", stdin=True)

    def write() -> None:
        process.write(MUCH)
        process.close_stdin()

    writer = at_once(write)
    assert output(process) == MUCH
    writer.join(SECONDS)
    assert process.exit_code() == 7


def test_the_end_of_the_input_loses_no_output(box: Container) -> None:
    process = execute(box, "seq 200000; cat >/dev/null; echo end", stdin=True)
    first = process.read_frame()
    assert first
    process.close_stdin()  # while most of the output is under way, or unread
    expected = "".join(f"{number}\n" for number in range(1, 200_001)) + "end\n"
    assert first[1] + output(process) == expected.encode()


def test_both_directions_at_once(box: Container) -> None:
    process = execute(box, f"head -c {len(MUCH)} /dev/zero & cat | sha256sum >&2; wait", stdin=True)
    said: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}

    def read() -> None:
        for stream, data in process.frames():
            said[stream].append(data)

    reader = at_once(read)
    process.write(MUCH)
    process.close_stdin()
    reader.join(SECONDS)
    assert b"".join(said[STDOUT]) == bytes(len(MUCH))
    assert b"".join(said[STDERR]).split()[0].decode() == hashlib.sha256(MUCH).hexdigest()


def test_closing_wakes_the_reader_and_ends_the_process(box: Container) -> None:
    process = execute(box, "echo begun; cat", stdin=True)
    assert process.read_frame() == (STDOUT, b"begun\n")
    heard: list[object] = []

    def read() -> None:
        try:
            heard.append(process.read_frame())
        except (OSError, ValueError) as error:
            heard.append(error)

    reader = at_once(read)
    process.close()
    reader.join(SECONDS)
    assert len(heard) == 1
    assert box.client
    api = box.client.api
    eventually(lambda: not api.exec_inspect(process.id)["Running"], "the end of the process")


def test_a_timeout_is_raised(box: Container) -> None:
    process = execute(box, "cat", stdin=True)
    process.settimeout(0.1)
    with pytest.raises(TimeoutError):
        process.read_frame()
    process.close()


def test_a_terminal_shows_what_is_typed(box: Container) -> None:
    process = execute(box, "stty size; read word; echo got $word", stdin=True, tty=True)
    process.resize(33, 44)
    process.write(b"hello\r")
    seen = output(process)
    assert b"hello\r\n" in seen and b"got hello\r\n" in seen


def test_docker_pys_own_way_to_read_a_process_ends(box: Container) -> None:
    said: list[str] = []  # it polls, and without a timeout
    reader = at_once(lambda: said.extend(inside(box, "seq", "3") for _ in range(20)))
    reader.join(SECONDS)
    assert said == ["1\n2\n3\n"] * 20


# -- what stands on them -----------------------------------------------------------------------------


def test_a_tunnel_carries_an_engines_api(client: docker.DockerClient, box: Container) -> None:
    api = tunnel.open_api(client, str(box.id))
    assert api.info()["ID"] == client.info()["ID"]
    archive = b"".join(api.get_image("labkit/busybox:latest"))
    assert len(archive) > 3_000_000
    api.load_image(archive)
    api.close()


def test_a_tunnel_answers_on_one_connection_and_dials_again_when_it_is_gone(
    client: docker.DockerClient, box: Container
) -> None:
    way = tunnel.Tunnel(lambda: client, str(box.id))

    def answers() -> bool:
        try:
            return way.get("/_ping", timeout=SECONDS).status == 200
        except tunnel.ERRORS:
            return False

    for path in ("/_ping", "/info", "/images/json") * 20:
        assert way.get(path, timeout=SECONDS).status == 200
    assert inside(box, "pgrep", "-fc", "[d]ial-stdio").strip() == "1"
    inside(box, "pkill", "-f", "[d]ial-stdio")
    eventually(answers, "an answer on a new connection")


def test_events_are_followed_until_they_are_closed(client: docker.DockerClient, box: Container) -> None:
    seen: list[bytes] = []
    lines = tunnel.Tunnel(lambda: client, str(box.id)).lines("/events")
    reader = at_once(lambda: seen.extend(lines))
    eventually(lambda: inside(box, "echo", "told") and seen, "the events of a command in a container")
    lines.close()
    reader.join(SECONDS)
    assert not reader.is_alive()


def test_events_end_when_another_thread_closes_them(
    context: EngineContext, client: docker.DockerClient
) -> None:
    stream = provision.container_events(client, LAB)
    seen: list[Any] = []
    reader = at_once(lambda: seen.extend(stream))
    other = context.client()
    other.containers.run("labkit/busybox:latest", ["true"], labels={LAB_LABEL: LAB}, remove=True)
    eventually(lambda: {"start", "die"} <= {event["Action"] for event in seen}, "the container's events")
    stream.close()
    reader.join(SECONDS)
    assert not reader.is_alive()
