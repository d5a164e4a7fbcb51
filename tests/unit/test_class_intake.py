"""What the class service takes from learners' places: every field checked, every size bounded."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.workshop.classroom import intake
from labkit.workshop.classroom.intake import Refused
from tests.classroom import record

JOURNAL = "7a0ff4f6-4f0e-4f3b-9a0c-3f1c8a3a6a11"
VIEW = {"board": "<svg/>", "text": "one node", "commands": []}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_KEYS = ("journal", "records", "id", "moment", "lab", "kind", "name", "ok", "detail", "text", "to", "board")


def sent(*records: Any) -> dict[str, Any]:
    return {"journal": JOURNAL.upper(), "records": list(records)}


def test_records() -> None:
    journal, found = intake.records(sent(record(1, "exercise", "services.2", points=["✓ it runs"])))
    assert journal == JOURNAL
    assert found[1].name == "services.2"
    assert found[1].detail == {"points": ["✓ it runs"]}
    assert intake.records(sent()) == (JOURNAL, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 0},
        {"id": True},
        {"id": 2**60},
        {"id": "1"},
        {"moment": -1},
        {"moment": 1e12},
        {"moment": float("inf")},
        {"moment": None},
        {"kind": "secret"},
        {"kind": ["exercise"]},
        {"name": "<img>"},
        {"name": "x" * 200},
        {"name": ""},
        {"ok": 1},
        {"lab": "x" * 200},
        {"detail": []},
        {"detail": None},
    ],
)
def test_a_field_that_is_not_what_it_should_be(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        intake.records(sent({**record(1, "exercise", "services.2"), **changes}))


@pytest.mark.parametrize("body", [None, [], "x", {}, {"journal": "x", "records": []}, {"journal": JOURNAL}])
def test_a_body_that_is_not_what_it_should_be(body: Any) -> None:
    for valid in (intake.records, intake.done, intake.message, intake.chapter):
        with pytest.raises(Refused):
            valid(body)


def test_too_many_records_at_once() -> None:
    with pytest.raises(Refused):
        intake.records(sent(*[record(number + 1, "hint", "create.1") for number in range(501)]))


def test_a_large_detail_is_shortened_and_never_stops_the_queue() -> None:
    points = ["✗ " + "long " * 10_000] * 1000
    (found,) = intake.records(sent(record(1, "exercise", "services.2", points=points, step=3)))[1].values()
    assert len(json.dumps(found.detail)) < 20_000
    assert found.detail["step"] == 3
    (found,) = intake.records(sent(record(1, "exercise", "services.2", points=points[:2])))[1].values()
    assert [len(point) for point in found.detail["points"]] == [2000, 2000]


def test_numbers_that_no_browser_can_read_are_left_out() -> None:
    body = intake.parse(
        b'{"journal": "%s", "records": [{"id": 1, "moment": 1, "lab": "l", "kind": "exam", "name": "start",'
        b' "ok": false, "detail": {"minutes": 1e999, "seed": %s}}]}' % (JOURNAL.encode(), b"9" * 400)
    )
    assert intake.records(body)[1][1].detail == {"minutes": None, "seed": None}


def test_secrets_and_control_characters_are_removed() -> None:
    token = "SWMTKN-1-" + "a" * 50 + "-" + "b" * 25
    text = f"{token} \x1b[31mred\x07 \u202eevil \ud800"
    (found,) = intake.records(sent(record(1, "exercise", "services.2", points=[text])))[1].values()
    assert found.detail["points"] == ["SWMTKN-1-… [31mred evil "]
    assert intake.commands([{"command": text, "output": text, "node": "manager1"}])[0]["output"].startswith(
        "SWMTKN-1-… "
    )


def test_a_view_is_bounded() -> None:
    assert intake.view(VIEW)["board"] == "<svg/>"
    command = {"moment": 1.5, "node": "manager1", "command": "docker node ls", "code": 0}
    assert intake.view({**VIEW, "commands": [command]})["commands"] == [command]
    for wrong in ({"board": "x" * 10**6}, {"board": 5}, {"commands": [command] * 51}, {"commands": [5]}):
        with pytest.raises(Refused):
            intake.view({**VIEW, **wrong})
    with pytest.raises(Refused):
        intake.view({**VIEW, "commands": [{**command, "code": float("inf")}]})


def test_a_long_output_is_shortened() -> None:
    (found,) = intake.commands([{"command": "docker service logs web", "output": "line\n" * 50_000}])
    assert len(found["output"]) < 66_000
    assert found["output"].endswith("… (shortened)")


def test_a_message() -> None:
    assert intake.message({"text": " hello ", "to": ["anna"]}) == (["anna"], "hello")
    assert intake.message({"text": "hello"}) == (None, "hello")
    for wrong in (
        {"text": " \n"},
        {"text": "x" * 2001},
        {"text": "x", "to": "anna"},
        {"text": "x", "to": [5]},
    ):
        with pytest.raises(Refused):
            intake.message(wrong)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 100_000])
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Refused):
        intake.parse(body)


@given(anything | st.dictionaries(st.sampled_from(_KEYS), anything))
def test_nothing_that_is_sent_raises_anything_else(body: Any) -> None:
    for valid in (intake.records, intake.done, intake.view, intake.commands, intake.message, intake.chapter):
        try:
            json.dumps(valid(body), default=vars, allow_nan=False).encode()
        except Refused as refused:
            assert str(refused)
