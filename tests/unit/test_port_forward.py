"""Connections from a local port to a node's port, with a client outside the swarm that a test plays."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labkit.cluster.cluster import Cluster
from labkit.cluster.node import Node
from labkit.observe.traffic import client_host, port_forward
from labkit.observe.traffic.port_forward import PortForward, PortForwards
from labkit.transport.attach import STDERR, STDOUT
from labkit.util.errors import LabNotRunning

SECONDS = 20.0  # until a test gives up


class Process:
    """The client's connection to the node's port: by default the other side echoes."""

    def __init__(self, echo: bool = True) -> None:
        self._echo = echo
        self._said: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self.heard = b""
        self.input_ended, self.closed = threading.Event(), threading.Event()

    def say(self, data: bytes | None, stream: int = STDOUT) -> None:
        """Say something, or hang up."""
        self._said.put(None if data is None else (stream, data))

    def frames(self) -> Iterator[tuple[int, bytes]]:
        while (said := self._said.get(timeout=SECONDS)) is not None:
            yield said

    def write(self, data: bytes) -> None:
        if self.closed.is_set():
            raise BrokenPipeError
        self.heard += data
        if self._echo:
            self.say(data)

    def close_stdin(self) -> None:
        self.input_ended.set()
        if self._echo:
            self.say(None)

    def close(self) -> None:
        self.closed.set()
        self.say(None)


class Host:
    """The container from which the lab's own requests come."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.to_come: list[Process] = []
        self.targets: list[tuple[str, ...]] = []
        self.gone = False
        self.started = threading.Semaphore(0)
        self.hold = threading.Event()  # a start waits for it
        self.hold.set()

    def start(self, _context: object, _script: str, *arguments: str) -> Process:
        if self.gone:
            raise LabNotRunning("the registry does not run")
        self.targets.append(arguments)
        self.started.release()
        assert self.hold.wait(SECONDS)
        process = self.to_come.pop(0) if self.to_come else Process()
        self.processes.append(process)
        return process


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(client_host, "start", host.start)
    return host


@pytest.fixture
def forward(host: Host) -> Iterator[PortForward]:
    assert host
    with PortForward(node(), 8080) as forward:
        yield forward


def node(container: str = "c1") -> Node:
    fake = SimpleNamespace(name="worker1", container_id=container, address="172.30.77.11", context=None)
    return cast("Node", fake)


def browser(forward: PortForward) -> socket.socket:
    port = int(forward.url.rpartition(":")[2].strip("/"))
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return said


def carriers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit-forward")]


def test_bytes_go_through_both_ways_and_the_end_of_the_input_too(host: Host, forward: PortForward) -> None:
    data = bytes(range(256)) * 5000  # more than any buffer
    with browser(forward) as ours:
        sender = threading.Thread(target=lambda: (ours.sendall(data), ours.shutdown(socket.SHUT_WR)))
        sender.start()
        assert everything(ours) == data
        sender.join(SECONDS)
    assert host.targets == [("172.30.77.11", "8080")]
    assert host.processes[0].heard == data


def test_a_reply_may_still_come_after_the_end_of_the_input(host: Host, forward: PortForward) -> None:
    host.to_come = [Process(echo=False)]
    with browser(forward) as ours:
        ours.sendall(b"ask")
        ours.shutdown(socket.SHUT_WR)
        assert host.started.acquire(timeout=SECONDS)
        while not host.processes:
            pass
        (process,) = host.processes
        assert process.input_ended.wait(SECONDS)
        process.say(b"nc: a complaint", STDERR)
        process.say(b"answer")
        process.say(None)
        assert everything(ours) == b"answer"
    assert process.heard == b"ask"
    assert process.closed.wait(SECONDS)


def test_a_node_that_hangs_up_closes_the_browsers_connection(host: Host, forward: PortForward) -> None:
    process = Process(echo=False)
    host.to_come = [process]
    with browser(forward) as ours:
        process.say(None)
        assert everything(ours) == b""
    assert process.closed.wait(SECONDS)


def test_a_browser_that_has_gone_ends_the_connection_to_the_node(host: Host, forward: PortForward) -> None:
    process = Process(echo=False)
    host.to_come = [process]
    browser(forward).close()
    assert process.input_ended.wait(SECONDS)
    process.say(None)
    assert process.closed.wait(SECONDS)


