"""Networks that let nothing out but through a proxy, and proxies that are set but are not there.

Docker Hub is played by two registries that only the proxy reaches. One speaks HTTP, the other TLS with a
certificate of an authority that nobody knows, as where a company inspects TLS.
"""

import io
import json
import re
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from docker.models.containers import Container

from labkit import Lab, checks, load
from labkit.cluster import provision
from labkit.images import builder
from labkit.topology import topology
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from tests import compose
from tests.certificates import self_signed, signed_by
from tests.forward_proxy import ForwardProxy, forward_proxy
from tests.helpers import eventually, inside, labkit, log, service

pytestmark = pytest.mark.engine

QUIET = ProgressReporter(quiet=True)
NOBODY = "http://192.0.2.1:3128"  # RFC 5737: an address that nobody has
NAMES = [name for each in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (each, each.lower())]
PUBLISH = "--publish mode=host,published=8080,target=80"
TELL = "--env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}}"
PLAIN, TLS = "http://hub.test:5000", "https://hub.test:5443"
SEEN_WITHIN = 40.0  # lab-registry asks every 15 s, for up to 5 s each way


def configure(folder: Path, proxy: str) -> Path:
    """A folder for DOCKER_CONFIG whose configuration names a proxy."""
    (folder / "config.json").write_text(
        json.dumps({"proxies": {"default": {"httpProxy": proxy, "httpsProxy": proxy}}})
    )
    return folder


def proxies_in(lab: Lab, name: str) -> dict[str, str]:
    """The variables about proxies in a container of the lab."""
    client = lab.context.client()
    entries = provision.node_entries(client, lab.name) | provision.service_entries(client, lab.name)
    lines = client.api.inspect_container(entries[name]["Id"])["Config"]["Env"]
    found = dict(line.split("=", 1) for line in lines)
    return {name: value for name, value in found.items() if name.lower().endswith("_proxy")}


def assert_everybody_is_reached(lab: Lab) -> None:
    """Nodes reach storage, registry and each other, and requests from outside reach their tasks."""
    node = lab.node("worker1")
    node.run("curl --silent --fail --max-time 5 http://storage:8080/ >/dev/null", quiet=True)
    node.run("docker pull -q web:1", quiet=True)
    lab.node("manager1").run(
        f"docker service create -d --name web --mode global {PUBLISH} {TELL} web:1", quiet=True
    )
    lab.wait(checks.running("web", 3), timeout=90)
    node.run("until curl --silent --fail --max-time 5 http://worker2:8080/; do sleep 0.2; done", quiet=True)
    answers = load.send(list(lab.nodes.values()), 8080, 3, settle=30)
    assert {answer.answered for answer in answers} == {f"web.{name}" for name in lab.nodes}


# -- proxies that are not there ---------------------------------------------------------------------------


