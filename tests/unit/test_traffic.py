"""What the load generator's lines mean, and what becomes of a load when something goes wrong."""

import json
import queue
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cluster.node import Node
from labkit.observe.traffic import answers, client_host, load
from labkit.observe.traffic.answers import Answer
from labkit.observe.traffic.load import Load
from labkit.transport.attach import STDERR, STDOUT
from labkit.util.deadline import Deadline
from labkit.util.errors import LabError

SECONDS = 20.0  # until a test gives up

WEB = '{"version": "1", "colour": "blue", "node": "%s", "slot": "%s", "container": "c", "address": "a"} '


@pytest.mark.parametrize(
    ("said", "answered", "node"),
    [
        (WEB % ("worker1", "3"), "web.3", "worker1"),
        (WEB % ("worker1", "vmfjprpnmj8qwqscvcabs6nkx"), "web.worker1", "worker1"),  # global mode
        (WEB % ("worker1", "0"), "web.worker1", "worker1"),
        (WEB % ("unknown", "3"), "web.3", ""),
        (WEB % ("unknown", "0"), "?", ""),
        ("<h1>It works! 200</h1>", "?", ""),
        ("", "?", ""),
        ('{"other": 1}', "?", ""),
        ("[1, 2]", "?", ""),
        ('{"slot": "1", "no', "?", ""),
    ],
)
def test_an_answer_tells_the_task_or_counts_as_unknown(said: str, answered: str, node: str) -> None:
    assert answers.parse(f"manager1 {said} 0 200", "web") == Answer("manager1", answered, node)


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (7, "refused: nothing listens on this port of the node"),
        (28, "no answer within 2 s"),
        (52, "the connection was closed without an answer"),
        (56, "the connection broke before the answer was complete"),
        (3, "curl failed with exit code 3"),
    ],
)
def test_a_request_without_an_answer_says_why(exit_code: int, words: str) -> None:
    assert answers.parse(f"worker2  {exit_code} 000", "web") == Answer("worker2", error=words)


def test_how_long_a_request_waited_in_vain_is_said() -> None:
    assert answers.parse("worker2  28 000", "web", 0.5).error == "no answer within 0.5 s"


def test_half_an_answer_is_none() -> None:
    assert not answers.parse(f"worker2 {WEB % ('worker2', '1')} 56 200", "web").answered


def test_what_curl_adds_is_what_is_read() -> None:
    added = answers.WRITE_OUT.replace("%{exitcode}", "28").replace("%{http_code}", "000")
    assert answers.parse(f"worker1 {added}", "web").error == "no answer within 2 s"


def test_another_line_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line of the load generator: 'sh: curl: not found'"):
        answers.parse("sh: curl: not found", "web")


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))  # all that the load generator lets by
NAME = st.from_regex(r"[a-z][a-z0-9_.-]*", fullmatch=True)
CODE = st.integers(0, 99)


@given(entered=NAME, said=PRINTABLE, exit_code=CODE, status=st.integers(0, 999), service=NAME)
def test_every_line_of_the_load_generator_is_an_answer_or_says_why_not(
    entered: str, said: str, exit_code: int, status: int, service: str
) -> None:
    answer = answers.parse(f"{entered} {said} {exit_code} {status:03}", service)
    assert answer.entered == entered
    assert bool(answer.answered) == (exit_code == 0)
    assert bool(answer.error) == (exit_code != 0)
    assert answer.answered.startswith((service, "?")) or not answer.answered


@given(entered=NAME, node=NAME.filter(lambda name: name != "unknown"), slot=st.integers(1, 999), service=NAME)
def test_what_the_course_image_says_is_read_whatever_else_it_says(
    entered: str, node: str, slot: int, service: str
) -> None:
    said = json.dumps({"slot": slot, "node": node, "other": ["0 200"]})
    assert answers.parse(f"{entered} {said} 0 200", service) == Answer(entered, f"{service}.{slot}", node)


@given(st.text())
def test_any_other_line_is_refused_and_nothing_else_is_raised(line: str) -> None:
    try:
        assert answers.parse(line, "web").entered in line
    except ValueError as error:
        assert "not a line of the load generator" in str(error)


# -- a load ---------------------------------------------------------------------------------------------


