"""A lab's subnet on the real engine: clear of other networks and of the host's own routes."""

import contextlib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

import docker
import pytest
from docker.errors import ContainerError

from labkit import Lab
from labkit.cluster import provision, subnets
from labkit.cluster.subnets import Surroundings
from labkit.engine.routes import engine_routes
from labkit.images import builder
from labkit.util.errors import EngineUnsuitable
from tests.helpers import labkit

pytestmark = pytest.mark.engine

NewLab = Callable[[], Lab]
INTERFACE = "labkit-vpn"
FIRST, SECOND = "192.168.243", "172.16.243"
WIDE = "192.168.240.0/20"  # with the first in it


@pytest.fixture
def client(new_lab: NewLab) -> docker.DockerClient:
    return new_lab().context.client()


@pytest.fixture(autouse=True)
def _two_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs that run beside these tests have the real ones."""
    monkeypatch.delenv("LABKIT_NET", raising=False)
    monkeypatch.setattr(subnets, "_RANGES", (("192.168", [243]), ("172.16", [243])))


@pytest.fixture
def big(client: docker.DockerClient) -> Iterator[str]:
    """A network that takes the whole first range, as one with --subnet 172.30.0.0/16 did for labs."""
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=WIDE)])
    for left in client.networks.list(names=["labkit-test-big"]):  # by a killed run
        left.remove()
    network = client.networks.create("labkit-test-big", ipam=pool, labels={"org.labkit.test": "1"})
    yield "labkit-test-big"
    network.remove()


@pytest.fixture
def host_ip(client: docker.DockerClient, lab: Lab) -> Callable[..., None]:
    """Runs `ip` in the network of the engine's host."""
    if engine_routes(lab.context.endpoint(), client.api.networks()) is None:
        pytest.skip("the engine has routes of its own, which cannot be seen from here")

    def run(*arguments: str) -> None:
        client.containers.run(
            builder.content_tag("node"),
            list(arguments),
            entrypoint="ip",
            network_mode="host",
            cap_add=["NET_ADMIN"],
            remove=True,
        )

    return run


@pytest.fixture
def vpn(host_ip: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """An interface on the engine's host, as a VPN has it; takes commands for more routes."""
    with contextlib.suppress(ContainerError):  # a killed run has left it
        host_ip("link", "del", INTERFACE)
    host_ip("link", "add", INTERFACE, "type", "bridge")  # kernels without dummy or tun have bridges
    try:
        host_ip("link", "set", INTERFACE, "up")
        yield host_ip
    finally:
        host_ip("link", "del", INTERFACE)


def subnet_of(lab: Lab) -> str:
    """Create the lab's network, nothing else, and say where the engine put it."""
    client = lab.context.client()
    wanted = provision.create_network(lab.context, provision.choose_topology(client, lab.name))
    [entry] = client.api.networks(names=[wanted.network])
    assert entry["IPAM"]["Config"][0]["Subnet"] == str(wanted.subnet)
    return str(wanted.subnet)


def test_a_network_over_a_whole_range_leaves_the_others(new_lab: NewLab, big: str) -> None:
    lab = new_lab()
    assert subnet_of(lab) == f"{SECOND}.0/24"
    assert subnet_of(lab) == f"{SECOND}.0/24"  # it stays, whatever is free by then
    with pytest.raises(EngineUnsuitable, match="no free subnet") as caught:
        subnet_of(new_lab())
    assert any(f"the Docker network {big}" in line for line in caught.value.evidence)
    assert any(f"the Docker network {lab.name}_lab" in line for line in caught.value.evidence)


def test_a_route_of_the_host_counts_as_taken(new_lab: NewLab, vpn: Callable[..., None]) -> None:
    vpn("addr", "add", "192.168.241.1/20", "dev", INTERFACE)
    assert subnet_of(new_lab()) == f"{SECOND}.0/24"


def test_a_route_in_a_table_of_its_own_counts_as_well(new_lab: NewLab, vpn: Callable[..., None]) -> None:
    """As WireGuard's and Tailscale's do."""
    vpn("addr", "add", "203.0.113.1/32", "dev", INTERFACE)
    vpn("route", "add", f"{FIRST}.128/25", "dev", INTERFACE, "table", "51820")
    assert subnet_of(new_lab()) == f"{SECOND}.0/24"


def test_a_full_tunnel_takes_no_subnet(new_lab: NewLab, vpn: Callable[..., None]) -> None:
    """OpenVPN's redirect-gateway; here in a table that no rule uses, so that the host keeps its own route."""
    vpn("addr", "add", "203.0.113.1/32", "dev", INTERFACE)
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        vpn("route", "add", half, "dev", INTERFACE, "table", "51820")
    assert subnet_of(new_lab()) == f"{FIRST}.0/24"


def test_the_users_choice_is_obeyed_and_the_overlap_told(
    new_lab: NewLab, vpn: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    vpn("addr", "add", "192.168.241.1/20", "dev", INTERFACE)
    monkeypatch.setenv("LABKIT_NET", FIRST)
    lab = new_lab()
    assert subnet_of(lab) == f"{FIRST}.0/24"
    around = Surroundings(lab.context)
    assert f"overlaps the route to {INTERFACE} {WIDE}" in around.describe(IPv4Network(f"{FIRST}.0/24"))
    told = labkit("doctor", "--lab", lab.name).stdout
    assert "✗ Lab network" in told
    assert f"{FIRST}.0/24 overlaps the route to {INTERFACE} {WIDE}" in " ".join(told.split())


def test_a_vpn_that_comes_later_is_told_by_doctor(new_lab: NewLab, vpn: Callable[..., None]) -> None:
    lab = new_lab()
    assert subnet_of(lab) == f"{FIRST}.0/24"
    assert Surroundings(lab.context).examine().ok
    vpn("addr", "add", "192.168.241.1/20", "dev", INTERFACE)
    probe = Surroundings(lab.context).examine()
    assert (probe.ok, probe.found) == (False, f"{FIRST}.0/24 overlaps the route to {INTERFACE} {WIDE}")