def test_a_lab_that_is_gone_closes_the_connection_and_the_next_may_succeed(
    host: Host, forward: PortForward
) -> None:
    host.gone = True
    with browser(forward) as ours:
        assert everything(ours) == b""
    host.gone = False
    with browser(forward) as ours:
        ours.sendall(b"again")
        assert ours.recv(100) == b"again"


def test_closing_ends_what_is_open_and_every_thread(host: Host) -> None:
    forward = PortForward(node(), 8080)
    assert repr(forward) == f"<PortForward to port 8080 of worker1: {forward.url}>"
    with browser(forward) as ours:
        ours.sendall(b"here")
        assert ours.recv(100) == b"here"
        forward.close()
        assert everything(ours) == b""
    assert host.processes[0].closed.is_set()
    assert carriers() == []
    assert forward.closed and repr(forward).endswith(": closed>")
    with pytest.raises(OSError):
        browser(forward)
    forward.close()


def test_closing_does_not_wait_for_a_connection_that_is_only_being_made(host: Host) -> None:
    forward = PortForward(node(), 8080)
    process = Process(echo=False)
    host.to_come = [process]
    host.hold.clear()
    with browser(forward) as ours:
        assert host.started.acquire(timeout=SECONDS)
        closing = threading.Thread(target=forward.close)
        closing.start()
        assert everything(ours) == b""
        host.hold.set()
        closing.join(SECONDS)
    assert process.closed.is_set()
    assert carriers() == []


def test_the_acceptor_goes_on_after_a_failure(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with too many open files: the browser would have waited forever."""
    refusals = iter([OSError(24, "Too many open files"), ConnectionAbortedError()])
    accept = socket.socket.accept

    def failing(listener: socket.socket) -> Any:
        for refusal in refusals:
            raise refusal
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with PortForward(node(), 8080) as forward, browser(forward) as ours:
        ours.sendall(b"here")
        assert ours.recv(100) == b"here"
    assert len(host.processes) == 1


def test_closing_does_not_depend_on_a_connection_to_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host
    monkeypatch.setattr(port_forward, "_WAKE_SECONDS", 0.1)
    forward = PortForward(node(), 8080)

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "create_connection", refuse)
    forward.close()
    assert carriers() == []


def test_a_connection_for_which_there_is_no_thread_is_closed(
    host: Host, forward: PortForward, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(port_forward._Connection, "start", refuse)
        with browser(forward) as ours:
            assert everything(ours) == b""
    with browser(forward) as ours:
        ours.sendall(b"again")
        assert ours.recv(100) == b"again"
    assert len(host.processes) == 1


# -- shared by those who use it -------------------------------------------------------------------------


@pytest.mark.usefixtures("host")
def test_two_users_of_a_port_share_its_forward_until_the_last_one_gives_it_up() -> None:
    forwards = PortForwards(cast("Cluster", None))
    first, second = forwards.use(node(), 8080), forwards.use(node(), 8080)
    other = forwards.use(node(), 9000)
    assert first is second is not other
    forwards.release(first)
    assert not first.closed
    forwards.release(second)
    assert first.closed and not other.closed
    renewed = forwards.use(node(), 8080)
    assert renewed is not first and not renewed.closed
    for forward in (renewed, other):
        forwards.release(forward)
    assert carriers() == []


@pytest.mark.usefixtures("host")
def test_one_that_was_closed_by_hand_is_replaced_and_both_can_be_given_up() -> None:
    forwards = PortForwards(cast("Cluster", None))
    first = forwards.use(node(), 8080)
    first.close()
    second = forwards.use(node(), 8080)
    assert second is not first
    forwards.release(first)
    assert not second.closed
    assert forwards.use(node(), 8080) is second
    forwards.release(second)
    forwards.release(second)
    assert second.closed


@pytest.mark.usefixtures("host")
def test_a_node_that_was_made_anew_has_a_forward_of_its_own() -> None:
    forwards = PortForwards(cast("Cluster", None))
    old, new = forwards.use(node("c1"), 8080), forwards.use(node("c2"), 8080)
    assert old is not new
    for forward in (old, new):
        forwards.release(forward)


def test_behind_a_hub_the_link_goes_through_the_learners_own_server(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/anna/")
    forwards = PortForwards(cast(Cluster, None))
    forward = forwards.use(node(), 8080)
    assert forward.url == f"/user/anna/proxy/{forward._local_port}/"
    forwards.release(forward)
    assert forward.closed
