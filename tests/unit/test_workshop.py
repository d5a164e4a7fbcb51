"""A workshop's codes, list of learners, cards, and capacity."""

import re
from pathlib import Path

import pytest

from labkit.util.errors import LabError
from labkit.workshop import capacity, cards, codes, roster
from labkit.workshop.capacity import GIB, MIB, Host
from labkit.workshop.roster import Person

HOST = Host(memory=24 * GIB, disk=100 * GIB, cpus=2, inotify=512, processes=32768)


def test_a_code_matches_however_it_is_typed_and_no_other_does() -> None:
    code = codes.make()
    stored = codes.hashed(code)
    assert re.fullmatch(r"(?:[2-9a-hjkmnp-z]{4}-){2}[2-9a-hjkmnp-z]{4}", code)
    for typed in (code, code.upper(), code.replace("-", ""), f"  {code.replace('-', ' ')} "):
        assert codes.matches(typed, stored)
    assert not codes.matches(codes.make(), stored)
    assert not codes.matches("", stored)
    assert not codes.matches(code, codes.nobody())


def test_codes_are_stored_as_salted_hashes_and_an_instructors_is_long() -> None:
    code = codes.make()
    first, second = codes.hashed(code), codes.hashed(code)
    assert first != second
    assert code not in str(first.to_json())
    assert len(codes.make_long()) >= 32
    assert codes.make() != codes.make()


def test_a_list_of_names_becomes_logins(tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    file.write_text("# the class of Monday\nAna María,ana@example.org\n\nBo Chen\n", encoding="utf-8")
    assert [(each.login, each.name) for each in roster.read(file)] == [
        ("ana-maria", "Ana María"),
        ("bo-chen", "Bo Chen"),
    ]


def test_every_wrong_line_of_a_list_is_named(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("Bo Chen\nbo chen\n!!!\n", encoding="utf-8")
    with pytest.raises(LabError, match="2 problems") as refusal:
        roster.read(file)
    assert [line.partition(":")[0] for line in refusal.value.evidence] == ["line 2", "line 3"]


@pytest.mark.parametrize("content", ["", "# only a comment\n"])
def test_a_list_without_names_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(content)
    with pytest.raises(LabError, match="no names"):
        roster.read(file)


def test_cards_can_be_read_again_and_hostile_names_stay_text() -> None:
    hostile = Person("bo", "<script>alert(1)</script>")
    text = cards.page(
        [Person("ana", "Ana"), hostile],
        {"ana": "kd7m-2xqv-9hrt", "bo": "abcd-efgh-2345"},
        url="https://workshop.example.org/",
        fingerprint="AB:CD",
        own=False,
        title="Cards",
    )
    assert cards.read(text) == {"ana": "kd7m-2xqv-9hrt", "bo": "abcd-efgh-2345"}
    assert "<script>" not in text
    assert text.count("<svg") == 2
    assert "AB:CD" in text and "https://workshop.example.org/" in text


def test_the_scarcest_resource_says_how_many_fit() -> None:
    assert capacity.limits(HOST)[0].resource == "memory"
    tight = Host(memory=HOST.memory, disk=HOST.disk, cpus=2, inotify=128, processes=HOST.processes)
    assert capacity.limits(tight)[0] == (
        32,
        "inotify",
        "fs.inotify.max_user_instances is 128, and each place takes 3",
    )


def test_places_that_run_count_as_fitting() -> None:
    full = Host(memory=capacity.RESERVED_MEMORY, disk=50 * GIB, cpus=8, inotify=512, processes=32768)
    assert capacity.limits(full)[0].places == 0
    assert capacity.limits(full, running=5)[0].places == 5


def test_too_many_learners_are_refused_with_reasons_and_a_way_out() -> None:
    capacity.require(capacity.limits(HOST), 30, "fewer")
    tight = Host(memory=HOST.memory, disk=HOST.disk, cpus=2, inotify=128, processes=HOST.processes)
    with pytest.raises(LabError, match="room for 32 places, not for 35") as refusal:
        capacity.require(capacity.limits(tight), 35, "fewer")
    assert "sysctl fs.inotify.max_user_instances=512" in str(refusal.value.next_step)
    small = Host(memory=2048 * MIB, disk=HOST.disk, cpus=2, inotify=128, processes=HOST.processes)
    with pytest.raises(LabError) as refusal:
        capacity.require(capacity.limits(small), 35, "fewer")
    assert refusal.value.next_step == "fewer"
