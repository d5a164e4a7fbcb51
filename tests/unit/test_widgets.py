"""Widgets without an engine: which command they build, on which node."""

import shlex
from dataclasses import replace

import pytest

from labkit.errors import LabError
from labkit.widgets import panel, scale
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