def test_a_proxy_that_is_not_there_is_in_nobodys_way(
    new_lab: Callable[[], Lab], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab()
    monkeypatch.setenv("DOCKER_CONFIG", str(configure(tmp_path, NOBODY)))
    for name in NAMES:
        monkeypatch.setenv(name, NOBODY)
    done = labkit("up", "--swarm", "--lab", lab.name)
    assert done.returncode == 0, done.stderr
    for name in ("manager1", "worker1", "worker2", "storage"):
        assert set(proxies_in(lab, name).values()) <= {""}
    assert_everybody_is_reached(lab)
    assert labkit("reset", "--lab", lab.name).returncode == 0


def test_with_compose_neither(
    new_lab: Callable[[], Lab],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = compose.binary(tmp_path_factory.mktemp("compose"))
    lab = new_lab()
    builder.ensure_all(lab.context.client(), topology.load().images, QUIET)
    monkeypatch.setenv("DOCKER_CONFIG", str(configure(tmp_path, NOBODY)))
    monkeypatch.setenv("LABKIT_LAB", lab.name)
    monkeypatch.setenv("LABKIT_NET", "172.30.191")
    for name in NAMES:
        monkeypatch.setenv(name, NOBODY)
    done = subprocess.run(
        [program, "-f", topology.default_path(), "up", "-d", "--wait"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for name in ("manager1", "worker1", "worker2", "storage"):
        assert set(proxies_in(lab, name).values()) <= {""}
    assert proxies_in(lab, "registry")["HTTPS_PROXY"] == NOBODY  # for lab-registry alone
    lab.up(swarm=True, reporter=QUIET)
    assert_everybody_is_reached(lab)


# -- a proxy that is the only way -------------------------------------------------------------------------


class Company:
    """A lab in a network whose only way out is `proxy`, and what is outside: the two Docker Hubs."""

    def __init__(self, lab: Lab, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.lab, self.client, self.patch = lab, lab.context.client(), patch
        self.authority = self_signed(folder, "authority")
        own = signed_by(self.authority, folder, "hub", "hub.test")
        patch.setenv("LABKIT_CACHE", f"{lab.name}-cache")
        patch.setenv("DOCKER_CONFIG", str(folder))
        secure = {
            "REGISTRY_HTTP_TLS_CERTIFICATE": f"/{own.file.name}",
            "REGISTRY_HTTP_TLS_KEY": f"/{own.key.name}",
        }
        self.hubs = [self._serve("plain", {}, ()), self._serve("tls", secure, (own.file, own.key))]
        self.places = {
            "hub.test:5000": ("127.0.0.1", self._port(self.hubs[0])),
            "hub.test:5443": ("127.0.0.1", self._port(self.hubs[1])),
        }
        for place in self.places.values():
            self._push(place[1])
        wanted = provision.create_network(lab.context, provision.choose_topology(self.client, lab.name))
        self.gateway = str(wanted.subnet[1])  # an address of this computer that the lab's containers reach

    def _serve(self, name: str, environment: dict[str, str], files: tuple[Path, ...]) -> Container:
        container = self.client.containers.create(
            builder.ensure(self.client, "docker-registry", lambda _: None),
            name=f"{self.lab.name}-{name}",
            ports={"5000/tcp": ("127.0.0.1", None)},  # type: ignore[dict-item]
            environment=environment,
        )
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            for file in files:
                tar.add(file, file.name)
        container.put_archive("/", made.getvalue())
        container.start()
        container.reload()
        return container

    def _port(self, container: Container) -> int:
        return int(container.attrs["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"])

    def _push(self, port: int) -> None:
        recipe = f"FROM {builder.content_tag('busybox')}\nLABEL from=hub\nCMD sleep infinity\n"
        for name in ("nginx", "redis"):
            # Not 127.0.0.1: whoever fills the lab's registry removes what is left of pushes to there.
            target = f"localhost:{port}/library/{name}:hub"
            self.client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=target, rm=True)
            answer = self.client.images.push(target)
            self.client.images.remove(target)
            assert "errorDetail" not in answer, answer

    def up(self, hub: str, proxy: str, authority: Path | None = None) -> None:
        """Bring the lab up with a new registry that has these settings; an empty proxy is labkit's choice."""
        if registry := provision.service_entries(self.client, self.lab.name).get("registry"):
            self.client.api.remove_container(registry["Id"], force=True, v=True)
        self.change(hub, proxy, authority)

    def change(self, hub: str, proxy: str, authority: Path | None = None) -> None:
        """The same with the registry that is there, unless labkit creates it again."""
        for name, value in (("HUB", hub), ("HUB_PROXY", proxy), ("CA_FILE", authority or "")):
            self.patch.setenv(f"LABKIT_{name}", str(value))
        self.lab.up(reporter=QUIET)

    def wait(self, pattern: str) -> str:
        """Wait until the registry says of Docker Hub what matches, and return it."""
        registry = service(self.lab, "registry")
        started = datetime.fromisoformat(registry.attrs["State"]["StartedAt"]).timestamp()

        def said() -> str:
            found = re.findall(r"Docker Hub answers: (.*)", log(registry, since=started))
            return found[-1] if found and re.search(pattern, found[-1]) else ""

        said_last = eventually(said, f"Docker Hub answers: {pattern}", SEEN_WITHIN)
        inside(registry, "timeout", "10", "registry-ready")
        return said_last

    def origin(self, reference: str) -> str:
        """Pull on a node, and tell whose image that is: `hub` or nothing."""
        script = (
            "docker system prune --all --force >/dev/null; "
            f"docker pull -q {reference} >/dev/null && docker image inspect --format "
            f"'{{{{index .Config.Labels \"from\"}}}}' {reference}"
        )
        return self.lab.node("worker1").run(script, quiet=True).stdout.strip()

    @contextmanager
    def proxy(self, port: int = 0, login: str = "") -> Iterator[tuple[ForwardProxy, str]]:
        """The company's proxy, and its address."""
        with forward_proxy(self.gateway, self.places, login, port) as proxy:
            yield proxy, f"{self.gateway}:{proxy.port}"

    def close(self) -> None:
        for hub in self.hubs:
            hub.remove(force=True, v=True)
        self.lab.down()
        self.client.volumes.get(f"{self.lab.name}-cache").remove()


@pytest.fixture(scope="module")
def _company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with pytest.MonkeyPatch.context() as patch:
        made = Company(Lab(f"test-{uuid.uuid4().hex[:8]}"), tmp_path_factory.mktemp("company"), patch)
        yield made
        made.close()


@pytest.fixture
def company(_company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """A company whose settings are those of one test."""
    _company.patch = monkeypatch
    return _company


def test_docker_hub_is_reached_through_the_proxy(company: Company) -> None:
    with company.proxy() as (proxy, address):
        company.up(PLAIN, f"http://{address}")
        assert company.wait("yes") == f"yes, through the proxy {address}"
        assert company.origin("nginx:hub") == "hub"
        assert any(line.startswith(f"GET {PLAIN}/v2/library/nginx/blobs/") for line in proxy.requests)
        assert {line.split("/v2/")[0] for line in proxy.requests} <= {f"GET {PLAIN}", f"HEAD {PLAIN}"}
        # Without the proxy, which nodes don't have, docker.com isn't there: the registry stands in for it.
        registry = service(company.lab, "registry")
        own = inside(registry, "hostname", "-i").strip()
        assert own in inside(registry, "nslookup", "-type=a", "docker.com", own).partition("docker.com")[2]


def test_the_clients_configuration_names_the_proxy_too(company: Company, tmp_path: Path) -> None:
    with company.proxy() as (_, address), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(configure(tmp_path, f"http://{address}")))
        company.up(PLAIN, "")
        assert company.wait("yes") == f"yes, through the proxy {address}"
        assert company.origin("nginx:hub") == "hub"
        assert set(proxies_in(company.lab, "manager1").values()) <= {""}
        before = service(company.lab, "registry").id
        company.lab.up(reporter=QUIET)
        assert service(company.lab, "registry").id == before  # which has that proxy already


def test_a_proxy_goes_away_and_comes_back(company: Company) -> None:
    with company.proxy() as (proxy, address):
        company.up(PLAIN, f"http://{address}")
        company.wait("yes")
        assert company.origin("nginx:hub") == "hub"
    said = company.wait("no")
    assert re.fullmatch(rf"no \(through the proxy {address}: .*; directly: .*hub.test.*\)", said)
    assert company.origin("nginx:hub") == "hub"  # what was kept
    assert company.origin("web:1") == ""
    with company.proxy(port=proxy.port):
        company.wait("yes")
        assert company.origin("redis:hub") == "hub"


def test_without_the_proxy_the_direct_way_is_taken(company: Company) -> None:
    network = company.client.networks.get(provision.choose_topology(company.client, company.lab.name).network)
    network.connect(company.hubs[0], aliases=["hub.test"])
    try:
        company.up(PLAIN, NOBODY)
        assert company.wait("yes") == "yes"
        assert company.origin("nginx:hub") == "hub"
    finally:
        network.disconnect(company.hubs[0])


def test_a_proxy_that_wants_a_login(company: Company) -> None:
    with company.proxy(login="me:secret") as (_, address):
        company.up(PLAIN, f"http://{address}")
        assert f"through the proxy {address}: HTTP 407" in company.wait("no")
        company.up(TLS, f"http://{address}")
        assert "407" in company.wait("no")
        company.up(PLAIN, f"http://me:secret@{address}/")
        assert company.wait("yes") == f"yes, through the proxy {address}"
        assert company.origin("nginx:hub") == "hub"
        assert "secret" not in log(service(company.lab, "registry"))


def test_a_companys_authority_is_asked_for_and_then_believed(company: Company) -> None:
    with company.proxy() as (proxy, address):
        company.up(TLS, f"http://{address}")
        assert "certificate" in company.wait("no .*LABKIT_CA_FILE")
        assert company.origin("nginx") == ""
        assert "LABKIT_CA_FILE" in labkit("doctor", "--lab", company.lab.name).stdout.replace("\n", " ")
        company.change(TLS, f"http://{address}", company.authority.file)  # which creates the registry again
        assert company.wait("yes") == f"yes, through the proxy {address}"
        assert company.origin("nginx:hub") == "hub"
        assert set(proxy.requests) == {"CONNECT hub.test:5443"}


def test_a_file_that_is_no_authority_is_refused(company: Company, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="LABKIT_CA_FILE names no certificates"):
        company.up(TLS, "none", tmp_path / "nothing.pem")
