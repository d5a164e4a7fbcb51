"""The heat map of requests and answers."""

from pathlib import Path

import pytest

from labkit.observe.traffic.answers import Answer
from labkit.plots import DARK, describe, describe_mesh, mesh
from tests.pictures import faults, looks_as_before, texts

NODES = ("manager1", "worker1", "worker2")
TASKS = (("web.1", "manager1"), ("web.2", "worker1"), ("web.3", "worker2"), ("web.4", "worker1"))
REFUSED = "refused: nobody listens on this port of the node"

EVEN = [Answer(node, *TASKS[turn % 4]) for node in NODES for turn in range(20)]
ONE_SILENT = EVEN[:40] + [Answer("worker2", error=REFUSED)] * 20
UNEVEN = [Answer(node, *TASKS[0 if turn % 5 else 2]) for node in NODES for turn in range(20)]
SOME_LOST = [*UNEVEN, *[Answer("worker1", error="no answer within 2 s")] * 3]
MANY = [
    Answer(f"worker{entered}", f"web.{slot}", f"worker{slot % 10}")
    for entered in range(25)
    for slot in range(1, 301)
]
NONE = [Answer(node, error="no answer within 2 s") for node in NODES]
UNKNOWN = [Answer(node, "?") for node in NODES for _ in range(5)]
CASES = {
    "even": EVEN,
    "one-silent": ONE_SILENT,
    "uneven": UNEVEN,
    "some-lost": SOME_LOST,
    "many": MANY,
    "none": NONE,
    "unknown": UNKNOWN,
    "empty": [],
}


@pytest.mark.parametrize("name", ["even", "one-silent", "some-lost", "none"])
def test_it_looks_as_before(name: str, tmp_path: Path) -> None:
    looks_as_before(mesh(CASES[name]), f"mesh-{name}", tmp_path)


def test_it_looks_as_before_in_the_dark(tmp_path: Path) -> None:
    looks_as_before(mesh(SOME_LOST, theme=DARK), "mesh-some-lost-dark", tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_nothing_lies_on_anything(name: str) -> None:
    assert faults(mesh(CASES[name])) == []


@pytest.mark.parametrize(
    ("name", "conclusion"),
    [
        ("even", "Every node answered; 60 requests spread evenly over 4 tasks."),
        ("one-silent", "worker2 gave no answer; 40 requests spread evenly over 4 tasks."),
        ("uneven", "Every node answered; web.1 answered most, 48 of 60 requests."),
        ("some-lost", "3 of 63 requests got no answer; web.1 answered most, 48 of 60 requests."),
        ("none", "No request got an answer."),
        ("unknown", "Every node answered; 15 requests answered, by tasks that do not identify themselves."),
        ("empty", "No request was made."),
    ],
)
def test_the_conclusion_comes_first(name: str, conclusion: str) -> None:
    assert describe_mesh(CASES[name]).splitlines()[0] == conclusion


def test_cells_count_and_columns_stand_under_their_node() -> None:
    picture = mesh(EVEN)
    assert texts(picture).count("5") == 12
    assert {"web.1", "web.2", "web.3", "web.4", *NODES} <= set(texts(picture))
    assert "Entered at manager1, answered by web.1 (5), web.2 (5), web.4 (5) and web.3 (5)." in describe(
        picture
    )


def test_requests_without_an_answer_have_a_column_and_a_reason() -> None:
    written = texts(mesh(ONE_SILENT))
    assert "no answer" in written
    assert f"worker2: 20 requests without an answer ({REFUSED})" in written
    assert "no answer" not in texts(mesh(EVEN))


def test_many_tasks_are_gathered_by_node_and_many_rows_counted() -> None:
    written = texts(mesh(MANY))
    assert written.count("all tasks") == 10
    assert written.count("30") == 200
    assert "and 5 more nodes at which requests entered" in written


def test_a_small_table_has_no_blank_half() -> None:
    small = [Answer(node, *TASKS[0]) for node in NODES]
    assert mesh(small).size[0] < 500 < mesh(CASES["many"]).size[0]
    assert faults(mesh(small)) == []
