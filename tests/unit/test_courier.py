"""The courier of a workshop's place: with real SQLite files, and a class service on a real port.

The service is stopped and started again, and answers get lost: nothing may be lost or come twice.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.cluster.cluster import Cluster
from labkit.course import command_log, progress
from labkit.workshop.place import orders
from labkit.workshop.place.audience import Audience, notebook
from labkit.workshop.place.courier import Courier, within
from labkit.workshop.place.ledger import KEPT, Ledger
from labkit.workshop.place.service import Parser, Service
from tests.class_service import TOKEN, ClassService
from tests.helpers import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def service() -> Iterator[ClassService]:
    with ClassService() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the learner's data."""
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABKIT_CLASS_URL", "http://class.test")
    return tmp_path / "data"


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The orders that were carried out, which do nothing here."""
    found: list[str] = []

    async def carry_out(order: str, data: dict[str, Any]) -> tuple[bool, str]:
        found.append(" ".join(orders.arguments(order, data)))
        return True, "Lab 'swarm-lab' is where the chapter starts."

    monkeypatch.setattr(orders, "carry_out", carry_out)
    return found


class Place:
    """A courier at work, with what its browsers know."""

    def __init__(self, url: str, data: Path, *, instructor: bool = False, token: str = TOKEN) -> None:
        self.ledger = Ledger(data / "class.sqlite")
        self.audience = Audience(self.ledger)
        self.service = Service(url, token)
        log = logging.getLogger("test")
        self.courier = Courier(self.service, self.ledger, self.audience, log, instructor=instructor)

    def while_it_runs(self, act: Callable[[], object]) -> None:
        """Call `act` in a thread while the courier works; then end it."""

        async def run() -> None:
            working = asyncio.ensure_future(self.courier.run())
            try:
                await asyncio.to_thread(act)
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                await self.service.close()

        asyncio.run(run())


def solved(*names: str) -> None:
    for name in names:
        progress.of(Cluster("class-7")).record("exercise", name, points=["web has 3 replicas"])


def names(service: ClassService) -> list[str]:
    return [record["name"] for _, record in sorted(service.records.items(), key=lambda item: item[0][1])]


# -- records --------------------------------------------------------------------------------------------


def test_records_are_sent_as_they_are_made(service: ClassService, data: Path) -> None:
    solved("create.1", "create.2")

    def act() -> None:
        service.wait(lambda: names(service) == ["create.1", "create.2"])
        solved("create.3")
        service.wait(lambda: names(service) == ["create.1", "create.2", "create.3"])

    Place(service.url, data).while_it_runs(act)
    record = service.records[progress.identity(), 3]
    assert (record["lab"], record["kind"], record["ok"]) == ("class-7", "exercise", True)
    assert record["detail"] == {"points": ["web has 3 replicas"]}
    assert record["moment"] == progress.records()[-1].moment


def test_nothing_is_lost_or_sent_again_when_the_service_was_away(service: ClassService, data: Path) -> None:
    def act() -> None:
        solved("create.1")
        service.wait(lambda: len(service.records) == 1)
        service.stop()
        solved("create.2", "create.3")
        service.start()
        service.wait(lambda: names(service) == ["create.1", "create.2", "create.3"])

    Place(service.url, data).while_it_runs(act)
    sent = [
        record["id"] for path, body in service.requests if path == "records" for record in body["records"]
    ]
    assert sent == [1, 2, 3]


def test_a_lost_answer_makes_no_duplicates(service: ClassService, data: Path) -> None:
    service.forget_answers = 2
    solved("create.1")

    def act() -> None:
        service.wait(lambda: len(service.requests) == 3)
        solved("create.2")
        service.wait(lambda: len(service.records) == 2)

    Place(service.url, data).while_it_runs(act)
    assert names(service) == ["create.1", "create.2"]


def test_a_restarted_place_goes_on_where_it_was(service: ClassService, data: Path) -> None:
    solved("create.1")
    Place(service.url, data).while_it_runs(lambda: service.wait(lambda: len(service.records) == 1))
    eventually_acknowledged(data)
    solved("create.2")
    Place(service.url, data).while_it_runs(lambda: service.wait(lambda: len(service.records) == 2))
    assert [[r["id"] for r in body["records"]] for _, body in service.requests] == [[1], [2]]


def eventually_acknowledged(data: Path) -> None:
    """The answer may have been cut off by the end: then the record is sent again, which is fine elsewhere."""
    ledger = Ledger(data / "class.sqlite")
    if not ledger.acknowledged(progress.identity()):
        ledger.acknowledge(progress.identity(), 1)


def test_a_progress_file_that_was_moved_away_is_another_journal(service: ClassService, data: Path) -> None:
    def act() -> None:
        solved("create.1")
        service.wait(lambda: len(service.records) == 1)
        progress.file().rename(data / "damaged.sqlite")
        solved("create.2")
        service.wait(lambda: len(service.records) == 2)

    Place(service.url, data).while_it_runs(act)
    assert {number for _, number in service.records} == {1}


def test_many_records_go_in_portions_that_the_service_takes(service: ClassService, data: Path) -> None:
    service.largest = 30
    solved(*(f"create.{number}" for number in range(100)))
    Place(service.url, data).while_it_runs(lambda: service.wait(lambda: len(service.records) == 100))


def test_a_record_that_the_service_never_takes_holds_back_no_other(
    service: ClassService, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.refused = "create.3"
    solved(*(f"create.{number}" for number in range(1, 7)))
    Place(service.url, data).while_it_runs(lambda: service.wait(lambda: len(service.records) == 5))
    assert names(service) == ["create.1", "create.2", "create.4", "create.5", "create.6"]
    assert "doesn't take a record" in caplog.text


def test_records_are_cut_by_their_size_too() -> None:
    records = [{"id": number, "text": "x" * 100} for number in range(10)]
    assert len(within(records, 400)) == 3
    assert len(within(records, 1)) == 1
    assert within([], 100) == []


def test_another_token_opens_nothing(service: ClassService, data: Path) -> None:
    solved("create.1")

    async def send() -> None:
        await Place(service.url, data, token="another").courier.send_records()

    with pytest.raises(Exception, match="403"):
        asyncio.run(send())
    assert not service.records
    assert Ledger(data / "class.sqlite").acknowledged(progress.identity()) == 0


# -- the inbox ------------------------------------------------------------------------------------------


def received(place: Place) -> list[tuple[str, dict[str, Any]]]:
    return [(entry.event, entry.data) for entry in place.ledger.received()]


def until(place: Place, count: int) -> None:
    eventually(lambda: len(received(place)) == count, f"{count} events")


def test_messages_come_once_though_the_service_and_the_place_are_restarted(
    service: ClassService, data: Path
) -> None:
    service.send("message", text="Welcome", **{"from": "Maria"})
    place = Place(service.url, data)

    def act() -> None:
        until(place, 1)
        service.stop()
        service.send("message", text="Coffee at ten", **{"from": "Maria"})
        service.start()
        until(place, 2)

    place.while_it_runs(act)
    assert service.resumed[0] is None
    assert service.resumed[-1] == "1"
    again = Place(service.url, data)

    def act_again() -> None:
        service.send("message", text="Back again", **{"from": "Maria"})
        until(again, 3)

    again.while_it_runs(act_again)
    assert [data["text"] for _, data in received(again)] == ["Welcome", "Coffee at ten", "Back again"]
    assert service.resumed[-1] == "2"


def test_what_was_seen_stays_seen(data: Path) -> None:
    ledger = Ledger(data / "class.sqlite")
    for number in (1, 2):
        assert ledger.receive(number, "message", {"text": str(number)})
    assert not ledger.receive(2, "message", {"text": "2"})
    ledger.mark_seen([1, 99])
    assert [entry.seen for entry in ledger.received()] == [True, False]
    state = Audience(ledger).state()
    assert [item["seen"] for item in state["items"]] == [True, False]


def test_old_events_are_forgotten_but_no_open_order(data: Path) -> None:
    ledger = Ledger(data / "class.sqlite")
    ledger.receive(1, "reset", {})
    for number in range(2, KEPT + 10):
        ledger.receive(number, "message", {})
    kept = ledger.received()
    assert len(kept) == KEPT + 1
    assert kept[0].event == "reset"
    ledger.finish(1, True, "")
    ledger.reported(1)
    ledger.receive(KEPT + 10, "message", {})
    assert ledger.received()[0].event == "message"


def test_the_learner_sees_who_watches_until_they_leave(service: ClassService, data: Path) -> None:
    place = Place(service.url, data)
    place.courier._view_command = (sys.executable, "-c", "import sys; sys.stdin.read()")

    def act() -> None:
        service.send("watch", who="Maria")
        eventually(lambda: place.audience.watchers == ["Maria"], "a watcher")
        service.send("watch", who="Ben, Maria")
        eventually(lambda: place.audience.watchers == ["Ben", "Maria"], "two watchers")
        service.send("unwatch")
        eventually(lambda: place.audience.watchers == [], "nobody")
        service.send("watch", who="Maria")
        eventually(lambda: place.audience.watchers == ["Maria"], "a watcher")
        service.stop()  # nobody can watch now, and nobody would say that they've left
        eventually(lambda: place.audience.watchers == [], "nobody")
        service.start()

    place.while_it_runs(act)
    assert received(place) == []


def test_the_stream_is_read_as_the_standard_says() -> None:
    parser = Parser()
    lines = [
        ": hello",
        "id: 7",
        "event: message",
        'data: {"text":',
        'data: "a"}',
        "",
        "data: no JSON",
        "",
        "id: 8",
        "",
    ]
    found = [event for line in lines if (event := parser.feed(line))]
    assert [(event.id, event.event, event.data) for event in found] == [(7, "message", {"text": "a"})]


# -- orders ---------------------------------------------------------------------------------------------


def test_an_order_is_carried_out_once_and_reported(
    service: ClassService, data: Path, carried_out: list[str]
) -> None:
    service.send("begin", chapter="run-services")
    place = Place(service.url, data)

    def act() -> None:
        service.wait(lambda: len(service.done) == 1)
        service.stop()
        service.send("reset")
        service.start()
        service.wait(lambda: len(service.done) == 2)

    place.while_it_runs(act)
    assert carried_out == ["begin run-services --yes", "reset"]
    said = "Lab 'swarm-lab' is where the chapter starts."
    assert service.done == [{"id": 1, "ok": True, "text": said}, {"id": 2, "ok": True, "text": said}]


def test_of_several_orders_only_the_last_one_is_carried_out(
    service: ClassService, data: Path, carried_out: list[str]
) -> None:
    ledger = Ledger(data / "class.sqlite")
    ledger.receive(1, "begin", {"chapter": "services"})
    ledger.receive(2, "begin", {"chapter": "overlays"})
    Place(service.url, data).while_it_runs(lambda: service.wait(lambda: len(service.done) == 2))
    assert carried_out == ["begin overlays --yes"]
    assert [(entry["id"], entry["ok"]) for entry in service.done] == [(1, False), (2, True)]


def test_an_order_that_a_killed_place_did_not_finish_is_carried_out_later(
    service: ClassService, data: Path, carried_out: list[str]
) -> None:
    Ledger(data / "class.sqlite").receive(1, "reset", {})
    place = Place(service.url, data)
    place.while_it_runs(lambda: service.wait(lambda: len(service.done) == 1))
    assert carried_out == ["reset"]


@pytest.mark.parametrize("chapter", ["--help", "", "a b", "x; reboot"])
def test_what_is_no_chapter_name_is_not_carried_out(chapter: str) -> None:
    ok, text = asyncio.run(orders.carry_out("begin", {"chapter": chapter}))
    assert not ok
    assert "invalid chapter name" in text


def test_a_command_that_takes_too_long_is_stopped() -> None:
    ok, text = asyncio.run(orders.run(["sleep", "60"], seconds=0.1))
    assert (ok, text) == (False, "it took longer than 0.1 s and was stopped")
    assert asyncio.run(orders.run(["sh", "-c", "echo no; exit 3"])) == (False, "no")
    assert asyncio.run(orders.run(["echo", "yes"])) == (True, "yes")


def test_a_chapter_is_found_by_all_its_names() -> None:
    for name in ("run-services", "services", "04-run-services"):
        assert notebook(name) == "04-run-services.ipynb"
    assert notebook("nothing-of-ours") == ""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert notebook(path.stem) == path.name


# -- the view and the instructor's commands -------------------------------------------------------------


def test_the_view_is_sent_only_while_somebody_watches(service: ClassService, data: Path) -> None:
    place = Place(service.url, data)
    view = json.dumps({"board": "<svg/>", "text": "Three nodes."})
    program = f"import sys; print({view!r}, flush=True); sys.stdin.read()"
    place.courier._view_command = (sys.executable, "-c", program)
    log = command_log.of(Cluster("class-7"))
    log.add("manager1", "docker node ls", 0)

    def act() -> None:
        solved("create.1")
        service.wait(lambda: len(service.records) == 1)
        assert not service.views
        service.send("watch", who="Maria")
        service.wait(lambda: service.views and service.views[-1]["board"])
        log.add("manager1", "docker service ls", 1)
        service.wait(lambda: len(service.views[-1]["commands"]) == 2)

    place.while_it_runs(act)
    last = service.views[-1]
    assert (last["board"], last["text"]) == ("<svg/>", "Three nodes.")
    assert [(entry["command"], entry["code"]) for entry in last["commands"]] == [
        ("docker node ls", 0),
        ("docker service ls", 1),
    ]
    assert set(last["commands"][0]) == {"moment", "node", "command", "code"}


def test_an_instructors_commands_are_sent_with_their_output(
    service: ClassService, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CLASS_ROLE", "instructor")
    log = command_log.of(Cluster("class-7"))
    log.add("manager1", "docker node ls", 0, "ID  HOSTNAME\n")
    place = Place(service.url, data, instructor=True)

    def act() -> None:
        service.wait(lambda: len(service.commands) == 1)
        service.stop()
        log.add("worker1", "hostname", 0, "worker1\n")
        service.start()
        service.wait(lambda: len(service.commands) == 2)

    place.while_it_runs(act)
    assert [(entry["node"], entry["command"], entry["output"]) for entry in service.commands] == [
        ("manager1", "docker node ls", "ID  HOSTNAME\n"),
        ("worker1", "hostname", "worker1\n"),
    ]
    assert set(service.commands[0]) == {"moment", "node", "command", "code", "output"}


def test_a_learners_commands_go_nowhere_by_themselves(service: ClassService, data: Path) -> None:
    command_log.of(Cluster("class-7")).add("manager1", "docker node ls", 0, "ID")

    def act() -> None:
        solved("create.1")
        service.wait(lambda: len(service.records) == 1)

    Place(service.url, data).while_it_runs(act)
    assert not service.commands


# -- browsers -------------------------------------------------------------------------------------------


def test_a_browser_hears_what_comes_after_the_state_it_got(data: Path) -> None:
    ledger = Ledger(data / "class.sqlite")
    audience = Audience(ledger)

    async def listen() -> list[object]:
        queue = audience.join()
        ledger.receive(1, "begin", {"chapter": "services"})
        audience.tell_item(1)
        audience.watched_by(["Maria"])
        audience.watched_by(["Maria"])
        heard: list[object] = [queue.get_nowait(), queue.get_nowait()]
        assert queue.empty()
        audience.leave(queue)
        audience.tell("item", {})
        assert queue.empty()
        return heard

    item, watch = asyncio.run(listen())
    assert isinstance(item, tuple)
    assert (item[0], item[1]["path"], item[1]["ok"]) == ("item", "04-run-services.ipynb", None)
    assert watch == ("watch", {"watchers": ["Maria"]})
    assert audience.state()["watchers"] == ["Maria"]


def test_a_new_browser_gets_the_last_commands_and_all_messages(data: Path) -> None:
    ledger = Ledger(data / "class.sqlite")
    ledger.receive(1, "message", {"text": "Welcome"})
    for number in range(2, 152):
        ledger.receive(number, "command", {"command": str(number)})
    items = Audience(ledger).state()["items"]
    assert [item["id"] for item in items] == [1, *range(52, 152)]


def test_a_browser_that_takes_nothing_has_to_connect_again(data: Path) -> None:
    audience = Audience(Ledger(data / "class.sqlite"))

    async def listen() -> list[object]:
        queue = audience.join()
        for number in range(2000):
            audience.tell("item", number)
        return [queue.get_nowait() for _ in range(queue.qsize())]

    assert asyncio.run(listen())[-1] is None
