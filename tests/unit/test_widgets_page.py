"""What widgets show as HTML: nothing of it can become markup, and it says what was left out."""

from html.parser import HTMLParser

import pytest

from labkit.util.errors import LabError
from labkit.widgets import page

HOSTILE = "<img src=x onerror=\"alert('1')\"> & 'it'"


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "html",
    [
        page.title(HOSTILE),
        page.note(HOSTILE),
        page.command_line(HOSTILE, HOSTILE),
        page.output(HOSTILE),
        page.error(LabError(HOSTILE, evidence=[HOSTILE], next_step=HOSTILE)),
        page.error(ValueError(HOSTILE)),
    ],
)
def test_text_never_becomes_markup(html: str) -> None:
    read = _Reader(html)
    assert "img" not in [tag for tag, _ in read.tags]
    assert HOSTILE in read.text


def test_a_command_is_copied_as_it_is_typed() -> None:
    command = "docker service create --name 'a b' \\\n  --env \"X=<1>\" web:1"
    (button,) = [
        attrs for tag, attrs in _Reader(page.command_line("worker1", command)).tags if tag == "button"
    ]
    assert button["data-text"] == command
    assert "this.dataset.text" in str(button["onclick"])


def test_an_error_is_told_in_three_parts() -> None:
    told = _Reader(page.error(LabError("it broke", evidence=["so it said"], next_step="mend it"))).text
    assert told == "LabError: it broke\n  so it said\nTry: mend it"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10 %\r50 %\r100 %\nend", "100 %\nend"),
        ("windows\r\nlines\r\n", "windows\nlines"),
        ("a\na\nb\n", "a\na\nb"),
        ("1 of 2\n" * 22 + "2 of 2\n", "1 of 2  (× 22)\n2 of 2"),
        ("a\n\n\n\nb", "a\n\n\n\nb"),
    ],
)
def test_terminal_output_is_shown_as_lines(printed: str, shown: str) -> None:
    assert page.plain(printed) == shown


def test_the_tail_drops_whole_lines_and_says_how_much() -> None:
    tail = page.Tail(keep=10)
    for number in range(5):
        tail.add(f"line{number}\n")
    assert (tail.text, tail.dropped) == ("line4\n", 24)
    assert "… 24 earlier characters are not shown" in page.output(tail.text, tail.dropped)
    tail.add("x" * 25)
    assert (tail.text, tail.dropped) == ("x" * 10, 24 + 6 + 15)


def test_nothing_is_shown_of_nothing() -> None:
    assert page.output("") == page.note("") == ""
