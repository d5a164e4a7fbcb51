"""How commands are named to the user."""

import pytest

from labkit.engine.selection import EngineContext
from labkit.util import command_hint


@pytest.fixture(autouse=True)
def called_labkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_COMMAND", raising=False)


def test_the_default_lab_needs_no_flag() -> None:
    assert command_hint.command("up") == "labkit up"
    assert command_hint.command("up", lab=command_hint.DEFAULT_LAB) == "labkit up"


def test_another_lab_is_named() -> None:
    assert command_hint.command("shell", "manager1", lab="class-7") == "labkit shell manager1 --lab class-7"


def test_who_came_through_the_script_is_told_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_COMMAND", "./lab")
    assert command_hint.command("doctor") == "./lab doctor"


def test_hints_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_COMMAND", "/home/a learner/lab")
    assert command_hint.command("logs", "it's") == "'/home/a learner/lab' logs 'it'\"'\"'s'"


@pytest.mark.parametrize("variable", ["", "docker", "vm-direct"])
@pytest.mark.parametrize(
    ("kind", "expected"), [("", "vm"), ("docker", "vm"), ("vm", "vm"), ("vm-direct", "vm-direct")]
)
def test_what_offers_the_virtual_machine_names_it_whatever_engine_was_chosen(
    monkeypatch: pytest.MonkeyPatch, variable: str, kind: str, expected: str
) -> None:
    monkeypatch.setenv("LABKIT_ENGINE", variable)
    context = EngineContext("swarm-lab", kind)
    assert context.hint("up", engine="vm") == f"labkit up --engine {expected}"
    assert context.hint("down") == "labkit down"
