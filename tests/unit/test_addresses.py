"""How many addresses an overlay network has, who has them, and when they can't be enough."""

from dataclasses import replace

import pytest

from labkit.swarm import addresses
from labkit.swarm.model import Network, Node, Port, Service, Snapshot, Task
from labkit.swarm.parse import parse_snapshot


def network(**config: str) -> Network:
    """A network as an engine describes it, with one pool."""
    entry = {"Id": "n", "Name": "small", "Scope": "swarm", "Driver": "overlay", "IPAM": {"Config": [config]}}
    (found,) = parse_snapshot([], [], [], [], [entry]).networks
    return found


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"Subnet": "10.9.9.0/28", "Gateway": "10.9.9.1"}, 13),
        ({"Subnet": "10.9.9.0/28"}, 13),  # the gateway takes one, whichever it is
        ({"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}, 253),
        ({"Subnet": "10.0.1.0/24", "IPRange": "10.0.1.128/28", "Gateway": "10.0.1.1"}, 16),
        ({"Subnet": "10.0.1.0/24", "IPRange": "10.0.1.128/28", "Gateway": "10.0.1.129"}, 15),
        ({"Subnet": "10.0.1.0/24", "IPRange": "10.0.1.0/28", "Gateway": "10.0.1.1"}, 14),
        ({"Subnet": "10.0.1.0/30", "Gateway": "10.0.1.1"}, 1),
        ({"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1"}, 0),  # IPv4 is what runs out
    ],
)
def test_a_pool_has_what_its_subnet_network_broadcast_and_gateway_leave(
    config: dict[str, str], count: int
) -> None:
    assert network(**config).addresses == count


def swarm(
    service: Service, tasks: int, *, new: int = 0, on: str = "worker1", others: tuple[Service, ...] = ()
) -> Snapshot:
    """A swarm of two nodes with the tasks of one service on one of them."""
    return Snapshot(
        engines={},
        nodes=tuple(Node(name, name, "worker", "active", "ready", "", "", {}) for name in ("manager1", on)),
        services=(service, *others),
        tasks=(
            *(
                Task(f"t{n}", service.name, n + 1, on, "running", "running", "", networks=service.networks)
                for n in range(tasks)
            ),
            *(Task(f"n{n}", service.name, tasks + n + 1, "", "new", "running", "") for n in range(new)),
        ),
        networks=(network(Subnet="10.9.9.0/28"),),
        quorum=True,
    )


WEB = Service("s", "web", "web:1", 11, networks=("small",))


def test_tasks_services_and_nodes_each_take_one() -> None:
    found = addresses.usage(swarm(WEB, 4), network(Subnet="10.9.9.0/28"))
    assert (found.tasks, found.virtual, found.nodes) == ({"web": 4}, ("web",), ("worker1",))
    assert (found.used, found.needed, found.too_small) == (6, 13, False)


def test_one_more_task_than_there_are_addresses_is_too_many() -> None:
    (found,) = addresses.too_small(swarm(replace(WEB, replicas=12), 11, new=1), replace(WEB, replicas=12))
    assert (found.used, found.needed, found.network.addresses) == (13, 14, 13)


def test_a_service_without_a_virtual_ip_takes_none() -> None:
    service = replace(WEB, replicas=12, virtual_ip=False)
    assert addresses.too_small(swarm(service, 11, new=1), service) == []


def test_tasks_that_have_ended_have_given_theirs_back() -> None:
    snapshot = swarm(WEB, 4)
    ended = tuple(replace(task, id=f"old{task.id}", state="rejected") for task in snapshot.tasks)
    snapshot = replace(snapshot, tasks=(*snapshot.tasks, *ended))
    assert addresses.usage(snapshot, snapshot.networks[0]).used == 6


def test_every_service_on_a_network_counts_also_for_the_others() -> None:
    other = replace(WEB, id="o", name="other", replicas=10)
    apart = replace(WEB, id="a", name="apart", replicas=100, networks=("elsewhere",))
    snapshot = swarm(replace(WEB, replicas=2), 2, others=(other, apart))
    (found,) = addresses.too_small(snapshot, other)
    assert found.needed == 2 + 10 + 2 + 1
    assert "run fewer tasks (docker service scale other=8)" in "\n".join(addresses.describe(found, other))
    assert addresses.too_small(snapshot, apart) == []


def test_on_the_ingress_network_every_node_and_every_published_service_takes_one() -> None:
    shop = replace(WEB, networks=(), ports=(Port(8080, 80, "tcp", "ingress"),), replicas=11)
    snapshot = swarm(shop, 4)
    ingress = replace(snapshot.networks[0], name="ingress", ingress=True)
    (found,) = addresses.too_small(replace(snapshot, networks=(ingress,)), shop)
    assert (found.nodes, found.needed) == (("manager1", "worker1"), 14)
    assert list(addresses.describe(found, shop))[-1].endswith("--ingress --subnet SUBNET ingress")
    in_host_mode = replace(shop, ports=(Port(8080, 80, "tcp", "host"),))
    assert addresses.usage(snapshot, ingress) != addresses.usage(
        replace(snapshot, services=(in_host_mode,)), ingress
    )


def test_a_service_that_fits_no_default_network_is_to_be_spread() -> None:
    service = replace(WEB, replicas=300)
    (found,) = addresses.too_small(swarm(service, 9, new=291), service)
    assert any("no network larger than a /24" in line for line in addresses.describe(found, service))


def test_a_network_whose_size_is_unknown_is_not_blamed() -> None:
    service = replace(WEB, replicas=300)
    snapshot = replace(swarm(service, 9), networks=(Network("n", "small", "overlay"),))
    assert addresses.too_small(snapshot, service) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.9.9.7", "small (10.9.9.0/28) overlaps the nodes' own network: worker1 is 10.9.9.7."),
        ("10.9.9.16", None),
        ("192.168.1.7", None),
        ("", None),  # a node that has never reported
    ],
)
def test_a_network_over_the_nodes_own_is_named_with_them(address: str, words: str | None) -> None:
    snapshot = swarm(WEB, 1)
    manager, worker = snapshot.nodes
    snapshot = replace(snapshot, nodes=(manager, replace(worker, address=address)))
    assert next(addresses.over_nodes(snapshot, WEB), None) == words
    assert list(addresses.over_nodes(snapshot, replace(WEB, networks=()))) == []
