"""A prediction against what happened."""

from pathlib import Path

import pytest

from labkit.plots import DARK, compare, describe, describe_compare
from tests.pictures import faults, looks_as_before, texts

TWO_EACH = {"manager1": 2, "worker1": 2, "worker2": 2}
MOVED = {"manager1": 2, "worker1": 1, "worker2": 3}
MANY = {f"a-node-with-a-long-name-{number}": number for number in range(40)}
DIFFERENT = {"pending": 2, "running": 4}
CASES = {
    "right": (TWO_EACH, TWO_EACH),
    "partly": (TWO_EACH, MOVED),
    "wrong": ({"running": 6}, DIFFERENT),
    "many": (MANY, {**MANY, "a-node-with-a-long-name-39": 4000}),
    "zeros": ({"a": 0}, {"a": 0}),
    "empty": ({}, {}),
}


@pytest.mark.parametrize("name", ["right", "partly", "wrong"])
def test_it_looks_as_before(name: str, tmp_path: Path) -> None:
    looks_as_before(compare(*CASES[name]), f"compare-{name}", tmp_path)


def test_it_looks_as_before_in_the_dark(tmp_path: Path) -> None:
    looks_as_before(compare(TWO_EACH, MOVED, theme=DARK), "compare-partly-dark", tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_nothing_lies_on_anything(name: str) -> None:
    assert faults(compare(*CASES[name])) == []


def test_all_right_says_so() -> None:
    picture = compare(TWO_EACH, TWO_EACH)
    assert describe(picture).startswith("It is just as you expected.")
    assert texts(picture).count("✓ as you expected") == 3


def test_differences_are_marked_and_told() -> None:
    picture = compare(TWO_EACH, MOVED)
    assert describe(picture) == (
        "You were right about 1 of 3.\n"
        "worker1: you expected 2, there is 1.\n"
        "worker2: you expected 2, there are 3.\n"
        "As you expected: manager1 2."
    )
    assert {"✓ as you expected", "1 fewer than you expected", "1 more than you expected"} <= set(
        texts(picture)
    )


def test_what_only_one_side_names_counts_as_none_on_the_other() -> None:
    told = describe_compare({"running": 6}, DIFFERENT)
    assert told.startswith("It came out differently from what you expected.")
    assert "pending: you expected 0, there are 2." in told


def test_of_many_labels_those_that_differ_are_shown_first() -> None:
    picture = compare(*CASES["many"])
    assert "and 16 more labels" in texts(picture)
    assert sum("than you expected" in words for words in texts(picture)) == 1


def test_nothing_to_compare() -> None:
    assert describe_compare({}, {}) == "There is nothing to compare."
