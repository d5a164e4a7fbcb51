"""Which subnet a lab takes, and what is said when it crosses a route or when none is free."""

import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from labkit.cluster import provision, subnets
from labkit.cluster.subnets import Surroundings, prefixes
from labkit.engine import routes
from labkit.engine.endpoints import Endpoint
from labkit.engine.routes import Route
from labkit.engine.selection import EngineContext
from labkit.topology import topology
from labkit.topology.compose_file import SWARM_OVERLAYS
from labkit.util.errors import EngineUnsuitable

LOCAL = Endpoint("unix:///here.sock", "here", api_version="1.41")
LAB = "mine"
# The kernel's answer in a network namespace with a link tun0: its address is 172.30.1.1/16, 10.66.0.0/16 is
# in a table of its own, 192.168.99.0/24 is unreachable, and the default route is there whole and in halves.
RECORDED = bytes.fromhex((Path(__file__).parents[1] / "data/routes.hex").read_text())
DEFAULT = {"Name": "bridge", "Id": "b" * 64, "Driver": "bridge", "Options": {routes._BRIDGE_NAME: "lo"}}


def network(name: str, subnet: str | None, **more: Any) -> dict[str, Any]:
    config = None if subnet is None else [{"Subnet": subnet}]
    return {"Name": name, "Id": f"{name:0<64}", "Driver": "bridge", "IPAM": {"Config": config}, **more}


OWN = network("mine_lab", "172.30.80.0/24", Labels={"org.labkit.lab": LAB})


class Engine:
    """An engine with these networks, which refuses what overlaps one of `unseen`."""

    def __init__(self, networks: list[dict[str, Any]], unseen: list[str]) -> None:
        self.api, self._networks = self, networks
        self.unseen, self.made = [IPv4Network(subnet) for subnet in unseen], list[str]()

    def networks(self) -> list[dict[str, Any]]:
        return self._networks


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> EngineContext:
    monkeypatch.delenv("LABKIT_NET", raising=False)
    monkeypatch.setattr(EngineContext, "endpoint", lambda _: LOCAL)
    return EngineContext(LAB)


def surround(
    monkeypatch: pytest.MonkeyPatch,
    networks: list[dict[str, Any]],
    seen: list[Route] | None = None,
    unseen: list[str] | None = None,
) -> Engine:
    engine = Engine([DEFAULT, *networks], unseen or [])

    class LabNetwork:
        def __init__(self, _: docker.DockerClient, wanted: topology.Topology) -> None:
            self.subnet = wanted.subnet

        def create(self) -> None:
            if any(self.subnet.overlaps(other) for other in engine.unseen):
                raise APIError("500", explanation="Pool overlaps with other one on this address space")
            engine.made.append(str(self.subnet))

    monkeypatch.setattr(EngineContext, "client", lambda *_: engine)
    monkeypatch.setattr(subnets, "engine_routes", lambda *_: seen)
    monkeypatch.setattr(provision, "LabNetwork", LabNetwork)
    return engine


def chosen(context: EngineContext) -> str:
    wanted = topology.load(env={"LABKIT_LAB": LAB})
    return str(provision.create_network(context, wanted).subnet)


def tunnel(subnet: str) -> Route:
    return Route(IPv4Network(subnet), "tun0")


# -- routes -----------------------------------------------------------------------------------------


def test_the_kernels_answer_is_read_from_every_table() -> None:
    found = {(str(subnet), index) for subnet, index in routes.parse(RECORDED)}
    assert found == {
        ("10.66.0.0/16", 3),
        ("0.0.0.0/1", 3),
        ("0.0.0.0/0", 3),
        ("128.0.0.0/1", 3),
        ("172.30.0.0/16", 3),
        ("192.168.99.0/24", 0),  # unreachable
        ("127.0.0.0/8", 1),
        ("127.0.0.1/32", 1),
        ("172.30.1.1/32", 3),  # its own address; the broadcast address isn't reported
    }


def test_the_default_route_is_no_subnet_not_even_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_dump", lambda: [RECORDED])
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (3, "tun0")])
    found = routes.engine_routes(LOCAL, [DEFAULT])
    assert found is not None
    assert min(route.subnet.prefixlen for route in found) == 8
    assert Route(IPv4Network("172.30.0.0/16"), "tun0") in found
    assert Route(IPv4Network("192.168.99.0/24"), "") in found


@pytest.mark.parametrize(
    ("engine", "networks", "shared"),
    [
        (LOCAL, [DEFAULT], True),
        (LOCAL, [], True),  # no bridge to tell by
        (LOCAL, [network("elsewhere", "172.17.0.0/16")], False),  # Docker Desktop, or a mounted socket
        (Endpoint("tcp://192.0.2.9:2376", "x"), [DEFAULT], False),
        (Endpoint("ssh://somebody@192.0.2.9", "x"), [DEFAULT], False),
        (Endpoint("unix:///here.sock", "x", vm=True), [DEFAULT], False),
    ],
)
def test_routes_count_for_an_engine_that_shares_them(
    engine: Endpoint, networks: list[dict[str, Any]], shared: bool
) -> None:
    assert (routes.engine_routes(engine, networks) is not None) is shared


# -- choosing ---------------------------------------------------------------------------------------


