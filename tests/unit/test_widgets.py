"""Widgets without an engine: which command they build, on which node, and what they do when that fails."""

import shlex
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import faults as cluster_faults
from labkit.cluster.faults import CUT_OFF
from labkit.observe.recording import Frame
from labkit.swarm.model import Port, Snapshot
from labkit.transport.commands import CancelToken
from labkit.util.errors import CommandInterrupted, CommandTimedOut, LabError, LabNotRunning
from labkit.widgets import availability, panel, ports, scale, terminals, update
from labkit.widgets.faults import Faults
from labkit.widgets.panel import Panel
from tests.recorded import recorded

HOSTILE = "web; rm -rf / $(id) 'x' \"y\" --detach"


def test_commands_go_to_a_manager_that_takes_part() -> None:
    assert panel.manager(recorded("three-nodes")) == "manager1"
    three = recorded("three-managers")
    assert panel.manager(three) == "manager1"
    parted = tuple(
        replace(node, manager_status="unreachable") if node.name == "manager1" else node
        for node in three.nodes
    )
    assert panel.manager(replace(three, nodes=parted)) == "worker1"


def test_without_quorum_the_command_is_tried_and_fails_by_itself() -> None:
    lost = recorded("quorum-lost")
    assert lost.engines[panel.manager(lost)].manager


def test_no_manager_is_told_with_what_the_engines_say() -> None:
    with pytest.raises(LabError) as caught:
        panel.manager(replace(recorded("three-nodes"), engines={}))
    assert "no manager answers" in caught.value.what
    assert "docker swarm init" in caught.value.next_step


def test_scale_builds_one_word_of_any_name() -> None:
    assert scale.command("web", 6) == "docker service scale web=6"
    assert shlex.split(scale.command(HOSTILE, 6)) == ["docker", "service", "scale", f"{HOSTILE}=6"]


def test_availability_quotes_any_name() -> None:
    assert availability.command("worker1", "drain") == "docker node update --availability drain worker1"
    assert shlex.split(availability.command(HOSTILE, "pause"))[-1] == HOSTILE


def test_an_update_is_one_command_with_all_its_options() -> None:
    assert update.command("web", "web:2", 2, 5, "rollback") == (
        "docker service update --image web:2 --update-parallelism 2 --update-delay 5s "
        "--update-failure-action rollback web"
    )
    words = shlex.split(update.command(HOSTILE, HOSTILE, 0, 0, HOSTILE))
    assert words[-1] == words[4] == words[10] == HOSTILE and len(words) == 12
    assert shlex.split(update.rollback(HOSTILE)) == ["docker", "service", "rollback", HOSTILE]


def test_progress_counts_the_new_images_tasks() -> None:
    snapshot = recorded("half-updated")
    service = next(service for service in snapshot.services if service.update)
    new, wanted = update.rolled_out(snapshot, service)
    assert (new, wanted) == (2, 4)
    assert update.state(service) == "; the update is in progress"
    assert update.state(replace(service, update="paused", update_message="why")).endswith("by itself (why)")
    assert update.state(replace(service, update="")) == ""


def test_published_ports_are_those_of_tcp() -> None:
    snapshot = recorded("overlays")
    assert [(name, port.published) for name, port in ports.published(snapshot)] == [
        ("agent", 9000),
        ("web", 8080),
    ]


def test_a_terminal_button_cannot_become_markup() -> None:
    assert '"><' not in terminals.button('x"><script>')


# -- what goes wrong meanwhile --------------------------------------------------------------------------

SECONDS = 20.0  # until a test gives up


class Node:
    """A node that is under the fault that a test says."""

    def __init__(self, name: str) -> None:
        self.name, self.fault = name, ""
        self.container = SimpleNamespace(name=f"x-{name}")


class FakeLab:
    """A lab whose swarm is a recorded one."""

    def __init__(self, recording: str = "services", shared: object = None) -> None:
        self.seen = recorded(recording)
        self.nodes = {name: Node(name) for name in self.seen.engines}
        self.node = self.nodes.__getitem__
        self._shared = shared

    def snapshot(self, **_: float) -> Snapshot:
        return self.seen

    def shared(self, _: Callable[..., Any]) -> Any:
        return self._shared


def sink(*_: str) -> None:
    pass


def test_one_that_cannot_be_closed_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    lab: Any = FakeLab()
    closed = threading.Event()

    def fail() -> None:
        raise KeyError("a mistake")

    shown = Panel(lab, "title")
    shown.until_hidden(fail)
    shown.until_hidden(closed.set)
    shown.close()
    assert closed.wait(SECONDS)
    assert "could not close" in caplog.text


