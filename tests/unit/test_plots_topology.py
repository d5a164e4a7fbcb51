"""The topology, drawn from what real swarms answered."""

from dataclasses import replace
from pathlib import Path

import pytest

from labkit.plots import DARK, describe, describe_topology, topology
from labkit.swarm.model import Network, Port, Snapshot
from tests.pictures import faults, looks_as_before, texts
from tests.recorded import DATA, enlarged, recorded

ALL = sorted(path.stem for path in DATA.glob("*.json"))


def crowded() -> Snapshot:
    """24 services on long-named networks, each with two ports, on 14 nodes."""
    names = [f"a-service-with-a-long-name-{number}" for number in range(24)]
    big = enlarged(14, 336, names)
    networks = tuple(
        Network(name, name, "overlay", ("10.20.30.0/24",), encrypted=True)
        for name in ("a-network-with-a-long-name", "another-network", "unused")
    )
    services = tuple(
        replace(
            service,
            networks=("a-network-with-a-long-name", "another-network")[: place % 3],
            vips={"another-network": "10.255.255.255"} if place % 2 else {},
            ports=(Port(8000 + place, 80, "tcp", "ingress"), Port(0, 53, "udp", "host")),
        )
        for place, service in enumerate(big.services)
    )
    return replace(big, services=services, networks=networks)


@pytest.mark.parametrize("name", ["overlays", "pending-and-failed", "manager-unreachable", "quorum-lost"])
def test_it_looks_as_before(name: str, tmp_path: Path) -> None:
    looks_as_before(topology(recorded(name)), f"topology-{name}", tmp_path)


def test_it_looks_as_before_in_the_dark(tmp_path: Path) -> None:
    looks_as_before(topology(recorded("overlays"), theme=DARK), "topology-overlays-dark", tmp_path)


@pytest.mark.parametrize("name", ALL)
def test_nothing_lies_on_anything(name: str) -> None:
    assert faults(topology(recorded(name))) == []


def test_neither_does_it_in_a_crowded_swarm() -> None:
    picture = topology(crowded())
    assert faults(picture) == []
    assert "and 4 more services and 2 more nodes" in texts(picture)
    assert "And 4 more services." in describe(picture)


def test_networks_services_and_ports_are_shown() -> None:
    written = texts(topology(recorded("overlays")))
    assert {"front", "10.0.1.0/24", "back", "10.0.2.0/24", "ingress"} <= set(written)
    assert {"10.0.1.2", "10.0.1.10", "10.0.2.2", "10.0.0.5"} <= set(written)  # virtual addresses
    assert "8080 → 80  web" in written
    assert [words for words in written if "9000 → 80" in words] == ["   9000 → 80 agent"] * 3


def test_a_service_without_a_virtual_address_or_network_is_told_as_such() -> None:
    written, told = texts(topology(recorded("overlays"))), describe_topology(recorded("overlays"))
    assert written.count("no VIP (dnsrr)") == 1
    assert written.count("no overlay network") == 1
    assert "counter runs on manager1 (1). It has no VIP on back" in told
    assert "agent runs on manager1 (1), worker1 (1) and worker2 (1). It is on no overlay network" in told


def test_the_conclusion_comes_first() -> None:
    told = describe_topology(recorded("overlays"))
    assert told.startswith("4 services, 2 overlay networks and 1 port open on every node.\n")
    assert "Network back (10.0.2.0/24) joins cache and counter." in told
    assert "Port 8080 of every node leads to its port 80." in told
    assert "Port 9000 of the nodes that run it leads to its port 80." in told


def test_encrypted_networks_say_so() -> None:
    told = recorded("overlays")
    secret = replace(told, networks=tuple(replace(network, encrypted=True) for network in told.networks))
    assert "10.0.2.0/24 · encrypted" in texts(topology(secret))
    assert "Network back (10.0.2.0/24, encrypted)" in describe_topology(secret)


def test_a_network_of_nobody_says_so() -> None:
    assert "Network back (10.0.2.0/24) has no service." in describe_topology(recorded("half-updated"))
    assert "no service" in texts(topology(recorded("half-updated")))


def test_what_a_node_that_is_down_ran_is_not_told_as_running() -> None:
    told = describe_topology(recorded("manager-unreachable"))
    assert "everywhere runs on manager1 (1) and worker1 (1)." in told
    assert "down" in texts(topology(recorded("manager-unreachable")))


def test_without_a_swarm_it_says_so() -> None:
    picture = topology(Snapshot({}))
    assert texts(picture) == ["There is no swarm yet"]
    assert describe(picture) == "There is no swarm yet."


def test_a_network_of_six_services_is_one_bar() -> None:
    """Two bars of one network look like two networks that can't reach each other."""
    snapshot = enlarged(3, 12, [f"s{number}" for number in range(6)])
    front = Network("n1", "front", "overlay", ("10.0.1.0/24",))
    services = tuple(
        replace(service, networks=("front",), vips={"front": f"10.0.1.{place}/24"})
        for place, service in enumerate(snapshot.services, 2)
    )
    picture = topology(replace(snapshot, services=services, networks=(front,)))
    assert texts(picture).count("front") == 1
    assert faults(picture) == []


def test_further_bars_of_a_network_say_so() -> None:
    snapshot = enlarged(3, 20, [f"s{number}" for number in range(10)])
    front = Network("n1", "front", "overlay", ("10.0.1.0/24",))
    services = tuple(replace(service, networks=("front",)) for service in snapshot.services)
    picture = topology(replace(snapshot, services=services, networks=(front,)))
    assert texts(picture).count("same network as above") == 1
    assert faults(picture) == []
