"""Widgets without an engine: which command they build, on which node."""

import shlex
from dataclasses import replace

import pytest

from labkit.errors import LabError
from labkit.widgets import availability, panel, ports, predict, scale, terminals, update
from labkit.widgets.predict import Outcome
from tests.recorded import recorded

HOSTILE = "web; rm -rf / $(id) 'x' \"y\" --detach"


def test_commands_go_to_a_manager_that_takes_part() -> None:
    assert panel.manager(recorded("three-nodes")) == "manager1"
    three = recorded("three-managers")
    without = replace(three, engines={name: e for name, e in three.engines.items() if name != "manager1"})
    assert panel.manager(without) == "worker1"


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
    assert update.state(service) == "; the update is under way"
    assert update.state(replace(service, update="paused", update_message="why")).endswith("by itself (why)")
    assert update.state(replace(service, update="")) == ""


def test_published_ports_are_those_of_tcp() -> None:
    snapshot = recorded("overlays")
    assert [(name, port.published) for name, port in ports.published(snapshot)] == [
        ("agent", 9000),
        ("web", 8080),
    ]


def test_placed_counts_running_tasks_on_every_node_of_the_lab() -> None:
    snapshot = recorded("services")
    assert predict.placed(snapshot, "web") == {"manager1": 1, "worker1": 2, "worker2": 1}
    assert set(predict.placed(snapshot, "no-such-service").values()) == {0}


def test_an_outcome_is_right_when_all_of_it_is() -> None:
    snapshot = recorded("three-nodes")
    assert Outcome({"a": 1, "b": 2}, {"b": 2, "a": 1}, snapshot).right
    assert not Outcome({"a": 1, "b": 2}, {"a": 2, "b": 1}, snapshot).right


def test_a_terminal_button_cannot_become_markup() -> None:
    assert '"><' not in terminals.button('x"><script>')