class Mistaken(Panel):
    """A widget with a mistake that it meets once the lab changes."""

    changed = False

    def reflect(self, _: Snapshot) -> None:
        if self.changed:
            raise KeyError("a mistake")


def test_a_mistake_while_it_follows_is_shown_and_does_not_end_the_following() -> None:
    lab: Any = FakeLab()
    shown = Mistaken(lab, "title")
    shown.changed = True
    shown._frame(Frame(0.0, lab.seen, ()))
    assert "a mistake" in shown._note.value
    shown.changed = False
    shown._frame(Frame(0.0, lab.seen, ()))
    assert "a mistake" not in shown._note.value


class Forward:
    """A port forward that closes with its last user."""

    def __init__(self, url: str) -> None:
        self.url, self.closed = url, False


class Forwards:
    """Counts who uses which forward."""

    def __init__(self) -> None:
        self.made: list[Forward] = []
        self.released: list[Forward] = []

    def use(self, node: Node, port: int) -> Forward:
        self.made.append(Forward(f"http://{node.name}:{port}/{len(self.made)}"))
        return self.made[-1]

    def release(self, forward: Forward) -> None:
        self.released.append(forward)


def hide(shown: Panel) -> None:
    """No page shows it any more; what it had opened is closed."""
    closers, shown._open = shown._open, []
    for close in closers:
        close()


def test_links_are_used_once_each_and_anew_when_it_is_shown_again() -> None:
    forwards = Forwards()
    lab: Any = FakeLab(shared=forwards)
    shown, port = ports.Ports(lab), Port(8080, 80, "tcp", "ingress")
    assert shown.url("worker1", port) == shown.url("worker1", port) == "http://worker1:8080/0"
    hide(shown)
    assert forwards.released == forwards.made
    assert shown.url("worker1", port) == "http://worker1:8080/1"  # others may have closed the first one


def test_a_link_that_was_closed_is_replaced_and_both_are_given_up() -> None:
    forwards = Forwards()
    lab: Any = FakeLab(shared=forwards)
    shown, port = ports.Ports(lab), Port(8080, 80, "tcp", "ingress")
    shown.url("worker1", port)
    forwards.made[0].closed = True
    assert shown.url("worker1", port) == "http://worker1:8080/1"
    hide(shown)
    assert forwards.released == forwards.made


@pytest.fixture
def deck(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """A fault deck; each fault and its undoing meet a look of the follower meanwhile."""
    lab: Any = FakeLab()
    shown = Faults(lab)

    def meet(node: Any, state: str) -> None:
        shown.report(lab.seen)
        node.fault = state

    monkeypatch.setattr(cluster_faults, "apply", lambda node, fault: meet(node, fault.state))
    monkeypatch.setattr(cluster_faults, "undo", lambda node: meet(node, ""))
    return shown


def test_a_fault_is_seen_although_somebody_looked_just_before_it_came(deck: Faults) -> None:
    deck._applying("worker1", CUT_OFF)(sink, CancelToken())
    assert "worker1 cut off" in deck.report(deck.lab.snapshot())
    deck._undoing(["worker1"])(sink, CancelToken())
    assert "worker1 runs" in deck.report(deck.lab.snapshot())


def test_undoing_of_all_faults_can_be_stopped(deck: Faults) -> None:
    token = CancelToken()
    for node in ("worker1", "worker2"):
        deck._applying(node, CUT_OFF)(sink, token)
    with pytest.raises(CommandInterrupted, match="worker2"):
        deck._undoing(["worker1", "worker2"])(lambda *_: token.cancel(), token)
    assert {name: node.fault for name, node in deck.lab.nodes.items()}["worker2"] == "cut off"


def test_a_scaling_that_times_out_says_so_even_when_nobody_answers_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab: Any = FakeLab()
    shown = scale.Scale(lab, "web")

    def late(*_: object, **__: object) -> Any:
        raise CommandTimedOut("it took too long")

    def gone(**_: object) -> Any:
        raise LabNotRunning("the lab is gone")

    monkeypatch.setattr(shown, "on", lambda *_, **__: late)
    monkeypatch.setattr(lab, "snapshot", gone)
    with pytest.raises(CommandTimedOut, match="it took too long"):
        shown._scaling(3)(sink, CancelToken())