def test_candidates_are_in_several_ranges_and_none_is_where_overlays_are() -> None:
    found = [IPv4Network(f"{prefix}.0/24") for prefix in prefixes()]
    assert str(found[0]) == "172.30.77.0/24"
    assert len({subnet.supernet(new_prefix=16) for subnet in found}) == 4
    assert not any(subnet.overlaps(SWARM_OVERLAYS) for subnet in found)
    assert all(subnet.is_private for subnet in found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("networks", "seen", "subnet"),
    [
        ([], [], "172.30.77.0/24"),
        ([network("other_lab", "172.30.77.0/24")], [], "172.30.78.0/24"),
        ([network("big", "172.30.0.0/16")], [], "192.168.205.0/24"),
        ([network("big", "172.16.0.0/12")], [tunnel("192.168.0.0/16")], "198.19.77.0/24"),
        ([], [tunnel("172.30.0.0/16")], "192.168.205.0/24"),
        ([], [tunnel("172.30.77.9/32")], "172.30.78.0/24"),
        ([network("odd", None), network("six", "fd00::/64"), network("none", "")], [], "172.30.77.0/24"),
    ],
)
def test_the_first_subnet_that_nothing_uses_is_taken(
    context: EngineContext,
    monkeypatch: pytest.MonkeyPatch,
    networks: list[dict[str, Any]],
    seen: list[Route],
    subnet: str,
) -> None:
    engine = surround(monkeypatch, networks, seen)
    assert chosen(context) == subnet
    assert engine.made == [subnet]


def test_the_engine_has_the_last_word(context: EngineContext, monkeypatch: pytest.MonkeyPatch) -> None:
    surround(monkeypatch, [], unseen=["172.30.76.0/22", "172.30.80.0/30"])
    assert chosen(context) == "172.30.81.0/24"


def test_another_refusal_is_not_taken_for_an_overlap(
    context: EngineContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LabNetwork:
        def __init__(self, *_: object) -> None:
            raise APIError("500", explanation="no space left on device")

    surround(monkeypatch, [])
    monkeypatch.setattr(provision, "LabNetwork", LabNetwork)
    with pytest.raises(APIError, match="500"):
        chosen(context)


def test_a_lab_finds_its_subnet_again(context: EngineContext, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = surround(monkeypatch, [OWN], [tunnel("172.30.0.0/16")])
    found: Any = engine
    assert str(provision.choose_topology(found, LAB).subnet) == "172.30.80.0/24"
    assert provision.create_network(context, provision.choose_topology(found, LAB)).subnet
    assert engine.made == []


def test_the_users_choice_is_taken_although_a_route_leads_there(
    context: EngineContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    surround(monkeypatch, [], [tunnel("172.30.0.0/16")])
    monkeypatch.setenv("LABKIT_NET", "172.30.50")
    assert chosen(context) == "172.30.50.0/24"
    wanted = topology.load(env={"LABKIT_LAB": LAB, "LABKIT_NET": "172.30.50"})
    assert provision.describe_network(context, wanted) == (
        f"172.30.50.0/24; it overlaps the route to tun0 172.30.0.0/16: see {context.hint('doctor')}"
    )


def test_without_a_free_one_the_error_says_what_takes_them(
    context: EngineContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    vpn = [tunnel("192.168.0.0/16"), tunnel("172.16.0.0/12"), tunnel("198.19.77.0/24")]
    surround(monkeypatch, [network("big", "172.30.0.0/16")], vpn, unseen=["198.18.0.0/15"])
    with pytest.raises(EngineUnsuitable, match="no free subnet") as caught:
        chosen(context)
    assert caught.value.evidence[0] == "198.19.78.0/24: Pool overlaps with other one on this address space"
    assert (
        "172.16.0.0/12, the route to tun0, takes 40 of the 80 subnets that labs use" in caught.value.evidence
    )
    assert any("the Docker network big, takes 20" in line for line in caught.value.evidence)
    assert f"LABKIT_NET=192.168.77 {context.hint('up')}" in caught.value.next_step


def test_a_taken_choice_is_told_with_what_takes_it(
    context: EngineContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_NET", "172.17.5")
    others = [network("other", "172.30.77.0/24"), network("big", "172.17.0.0/16")]
    surround(monkeypatch, others, unseen=["172.17.0.0/16"])
    with pytest.raises(EngineUnsuitable, match="no free subnet") as caught:
        chosen(context)
    assert caught.value.evidence == (
        "172.17.5.0/24: Pool overlaps with other one on this address space",
        "172.17.0.0/16, the Docker network big, overlaps it",
    )


# -- doctor -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "seen", "net", "ok", "found"),
    [
        ([], [], "", True, "172.30.77.0/24"),
        ([], None, "", True, "172.30.77.0/24; the routes of the engine's host can't be seen from here"),
        ([OWN], [Route(IPv4Network("172.30.80.0/24"), "br-mine_lab0000")], "", True, "172.30.80.0/24"),
        (
            [OWN],
            [tunnel("172.30.0.0/16")],
            "",
            False,
            "172.30.80.0/24 overlaps the route to tun0 172.30.0.0/16",
        ),
        ([], [tunnel("172.30.0.0/16")], "", True, "192.168.205.0/24"),
        ([], [tunnel("192.168.0.0/16")], "192.168.7", False, "192.168.7.0/24 overlaps the route to tun0 192"),
        ([network("big", "192.168.0.0/16")], [], "192.168.7", False, "overlaps the Docker network big 192"),
        ([], [], "192.168", False, "LABKIT_NET=192.168 is not the first three octets of a subnet"),
        ([network("all", "0.0.0.0/0")], [], "", False, "no free subnet for the lab's network"),
    ],
)
def test_doctor_says_what_the_subnet_crosses(
    context: EngineContext,
    monkeypatch: pytest.MonkeyPatch,
    networks: list[dict[str, Any]],
    seen: list[Route] | None,
    net: str,
    ok: bool,
    found: str,
) -> None:
    surround(monkeypatch, networks, seen)
    if net:
        monkeypatch.setenv("LABKIT_NET", net)
    probe = Surroundings(context).examine()
    assert probe.ok is ok
    assert found in probe.found
    assert bool(probe.advice) is not ok
