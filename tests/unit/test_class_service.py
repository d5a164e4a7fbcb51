"""The class service as it runs: a real process with a real file, and the answers that a hub gives."""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from labkit.cli import workshop_class
from labkit.util.errors import LabError
from labkit.workshop.classroom import control
from tests.classroom import LEARNERS, TOKEN, Client, Service, Stream, record, running
from tests.helpers import eventually

JOURNAL = "7a0ff4f6-4f0e-4f3b-9a0c-3f1c8a3a6a11"


@pytest.fixture(scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("class")) as service:
        yield service


@pytest.fixture
def service(_service: Service) -> Service:
    """The service, with nothing in it. Records get journals of their own in each test."""
    _service.hub.down, _service.hub.visitor = False, "browser-of-ines"
    assert _service.instructor.ask("DELETE", "learners").status_code == 200
    return _service


def journal() -> str:
    return str(uuid.uuid4())


def browser(service: Service, opens: int = 200) -> requests.Session:
    """A browser that has opened the page, as whoever the hub says its visitor is."""
    session = requests.Session()
    session.headers.update({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"})
    answer = session.get(service.base, timeout=30)
    assert answer.status_code == opens
    session.headers.update({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    if found := re.search(r'name="xsrf" content="([^"]+)"', answer.text):
        session.headers["X-XSRFToken"] = found[1]
    return session


# -- records ------------------------------------------------------------------------------------------


def test_records_are_held_once_and_shown(service: Service) -> None:
    anna, mine = service.place("anna"), journal()
    first = [record(1, "chapter", "run-services", ago=3), record(2, "hint", "services.2", step=1, ago=2)]
    assert anna.records(*first, journal=mine).json() == {"last": 2}
    wrong = record(3, "exercise", "services.2", False, ago=1, points=["✗ no service is called agent"])
    assert anna.records(*first, wrong, journal=mine).json() == {"last": 3}
    assert anna.records(journal=mine).json() == {"last": 3}
    row = service.row("anna")
    assert (row["chapter"], row["exercise"], row["hints"], row["refused"]) == (
        "run-services",
        "services.2",
        1,
        1,
    )
    assert row["verdict"]["points"] == ["no service is called agent"]
    assert row["marks"]["services.2"]["checks"] == 1


def test_a_record_that_is_not_one_is_refused_with_the_reason(service: Service) -> None:
    answer = service.place("anna").records({**record(1, "exercise", "services.2"), "kind": "cake"})
    assert (answer.status_code, answer.json()) == (400, {"error": "kind is unknown"})
    with contextlib.suppress(requests.RequestException):  # the connection ends before all of it was sent
        huge = {"journal": JOURNAL, "records": ["x" * 2**24]}
        assert service.place("anna").ask("POST", "records", huge).status_code in (400, 413)
    assert service.row("anna") == {}


def test_nothing_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        anna = service.place("anna")
        for number in range(1, 21):
            assert anna.records(record(number, "hint", "services.2"), journal=JOURNAL).json() == {
                "last": number
            }
        (message,) = service.instructor.ask("POST", "messages", {"text": "hello"}).json()["sent"].values()
        service.kill()
        with pytest.raises(requests.ConnectionError):
            anna.records(record(21, "hint", "services.2"), journal=JOURNAL)
        service.start()
        again = [record(number, "hint", "services.2") for number in range(15, 23)]
        assert anna.records(*again, journal=JOURNAL).json() == {"last": 22}
        assert service.row("anna")["marks"]["services.2"]["hints"] == 22
        with service.inbox("anna") as inbox:
            assert inbox.wait("message") == [{"text": "hello", "from": "Instructor"}]
        with service.inbox("anna", last=str(message)) as inbox:
            inbox_is_open(service, "anna")
            service.instructor.ask("POST", "messages", {"text": "again"})
            assert inbox.wait("message")[0]["text"] == "again"


def inbox_is_open(service: Service, name: str) -> None:
    eventually(lambda: service.row(name).get("connected"), f"{name} to be connected")


# -- who may do what ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "status"), [("", 401), ("made-up", 403), ("culler", 403), (TOKEN, 403), ("place-of-anna", 200)]
)
def test_a_place_is_known_by_its_token(service: Service, token: str, status: int) -> None:
    client = Client(service.base, token)
    headers = {"Authorization": f"token {token}"} if token else {}
    body = {"journal": JOURNAL, "records": []}
    answer = requests.post(f"{client.base}api/records", json=body, headers=headers, timeout=30)
    assert answer.status_code == status


def test_a_learner_writes_under_their_own_name_alone(service: Service) -> None:
    anna = service.place("anna")
    body = {"journal": journal(), "records": [record(1, "hint", "create.1")], "user": "bo", "name": "bo"}
    assert anna.ask("POST", "records?user=bo&name=bo", body).status_code == 200
    assert service.row("anna")["marks"]
    assert service.row("bo") == {}
    with service.inbox("bo"):
        inbox_is_open(service, "bo")
        (number,) = (
            service.instructor.ask("POST", "begin", {"chapter": "create", "to": ["bo"]})
            .json()["sent"]
            .values()
        )
    assert anna.ask("POST", "done", {"id": number, "ok": True, "text": "not mine"}).status_code == 404
    assert anna.ask("POST", "view", {"board": "<svg/>", "text": ""}).json() == {"watched": False}


INSTRUCTORS_ONLY = [
    ("GET", "class"),
    ("GET", "stream"),
    ("GET", "learners/bo"),
    ("GET", "learners/bo/view"),
    ("GET", "export/csv"),
    ("GET", "export/json"),
    ("POST", "messages"),
    ("POST", "begin"),
    ("POST", "reset"),
    ("DELETE", "learners/bo"),
    ("DELETE", "learners"),
]


@pytest.mark.parametrize(
    "token", ["place-of-anna", "browser-of-anna", "browser-of-eve", "place-of-ines", "made-up"]
)
def test_a_token_of_anybody_else_opens_nothing(service: Service, token: str) -> None:
    """Also that of an instructor's place doesn't: what runs there must not read what a class does."""
    service.place("bo").records(record(1, "hint", "create.1"), journal=journal())
    for method, path in INSTRUCTORS_ONLY:
        body = {"text": "hello", "chapter": "create", "to": ["bo"]} if method == "POST" else None
        assert Client(service.base, token).ask(method, path, body).status_code == 403, path
    assert service.row("bo")["marks"]
    assert service.instructor.ask("GET", "learners/bo").json()["sent"] == []


def test_only_instructors_show_their_commands(service: Service) -> None:
    command = {
        "moment": time.time(),
        "node": "manager1",
        "command": "docker node ls",
        "output": "ID",
        "code": 0,
    }
    assert service.place("anna").ask("POST", "commands", [command]).status_code == 403
    with service.inbox("bo") as inbox:
        inbox_is_open(service, "bo")
        assert service.place("ines").ask("POST", "commands", [command]).status_code == 200
        assert inbox.wait("command") == [command]
    with service.inbox("chris") as late:
        assert late.wait("command") == [command]


def test_an_instructor_is_no_learner(service: Service) -> None:
    service.place("ines").records(record(1, "hint", "create.1"), journal=journal())
    assert service.row("ines") == {}
    assert service.instructor.ask("POST", "messages", {"text": "hello"}).json()["sent"] == {}


def test_places_wait_while_the_hub_is_away(service: Service) -> None:
    service.hub.tokens["fresh"] = service.hub.tokens["place-of-anna"]
    service.hub.down = True
    fresh = Client(service.base, "fresh")
    assert fresh.records(record(1, "hint", "create.1"), journal=JOURNAL).status_code == 503
    service.hub.down = False
    assert fresh.records(record(1, "hint", "create.1"), journal=journal()).status_code == 200


# -- browsers -----------------------------------------------------------------------------------------


def test_an_instructor_logs_in_and_sees_the_page(service: Service) -> None:
    session = browser(service)
    found = session.get(f"{service.base}api/class", timeout=30)
    assert found.status_code == 200
    assert found.json()["user"] == "ines"
    assert found.json()["keep_days"] == 30
    assert len(found.json()["course"]) == 10


@pytest.mark.parametrize("visitor", ["browser-of-anna", "browser-of-eve"])
def test_a_learner_who_opens_the_page_is_refused(service: Service, visitor: str) -> None:
    service.hub.visitor = visitor
    session = browser(service, opens=403)
    assert session.get(f"{service.base}api/class", timeout=30).status_code == 403


def test_a_cookie_alone_changes_nothing(service: Service) -> None:
    """What another site, or a form on one, lets an instructor's browser send."""
    service.place("bo").records(record(1, "hint", "create.1"), journal=journal())
    session = browser(service)
    token = session.headers.pop("X-XSRFToken")
    for method, path in INSTRUCTORS_ONLY:
        body = {"text": "hello", "chapter": "create", "to": ["bo"]} if method == "POST" else None
        assert session.request(method, f"{service.base}api/{path}", json=body, timeout=30).status_code == 403
    for forged in ("", "forged", str(token)[:-2]):
        headers = {"X-XSRFToken": forged}
        answer = session.post(f"{service.base}api/messages", json={"text": "x"}, headers=headers, timeout=30)
        assert answer.status_code == 403
    answer = session.post(
        f"{service.base}api/messages", json={"text": "x"}, headers={"X-XSRFToken": token}, timeout=30
    )
    assert answer.json()["sent"].keys() == {"bo"}
    assert service.place("bo").ask("GET", "class").status_code == 403


def test_a_cookie_counts_nowhere_among_the_places(service: Service) -> None:
    session = browser(service)
    for path in ("records", "commands", "view", "done"):
        assert session.post(f"{service.base}api/{path}", json={}, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "path", ["", "static/class.js", "static/class.css", "api/class", "nothing", "static/page.html"]
)
def test_every_answer_has_a_strict_policy(service: Service, path: str) -> None:
    answer = requests.get(service.base + path, timeout=30, allow_redirects=False)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_asks_no_other_host_and_holds_no_script_or_style_of_its_own(service: Service) -> None:
    session = browser(service)
    session.headers["Sec-Fetch-Mode"] = "navigate"
    text = session.get(service.base, timeout=30).text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text)
    assert "static/page.html" not in text
    for path in ("static/../store.py", "static/..%2fstore.py", "static/page.html"):
        assert requests.get(service.base + path, timeout=30).status_code in (403, 404)


# -- messages, chapters, resets -----------------------------------------------------------------------


def test_a_message_arrives_at_once_and_is_noted(service: Service) -> None:
    with service.inbox("anna") as anna, service.inbox("bo") as bo:
        for name in ("anna", "bo"):
            inbox_is_open(service, name)
        answer = service.instructor.ask("POST", "messages", {"text": "for anna", "to": ["anna"]}).json()
        assert answer["connected"] == ["anna"]
        service.instructor.ask("POST", "messages", {"text": "for all"})
        assert [found["text"] for found in anna.wait("message", 2)] == ["for anna", "for all"]
        assert [found["text"] for found in bo.wait("message")] == ["for all"]
        ids = [int(number) for _, _, number in anna.events]
        assert ids == sorted(ids) and len(set(ids)) == 2
    (last, _) = service.instructor.ask("GET", "learners/anna").json()["sent"]
    assert last["data"] == {"text": "for all", "from": "Instructor"} and last["delivered"]


def test_a_chapter_begins_and_its_outcome_is_shown(service: Service) -> None:
    with service.inbox("anna") as inbox, Stream(service.instructor, "stream") as page:
        inbox_is_open(service, "anna")
        answer = service.instructor.ask("POST", "begin", {"chapter": "04-run-services", "to": ["anna"]})
        assert inbox.wait("begin") == [{"chapter": "run-services"}]
        done = {"id": answer.json()["sent"]["anna"], "ok": False, "text": "the lab isn't running"}
        assert service.place("anna").ask("POST", "done", done).status_code == 200
        assert page.wait("outcome") == [{"name": "anna", **done}]
    with service.inbox("anna") as inbox:
        service.instructor.ask("POST", "messages", {"text": "next"})
        inbox.wait("message")
        assert not [name for name, _, _ in inbox.events if name == "begin"]


def test_a_reset_needs_names(service: Service) -> None:
    service.place("anna").records(record(1, "hint", "create.1"), journal=journal())
    assert service.instructor.ask("POST", "reset", {}).status_code == 400
    assert service.instructor.ask("POST", "reset", {"to": []}).status_code == 400
    assert service.instructor.ask("POST", "reset", {"to": ["nobody"]}).status_code == 404
    assert service.instructor.ask("POST", "reset", {"to": ["anna"]}).json()["sent"].keys() == {"anna"}
    answer = service.instructor.ask("POST", "begin", {"chapter": "run-service"})
    assert answer.status_code == 400 and "did you mean run-services?" in answer.json()["error"]


# -- live ---------------------------------------------------------------------------------------------


def test_the_page_hears_of_a_record_and_of_a_deletion(service: Service) -> None:
    with Stream(service.instructor, "stream") as page:
        assert page.wait("class")[0]["learners"] == []
        service.place("anna").records(record(1, "chapter", "run-services"), journal=journal())
        assert page.wait("learners")[0]["learners"][0]["name"] == "anna"
        service.instructor.ask("DELETE", "learners/anna")
        assert page.wait("gone") == [{"name": "anna"}]


def test_a_learner_sees_who_watches_and_only_then_shows_anything(service: Service) -> None:
    anna = service.place("anna")
    view = {"board": "<svg/>", "text": "one node", "commands": []}
    with service.inbox("anna") as inbox:
        inbox_is_open(service, "anna")
        assert anna.ask("POST", "view", view).json() == {"watched": False}
        with Stream(service.instructor, "learners/anna/view") as watching:
            assert inbox.wait("watch") == [{"who": "Instructor"}]
            assert anna.ask("POST", "view", view).json() == {"watched": True}
            assert watching.wait("view") == [view]
            with Stream(service.instructor, "learners/anna/view") as second:
                assert second.wait("view") == [view]
        assert inbox.wait("unwatch") == [{}]
        assert anna.ask("POST", "view", view).json() == {"watched": False}
    assert b"one node" not in b"".join(file.read_bytes() for file in service.folder.iterdir())


def test_a_place_that_is_gone_is_shown_as_such(service: Service) -> None:
    with service.inbox("anna"):
        inbox_is_open(service, "anna")
    assert service.row("anna")["connected"]  # for a while: places reconnect
    assert service.row("anna")["state"] == "new"


# -- data ---------------------------------------------------------------------------------------------


def test_exports(service: Service) -> None:
    hostile = LEARNERS[-1]
    service.hub.tokens["place-of-=cmd"] = {**service.hub.tokens["place-of-bo"], "name": "=1+1"}
    for client in (service.place("anna"), service.place(hostile), service.place("=cmd")):
        client.records(
            record(1, "chapter", "create-a-swarm", ago=9),
            record(2, "exercise", "create.1", False, ago=8),
            record(3, "exercise", "create.1", ago=7),
            record(4, "quiz", "create.1", ago=6),
            journal=journal(),
        )
    table = list(csv.DictReader(io.StringIO(service.instructor.ask("GET", "export/csv").text)))
    assert [row["learner"] for row in table if row["kind"] == "quiz"] == [hostile, "'=1+1", "anna"]
    anna = [row for row in table if row["learner"] == "anna"]
    assert (anna[0]["name"], anna[0]["result"], anna[0]["checks"]) == ("create.1", "solved", "2")
    assert (anna[1]["right"], anna[1]["of"]) == ("1", "5")
    everything = service.instructor.ask("GET", "export/json").json()
    assert {learner["name"]: len(learner["records"]) for learner in everything["learners"]} == {
        "anna": 4,
        hostile: 4,
        "=1+1": 4,
    }


def test_deleting(service: Service) -> None:
    mine = journal()
    service.place("anna").records(record(1, "hint", "create.1"), journal=mine)
    service.place("bo").records(record(1, "hint", "create.1"), journal=mine)
    assert service.instructor.ask("DELETE", "learners/nobody").status_code == 404
    assert service.instructor.ask("DELETE", "learners/anna").json() == {"deleted": ["anna"]}
    assert service.row("anna") == {}
    assert service.row("bo")["marks"]
    assert service.place("anna").records(record(1, "hint", "create.1"), journal=mine).json() == {"last": 1}
    assert service.row("anna")["marks"] == {}
    service.instructor.ask("DELETE", "learners")
    assert service.row("bo") == {}


def test_those_who_are_expected_are_there_by_name_before_they_come(service: Service) -> None:
    people = [
        {"login": "anna", "name": "Anna Müller", "role": "learner"},
        {"login": "zoe", "name": "Zoë", "role": "learner"},
        {"login": "ines", "name": "Inés", "role": "instructor"},
    ]
    file = service.folder / "people.json"
    try:
        file.write_text(json.dumps(people))
        service.place("bo").records(record(1, "hint", "create.1"), journal=journal())
        found = service.instructor.ask("GET", "class").json()["learners"]
        assert [(row["label"], row["word"]) for row in found] == [
            ("bo", "not connected"),
            ("Anna Müller", "not here yet"),
            ("Zoë", "not here yet"),
        ]
        answer = service.instructor.ask("POST", "messages", {"text": "welcome"}).json()
        assert sorted(answer["sent"]) == ["anna", "bo", "zoe"]
        with service.inbox("anna") as inbox:
            assert inbox.wait("message")[0]["text"] == "welcome"
        file.write_text("[{")  # it is being written
        assert service.row("anna")["label"] == "Anna Müller"
        assert "zoe (Zoë)" in workshop_class.status(InContainer(service))
    finally:
        file.write_text("[]")
    assert service.row("zoe") == {}


# -- the host's command line --------------------------------------------------------------------------


class InContainer:
    """What `docker exec` does, without a container: the same command in the service's environment."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def exec_run(self, cmd: list[str], *, demux: bool) -> tuple[int, tuple[bytes | None, bytes | None]]:
        assert demux
        assert cmd[:3] == ["python3", "-m", "labkit.workshop.classroom.control"]
        command = [sys.executable, *cmd[1:]]
        done = subprocess.run(command, env=self._service.environment, capture_output=True, timeout=60)
        return done.returncode, (done.stdout or None, done.stderr or None)


def test_the_command_line(service: Service, tmp_path: Path) -> None:
    container = InContainer(service)
    assert workshop_class.status(container) == "Nobody has arrived yet.\n"
    assert "wasn't sent" in workshop_class.message(container, "hello")
    service.place("anna").records(
        record(1, "chapter", "run-services", ago=40),
        record(2, "exercise", "services.2", False, ago=1, points=["✗ no service is called agent"]),
        journal=journal(),
    )
    with service.inbox("anna") as inbox:
        inbox_is_open(service, "anna")
        assert "stuck" in workshop_class.status(container)
        assert "✗ services.2: no service is called agent" in workshop_class.status(container)
        assert json.loads(workshop_class.status(container, as_json=True))["learners"][0]["state"] == "stuck"
        assert workshop_class.message(container, "--to the end", ["anna"]) == "Sent to 1 learner.\n"
        assert inbox.wait("message")[0]["text"] == "--to the end"
        workshop_class.begin(container, "run-services")
        inbox.wait("begin")
        workshop_class.reset(container, "anna")
        inbox.wait("reset")
    file = tmp_path / "class.CSV"
    assert workshop_class.export(container, file) == f"Wrote {file}."
    assert file.read_text().startswith("learner,full_name,chapter,kind")
    assert workshop_class.forget(container, "anna") == "Deleted everything about 1 learner.\n"


def test_the_command_line_says_what_is_wrong(service: Service, tmp_path: Path) -> None:
    container = InContainer(service)
    with pytest.raises(LabError, match="refused") as refused:
        workshop_class.reset(container, "nobody")
    assert refused.value.evidence == ("there is no learner 'nobody'",)
    with pytest.raises(LabError, match="format"):
        workshop_class.export(container, tmp_path / "class.xls")
    with pytest.raises(LabError, match="written"):
        workshop_class.export(container, tmp_path / "no folder" / "class.csv")


def test_control_without_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"JUPYTERHUB_API_TOKEN": "x", "LABKIT_CLASS_ADDRESS": "127.0.0.1:1"}
    assert control.main(["status"], environment) == 1
    assert "doesn't answer" in capsys.readouterr().err


def test_a_status_of_many() -> None:
    row: dict[str, Any] = {
        "name": "anna",
        "label": "anna",
        "word": "may need help",
        "state": "unsure",
        "chapter": "run-services",
        "exercise": None,
        "place": "scenario 2 of 5",
        "since": 1000.0,
        "marks": {"a": {"solved": 1.0}, "b": {"solved": None}},
        "verdict": {"exercise": "services.2", "ok": False, "points": ["a long story " * 20]},
    }
    found = control.render(
        {
            "now": 1000 + 3900,
            "course": [{"name": "run-services", "title": "04 run services"}],
            "learners": [row],
        }
    )
    assert "scenario 2 of 5  1 h 05 min  1" in found
    assert max(map(len, found.splitlines())) < 160
