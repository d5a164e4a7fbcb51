"""The picture of the managers: votes, majority, margin, and what it means when managers fail."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.text import Text

from labkit.plots import DARK, LIGHT, describe_managers, managers
from labkit.plots.theme import Theme
from labkit.swarm.model import Engine, Node, Snapshot
from tests.pictures import faults, looks_as_before, texts
from tests.recorded import EMPTY, NO_SWARM, RECORDINGS, enlarged, recorded


def view(*parts: str) -> Snapshot:
    """A swarm of managers of these MANAGER STATUS."""
    nodes = tuple(
        Node(str(place), f"node{place}", "manager", "active", "ready", part, "", {})
        for place, part in enumerate(parts, start=1)
    )
    return Snapshot({}, nodes, quorum=True)


def lost(on: int, off: int) -> Snapshot:
    """Without a quorum: managers that are on, and machines that are off."""
    engines = [Engine(f"node{number}", "running", "active", manager=True) for number in range(1, on + 1)]
    engines += [Engine(f"node{number}", "exited") for number in range(on + 1, on + off + 1)]
    return Snapshot({engine.name: engine for engine in engines}, quorum=False)


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_swarm_is_drawn_without_faults(name: str) -> None:
    assert faults(managers(recorded(name))) == []


@pytest.mark.parametrize(
    "snapshot",
    [
        NO_SWARM,
        EMPTY,
        enlarged(10, 300),
        view("leader", "unreachable", ""),
        view("leader", *["reachable"] * 6),
        lost(3, 4),
        lost(3, 0),
    ],
)
def test_councils_of_all_sizes_are_drawn_without_faults(snapshot: Snapshot) -> None:
    assert faults(managers(snapshot)) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", ["three-managers", "manager-unreachable", "quorum-lost"])
def test_it_looks_as_before(name: str, theme: Theme, tmp_path: Path) -> None:
    before = recorded("three-managers") if name == "quorum-lost" and theme == DARK else None
    picture = managers(recorded(name), before=before, theme=theme)
    looks_as_before(picture, f"managers-{name}-{theme.name}", tmp_path)


def test_each_manager_tells_its_part() -> None:
    words = texts(managers(recorded("manager-unreachable")))
    assert words[1:8] == [
        "manager1",
        "★ leader",
        "worker1",
        "✓ reachable",
        "worker2",
        "✗ unreachable",
        "✗ off",
    ]
    assert [word for word in words if "vote" in word.lower()] == [
        "✓ vote",
        "✓ vote",
        "✗ no vote",
        "Votes: 2 of 3. A majority is 2.",
    ]


def test_each_vote_stands_below_its_own_manager() -> None:
    """A dead manager's missing vote isn't another one's."""
    picture = managers(view("unreachable", "leader", "reachable"))
    left = {text.get_text(): text.get_position()[0] for text in picture.findobj(Text)}
    missing = left["✗ no vote"]
    assert left["node1"] < missing < left["node2"]


def test_a_worker_has_no_vote() -> None:
    assert "worker1" not in texts(managers(recorded("three-nodes")))


@pytest.mark.parametrize(
    ("parts", "rule", "conclusion"),
    [
        (
            ["leader"],
            "1 manager: it decides alone; none may fail.",
            "One manager decides alone; if it fails, the swarm cannot be changed; "
            "running tasks keep running.",
        ),
        (
            ["leader", "reachable"],
            "2 managers: both must agree; none may fail.",
            "Both managers take part; one loss and the swarm cannot be changed; running tasks keep running.",
        ),
        (
            ["leader", "reachable", "reachable"],
            "3 managers: 2 must agree; 1 may fail.",
            "All 3 managers take part; 1 may fail, and the swarm can still be changed.",
        ),
        (
            ["leader", "unreachable", "reachable"],
            "3 managers: 2 must agree; 1 may fail.",
            "2 of 3 managers take part; one more loss and the swarm cannot be changed; "
            "running tasks keep running.",
        ),
        (
            ["leader", *["reachable"] * 3, "unreachable"],
            "5 managers: 3 must agree; 2 may fail.",
            "4 of 5 managers take part; 1 more may fail, and the swarm can still be changed.",
        ),
    ],
)
def test_the_rule_and_what_it_means_now(parts: Sequence[str], rule: str, conclusion: str) -> None:
    first, second, *_ = describe_managers(view(*parts)).splitlines()
    assert (second, first) == (rule, conclusion)
    assert rule in texts(managers(view(*parts)))


def test_an_even_number_adds_no_margin() -> None:
    assert "3 would do as well: an even number of managers adds no margin." in describe_managers(
        view("leader", *["reachable"] * 3)
    )
    assert "even" not in describe_managers(view("leader", "reachable", "reachable"))


def test_a_manager_that_just_joins_does_not_count_yet() -> None:
    snapshot = view("leader", "")
    assert describe_managers(snapshot).startswith("One manager decides alone")
    assert "joining" in texts(managers(snapshot))


def test_without_a_quorum_it_tells_who_must_come_back() -> None:
    before, now = recorded("three-managers"), recorded("quorum-lost")
    assert describe_managers(now, before=before).splitlines() == [
        "The managers have lost their quorum;"
        " the swarm cannot be changed; tasks on nodes that are up keep running.",
        "3 managers: 2 must agree; 1 may fail.",
        "Missing: worker1 (off) and worker2 (off). 1 of them must come back.",
        "Votes: 1 of 3. A majority is 2.",
        "manager1: on.",
        "worker1: off.",
        "worker2: off.",
    ]


def test_without_a_quorum_and_unknown_managers_it_says_no_more_than_is_sure() -> None:
    assert "There is a quorum again as soon as a manager among them comes back." in describe_managers(
        recorded("quorum-lost")
    )
    assert "as soon as 2 managers among them come back" in describe_managers(lost(1, 4))
    assert not [word for word in texts(managers(recorded("quorum-lost"))) if "vote" in word]


def test_all_that_are_off_must_come_back_when_the_majority_needs_them() -> None:
    before = view("leader", "reachable")
    assert "node2 (off). All of them must come back." in describe_managers(lost(1, 1), before=before)


def test_managers_that_are_on_but_cannot_agree() -> None:
    before = view("leader", "reachable", "reachable")
    for words in (describe_managers(lost(3, 0)), describe_managers(lost(2, 1), before=before)):
        assert "Enough managers are on: they are electing a leader, or cannot reach each other." in words


def test_a_frozen_manager_does_not_vote() -> None:
    snapshot = lost(1, 1)
    frozen = {**snapshot.engines, "node3": Engine("node3", "paused", "active", manager=True)}
    words = describe_managers(
        replace(snapshot, engines=frozen), before=view("leader", "reachable", "reachable")
    )
    assert "Missing: node2 (off) and node3 (frozen). 1 of them must come back." in words


def test_without_a_swarm_it_says_so() -> None:
    assert describe_managers(NO_SWARM).splitlines() == [
        "There is no swarm yet.",
        "The first engine that creates a swarm is its first manager: docker swarm init.",
    ]
