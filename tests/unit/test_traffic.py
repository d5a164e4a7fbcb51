"""What the load generator's lines mean."""

import pytest

from labkit import traffic
from labkit.traffic import Answer

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
    assert traffic.parse(f"manager1 {said} 0 200", "web") == Answer("manager1", answered, node)


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (7, "refused: nobody listens on this port of the node"),
        (28, "no answer within 2 s"),
        (52, "the connection was closed without an answer"),
        (56, "the connection broke before the answer was complete"),
        (3, "curl failed with exit code 3"),
    ],
)
def test_a_request_without_an_answer_says_why(exit_code: int, words: str) -> None:
    assert traffic.parse(f"worker2  {exit_code} 000", "web") == Answer("worker2", error=words)


def test_how_long_a_request_waited_in_vain_is_said() -> None:
    assert traffic.parse("worker2  28 000", "web", 0.5).error == "no answer within 0.5 s"


def test_half_an_answer_is_none() -> None:
    assert not traffic.parse(f"worker2 {WEB % ('worker2', '1')} 56 200", "web").answered


def test_what_curl_adds_is_what_is_read() -> None:
    added = traffic.WRITE_OUT.replace("%{exitcode}", "28").replace("%{http_code}", "000")
    assert traffic.parse(f"worker1 {added}", "web").error == "no answer within 2 s"


def test_another_line_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line of the load generator: 'sh: curl: not found'"):
        traffic.parse("sh: curl: not found", "web")
