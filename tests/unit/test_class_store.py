"""The class service's file: each record once, ids that only grow, and what deleting means."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.course.progress import Record
from labkit.workshop.classroom import mail
from labkit.workshop.classroom import store as stores
from labkit.workshop.classroom.store import Full, Store

JOURNAL = "7a0ff4f6-4f0e-4f3b-9a0c-3f1c8a3a6a11"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "class.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    found = Store(path)
    yield found
    found.close()


def made(name: str = "services.2", moment: float = 1000.0) -> Record:
    return Record(moment, "lab", "exercise", name, True, {"points": ["✓ it runs"]})


def test_a_record_is_stored_once(store: Store) -> None:
    assert store.add_records("anna", JOURNAL, {1: made(), 2: made()}) == (2, 2)
    assert store.add_records("anna", JOURNAL, {1: made(), 2: made(), 3: made()}) == (3, 1)
    assert store.add_records("anna", JOURNAL, {2: made("changed")}) == (3, 0)
    assert [entry.name for entry in store.records("anna")] == ["services.2"] * 3
    assert store.records("bo") == []


def test_another_journal_and_another_learner_have_ids_of_their_own(store: Store) -> None:
    store.add_records("anna", JOURNAL, {1: made()})
    assert store.add_records("anna", JOURNAL.replace("7", "8"), {1: made()}) == (1, 1)
    assert store.add_records("bo", JOURNAL, {1: made()}) == (1, 1)
    assert len(store.records("anna")) == 2


def test_no_record_is_later_than_its_arrival(store: Store) -> None:
    store.add_records("anna", JOURNAL, {1: made(moment=3e9)})
    assert store.records("anna")[0].moment <= time.time()


def test_a_learner_cannot_fill_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_RECORDS", 3)
    store.add_records("anna", JOURNAL, {1: made(), 2: made()})
    with pytest.raises(Full):
        store.add_records("anna", JOURNAL, {3: made(), 4: made()})
    assert store.last("anna", JOURNAL) == 2
    assert store.add_records("anna", JOURNAL, {2: made(), 3: made()}) == (3, 1)


def test_what_was_written_survives_a_crash(store: Store, path: Path) -> None:
    store.add_records("anna", JOURNAL, {1: made()})
    with sqlite3.connect(path) as other:  # nothing was closed, as after SIGKILL
        assert other.execute("SELECT count(*) FROM records").fetchone() == (1,)
    assert path.stat().st_mode & 0o077 == 0


def test_ids_only_grow_also_when_the_file_is_lost(store: Store, tmp_path: Path) -> None:
    first = store.mail.send(["anna", "bo"], "message", {"text": "hello"})
    second = store.mail.send(["anna"], "message", {"text": "again"})
    assert first[0] < first[1] < second[0]
    store.forget_all()
    assert store.mail.send(["anna"], "message", {"text": "later"})[0] > second[0]
    fresh = Store(tmp_path / "other.sqlite")
    time.sleep(0.002)
    assert fresh.mail.send(["anna"], "message", {"text": "new"})[0] > second[0]
    fresh.close()


def test_an_inbox_continues_after_the_id_that_was_seen_last(store: Store) -> None:
    one, two = (store.mail.send(["anna"], "message", {"text": text})[0] for text in ("one", "two"))
    store.mail.send(["bo"], "message", {"text": "not for anna"})
    assert [item.id for item in store.mail.waiting("anna", 0)] == [one, two]
    assert [item.data["text"] for item in store.mail.waiting("anna", one)] == ["two"]
    assert store.mail.waiting("anna", two) == []


def test_commands_are_for_everybody_and_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "MOST_COMMANDS", 2)
    store.mail.publish([{"command": f"docker node ls {number}"} for number in range(3)])
    for name in ("anna", "bo"):
        assert [item.data["command"][-1] for item in store.mail.waiting(name, 0)] == ["1", "2"]


def test_only_the_last_begin_or_reset_counts(store: Store) -> None:
    store.mail.send(["anna"], "begin", {"chapter": "run-services"})
    store.mail.send(["anna"], "message", {"text": "wait"})
    (last,) = store.mail.send(["anna"], "reset", {})
    assert [item.event for item in store.mail.waiting("anna", 0)] == ["message", "reset"]
    assert store.mail.finish("anna", last, True, "done")
    assert [item.event for item in store.mail.waiting("anna", 0)] == ["message"]
    assert [item.event for item in store.mail.sent("anna")] == ["reset", "message", "begin"]


def test_a_begin_that_waited_too_long_does_not_come_any_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.mail.send(["anna"], "begin", {"chapter": "run-services"})
    assert store.mail.waiting("anna", 0)
    monkeypatch.setattr(mail, "ACTION_SECONDS", -1.0)
    assert store.mail.waiting("anna", 0) == []


def test_an_outcome_belongs_to_whom_it_was_sent(store: Store) -> None:
    (number,) = store.mail.send(["anna"], "reset", {})
    (message,) = store.mail.send(["anna"], "message", {"text": "hello"})
    assert not store.mail.finish("bo", number, True, "mine?")
    assert not store.mail.finish("anna", message, True, "a message has no outcome")
    assert store.mail.finish("anna", number, False, "no engine")
    found = store.mail.sent("anna")[1]
    assert (found.ok, found.text) == (False, "no engine")


def test_deleting_a_learner_leaves_nothing_and_lets_nothing_come_back(store: Store, path: Path) -> None:
    store.meet("anna", False)
    store.meet("bo", False)
    store.add_records("anna", JOURNAL, {1: made(), 2: made()})
    store.add_records("bo", JOURNAL, {1: made()})
    store.mail.send(["anna"], "message", {"text": "a secret of anna"})
    assert store.forget("anna")
    assert not store.forget("anna")
    assert [person.name for person in store.people()] == ["bo"]
    assert store.records("anna") == store.mail.sent("anna") == []
    for file in path.parent.iterdir():
        assert b"anna" not in file.read_bytes(), file
    assert store.add_records("anna", JOURNAL, {1: made(), 2: made()}) == (
        2,
        0,
    )  # a copy on the learner's disk
    assert store.add_records("anna", JOURNAL, {3: made()}) == (3, 1)
    assert len(store.records("bo")) == 1


def test_deleting_everything(store: Store) -> None:
    store.meet("anna", False)
    store.add_records("anna", JOURNAL, {1: made()})
    store.mail.publish([{"command": "docker node ls"}])
    store.forget_all()
    assert store.people() == store.records("anna") == store.mail.waiting("anna", 0) == []


def test_data_expires(store: Store) -> None:
    store.meet("anna", False)
    store.add_records("anna", JOURNAL, {1: made()})
    store.mail.publish([{"command": "docker node ls"}])
    assert store.expire(time.time() - 60) == []
    assert store.mail.waiting("anna", 0)
    assert store.expire(time.time() + 60) == ["anna"]
    assert store.records("anna") == store.mail.waiting("anna", 0) == []
