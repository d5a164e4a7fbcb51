"""Published ports of nodes in a browser on this machine: through the engine, wherever it is."""

import gc
import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labkit import Lab
from labkit.cluster.node import Node
from labkit.observe.traffic.port_forward import PortForward, PortForwards
from tests.helpers import eventually, inside, service

pytestmark = pytest.mark.engine


@pytest.fixture
def node(lab: Lab) -> Node:
    """A node with something on port 8080 that tells which node it is, and keeps a file of 10 MB."""
    found = lab.node("worker1")
    found.run(
        "docker run -d --name task --publish 8080:80 --env NODE=worker1 --env SLOT=1 web:1;"
        "docker exec task dd if=/dev/zero of=/usr/share/nginx/html/large bs=1M count=10;"
        "until curl --silent --fail --output /dev/null http://127.0.0.1:8080; do :; done",
        quiet=True,
    )
    return found


@pytest.fixture
def silent(lab: Lab) -> Node:
    """A node with something on port 8080 that takes connections, and never replies."""
    found = lab.node("worker1")
    found.run("docker run -d --publish 8080:80 busybox nc -ll -p 80 -e sleep infinity", quiet=True)
    return found


def left_running(lab: Lab) -> list[str]:
    """What of the connections still runs where they enter the nodes' network."""
    processes = inside(service(lab, "registry"), "ps", "-o", "args").splitlines()
    return [line for line in processes if "labkit" in line or line.startswith("nc")]


def open_files() -> int:
    gc.collect()  # what other tests have dropped
    return len(list(Path("/proc/self/fd").iterdir()))


def fetch(link: PortForward, path: str = "json") -> bytes:
    with urllib.request.urlopen(link.url + path, timeout=30) as reply:
        return bytes(reply.read())


def connect(link: PortForward) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(link.url.strip("/").rpartition(":")[2])), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_nodes_port_answers_at_the_local_address(node: Node) -> None:
    with PortForward(node, 8080) as link:
        assert json.loads(fetch(link))["node"] == "worker1"
        assert fetch(link, "large") == bytes(10 * 2**20)


def test_a_port_of_a_node_has_one_forward_until_nobody_uses_it(lab: Lab) -> None:
    node, forwards = lab.node("worker1"), lab.shared(PortForwards)
    first = forwards.use(node, 8080)
    assert forwards.use(lab.node("worker1"), 8080) is first
    others = forwards.use(node, 8081), forwards.use(lab.node("worker2"), 8080)
    assert len({first.url, *(link.url for link in others)}) == 3
    forwards.release(first)
    assert not first.closed
    for link in (first, *others):
        forwards.release(link)
        assert link.closed
        link.close()
    again = forwards.use(node, 8080)
    assert again is not first and not again.closed
    forwards.release(again)


def test_a_forward_that_was_closed_is_replaced(lab: Lab) -> None:
    node, forwards = lab.node("worker1"), lab.shared(PortForwards)
    first = forwards.use(node, 8080)
    first.close()
    second = forwards.use(node, 8080)
    assert second is not first and not second.closed
    forwards.release(first)
    assert forwards.use(node, 8080) is second
    for _ in range(2):
        forwards.release(second)
    assert second.closed


def test_many_connections_at_once_and_nothing_is_left(lab: Lab, node: Node) -> None:
    threads, files = threading.active_count(), open_files()
    with PortForward(node, 8080) as link, ThreadPoolExecutor(12) as browsers:
        replies = list(browsers.map(lambda _: fetch(link), range(24)))
        assert len(replies) == 24
        assert len(set(replies)) == 1
        assert eventually(lambda: not left_running(lab), "the end of the connections")
    assert threading.active_count() == threads
    assert open_files() == files


def test_a_browser_that_has_said_all_still_gets_its_reply(node: Node) -> None:
    with PortForward(node, 8080) as link, connect(link) as browser:
        browser.sendall(b"GET /json HTTP/1.0\r\n\r\n")
        browser.shutdown(socket.SHUT_WR)
        assert b'"node": "worker1"' in read_all(browser)


def test_a_service_hears_when_a_browser_has_said_all(lab: Lab) -> None:
    node, said = lab.node("worker1"), random.Random(4).randbytes(2**20)
    node.run(
        "docker run -d --publish 8080:80 busybox nc -ll -p 80 -e sha256sum", quiet=True
    )  # ends at the end
    with PortForward(node, 8080) as link, connect(link) as browser:
        browser.sendall(said)
        browser.shutdown(socket.SHUT_WR)
        assert read_all(browser).decode().split()[0] == hashlib.sha256(said).hexdigest()


def test_a_port_where_nobody_listens_closes_the_connection(lab: Lab) -> None:
    with PortForward(lab.node("worker1"), 9) as link, connect(link) as browser:
        assert read_all(browser) == b""


def test_a_node_that_is_cut_off_is_out_of_a_browsers_reach_too(node: Node) -> None:
    with PortForward(node, 8080) as link:
        node.cut_off()
        with connect(link) as browser:
            browser.sendall(b"GET /json HTTP/1.0\r\n\r\n")
            assert read_all(browser) == b""
        node.reconnect()
        assert fetch(link)


def test_a_lab_that_is_gone_closes_the_connection(lab: Lab) -> None:
    with PortForward(lab.node("worker1"), 8080) as link:
        service(lab, "registry").stop()
        with connect(link) as browser:
            assert read_all(browser) == b""


def test_closing_ends_connections_that_wait_for_a_reply(lab: Lab, silent: Node) -> None:
    threads, files = threading.active_count(), open_files()
    with PortForward(silent, 8080) as link, connect(link) as browser:
        browser.sendall(b"GET /json HTTP/1.0\r\n\r\n")
        assert eventually(lambda: left_running(lab), "the connection")
        link.close()
        assert read_all(browser) == b""
    assert threading.active_count() == threads
    assert open_files() == files
    assert eventually(lambda: not left_running(lab), "the end of the connection")


def test_connections_end_with_the_python_that_carried_them(lab: Lab, silent: Node) -> None:
    code = (
        "import urllib.request; from labkit import Lab; "
        "from labkit.observe.traffic.port_forward import PortForward; "
        f"urllib.request.urlopen(PortForward(Lab({lab.name!r}).node({silent.name!r}), 8080).url)"
    )
    python = subprocess.Popen([sys.executable, "-c", code])
    assert eventually(lambda: left_running(lab), "the connection")
    python.kill()
    python.wait()
    assert eventually(lambda: not left_running(lab), "the end of the connection")