class Client:
    """The client that sends the requests; it says what a test wants."""

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[tuple[int, bytes] | Exception | None] = queue.SimpleQueue()
        self.timeout: float | None = None
        self.closed = threading.Event()

    def says(self, *said: "bytes | tuple[int, bytes] | Exception | None") -> None:
        for each in said:
            self._said.put((STDOUT, each) if isinstance(each, bytes) else each)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        while (said := self._said.get(timeout=SECONDS)) is not None:
            if isinstance(said, Exception):
                raise said
            yield said

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def close(self) -> None:
        self.closed.set()
        self._said.put(None)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(client_host, "start", lambda *_: client)
    return client


def nodes(*names: str) -> list[Node]:
    return [
        cast(
            "Node",
            SimpleNamespace(
                name=name, address="172.30.77.11", context=None, deadline=Deadline, hint=lambda word: word
            ),
        )
        for name in names
    ]


def line(name: str, slot: int = 1) -> bytes:
    return f"{name} {WEB % (name, slot)} 0 200\n".encode()


def begin(**options: Any) -> Load:
    return Load(nodes("n1", "n2"), 8080, **options)


def test_answers_are_read_however_they_are_cut(client: Client) -> None:
    whole = line("n1") + line("n2")
    client.says(*(whole[at : at + 7] for at in range(0, len(whole), 7)), None)
    assert begin(requests=1).wait() == [Answer("n1", "web.1", "n1"), Answer("n2", "web.1", "n2")]
    assert client.closed.is_set()
    assert client.timeout and client.timeout > answers.ANSWER_SECONDS


def test_a_line_that_is_no_answer_is_an_error_not_an_end(client: Client) -> None:
    """It ended the reading thread; those who waited took what had come until then for all."""
    client.says(line("n1"), (STDERR, b"sh: curl: not found\n"), b"n2 \n", line("n2"), None)
    running = begin(requests=2)
    with pytest.raises(LabError, match=r"failed: not a line of the load generator: 'n2 '") as caught:
        running.wait()
    assert caught.value.evidence == ("sh: curl: not found",)
    assert running.answers == [Answer("n1", "web.1", "n1")]


@pytest.mark.parametrize("end", [None, ConnectionResetError("reset"), TimeoutError("silent")])
def test_a_client_that_ends_before_all_answers_have_come_is_an_error(
    client: Client, end: Exception | None
) -> None:
    client.says(line("n1"), line("n2"), line("n1"), end)
    with pytest.raises(LabError, match="ended after 3 answers"):
        begin(requests=2).wait()


def test_a_sink_that_fails_ends_the_load_and_is_told(client: Client) -> None:
    def fail(_: Answer) -> None:
        raise RuntimeError("a mistake")

    client.says(line("n1"))
    with pytest.raises(RuntimeError, match="a mistake"), begin(sink=fail) as running:
        assert client.closed.wait(SECONDS)
        running._reader.join(SECONDS)


def test_what_goes_wrong_in_the_block_is_told_first(client: Client) -> None:
    client.says(b"nonsense\n")
    with pytest.raises(KeyError), begin():
        assert client.closed.wait(SECONDS)
        raise KeyError


def test_stopping_is_no_failure_and_may_come_from_the_sink(client: Client) -> None:
    holder: list[Load] = []
    ready = threading.Event()

    def stop(_: Answer) -> None:
        assert ready.wait(SECONDS)
        holder[0].stop()

    client.says(line("n1"))
    holder.append(begin(sink=stop))
    ready.set()
    assert holder[0].wait() == [Answer("n1", "web.1", "n1")]
    assert not holder[0].running
    assert holder[0].stop() == holder[0].answers


def test_several_rounds_go_by_until_the_same_tasks_answer_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([[("n1", 1), ("n2", 2)], [("n1", 1), ("n2", 1)], [("n1", 1), ("n2", 1)]])
    clients: list[Client] = []

    def start(*_: object) -> Client:
        clients.append(Client())
        clients[-1].says(*(line(name, slot) for name, slot in next(rounds)), None)
        return clients[-1]

    monkeypatch.setattr(client_host, "start", start)
    monkeypatch.setattr(load, "_ROUND", 1)
    assert len(load.send(nodes("n1", "n2"), 8080, 1, settle=SECONDS)) == 2
    assert len(clients) == 3
