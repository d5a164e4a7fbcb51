"""What can be read on the wire between two nodes: an overlay network's traffic, and an encrypted one's."""

import json
import re
from collections.abc import Iterator

import pytest

from labkit import Lab
from tests.fullkernel.swarm.services import container, deploy, on

pytestmark = pytest.mark.fullkernel

# In the path of a request, so that each network has a text of its own.
TEXTS = {"open": "a-letter-in-plain-sight", "sealed": "a-letter-in-an-envelope"}
# tcpdump's words for UDP port 4789, with the network's number, and for IP protocol 50.
VXLAN, ESP = re.compile(r": VXLAN, flags .* vni (\d+)$", re.MULTILINE), re.compile(r": ESP\(spi=")


@pytest.fixture(scope="module")
def wire(swarm: Lab) -> Iterator[str]:
    """What passed between the workers while a task asked its neighbour on both networks, as tcpdump reads it.

    The same two tasks on both, so that nothing differs but the network.
    """
    on(
        swarm.node("manager1"),
        "docker network create --driver overlay open;"
        "docker network create --driver overlay --opt encrypted sealed",
    )
    where = "--mode global --constraint node.role==worker --network open --network sealed"
    deploy(swarm, "post", 2, f"{where} --no-healthcheck web:1")
    here, there = swarm.node("worker1"), swarm.node("worker2")
    found = on(
        there, f"docker inspect --format '{{{{json .NetworkSettings.Networks}}}}' {container(there, 'post')}"
    )
    addresses = {name: json.loads(found)[name]["IPAddress"] for name in TEXTS}
    between = f"host {there.address} and (udp port 4789 or ip proto 50)"
    on(
        here,
        f"docker run --quiet --detach --name wire --network host toolbox "
        f"tcpdump --immediate-mode -l -n -A -i eth0 '{between}';"
        "until docker logs wire 2>&1 | grep --quiet 'listening on'; do sleep 0.2; done",
    )
    for name, address in addresses.items():
        url = f"http://{address}/json?{TEXTS[name]}"
        ask = f"docker exec {container(here, 'post')} wget -q -O - -T 30 {url}"
        assert json.loads(on(here, ask))["address"] == address
    yield on(here, "docker stop wire >&2; docker logs wire")
    on(here, "docker rm --force wire")


def test_an_overlay_networks_text_is_readable_on_the_wire(wire: str) -> None:
    assert len(set(VXLAN.findall(wire))) == 1  # packets of one network, not of both
    assert f"GET /json?{TEXTS['open']}" in wire


def test_an_encrypted_networks_text_is_not(wire: str) -> None:
    assert ESP.search(wire)
    assert TEXTS["sealed"] not in wire
