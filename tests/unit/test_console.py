"""What labkit prints as it works, and its tables."""

import io
import re

import pytest

from labkit.util.console import ProgressReporter, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(stream: io.StringIO) -> list[str]:
    """The lines, without the seconds, which are the clock's."""
    return re.sub(r"\d+\.\d s", "0.0 s", stream.getvalue()).splitlines()


def test_a_step_ends_with_its_mark_its_result_and_its_seconds() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream).step("Docker engine") as step:
        step.result = "28.2.2"
    assert printed(stream) == [" ✓ Docker engine          28.2.2 (0.0 s)"]


def test_results_stand_in_one_column() -> None:
    stream = io.StringIO()
    reporter = ProgressReporter(stream)
    for title in ("Docker engine", "Image labkit/node"):
        with reporter.step(title) as step:
            step.result = "RESULT"
    assert len({line.index("RESULT") for line in printed(stream)}) == 1


def test_a_step_that_raises_ends_with_a_cross_and_the_error_goes_on() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), ProgressReporter(stream).step("Swarm"):
        raise KeyboardInterrupt
    assert [line.split() for line in printed(stream)] == [["✗", "Swarm", "(0.0", "s)"]]


def test_notes_are_lines_of_their_own_off_a_terminal() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream).step("Image node") as step:
        step.note("Step 1/9")
        assert printed(stream) == ["   Step 1/9"]
    assert printed(stream)[1].startswith(" ✓ Image node")
    assert "\x1b" not in stream.getvalue()


def test_notes_replace_each_other_on_a_terminal() -> None:
    stream = Terminal()
    with ProgressReporter(stream).step("Image node") as step:
        step.note("Step 1/9")
        step.note("x" * 500)
    announced, first, long, closed = stream.getvalue().split("\r\x1b[2K")
    assert announced == " • Image node …"
    assert first == " • Image node … Step 1/9"
    assert len(long) <= 110
    assert "✓" in closed
    assert stream.getvalue().count("\n") == 1


def test_a_quiet_story_prints_nothing_and_hides_no_error() -> None:
    for stream in (io.StringIO(), Terminal()):
        reporter = ProgressReporter(stream, quiet=True)
        reporter.say("up")
        with pytest.raises(OSError), reporter.step("Swarm") as step:
            step.note("init")
            raise OSError
        assert stream.getvalue() == ""


def test_a_story_goes_to_standard_output_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    ProgressReporter().say("hello")
    assert capsys.readouterr() == ("hello\n", "")


def test_table_columns_are_as_wide_as_their_widest_cell() -> None:
    shown = table([("manager1", "–", "x"), ("w", "reachable", "")], ("NODE", "STATUS", ""))
    assert shown.splitlines() == [
        "NODE      STATUS",
        "manager1  –          x",
        "w         reachable",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table([], ("IMAGE", "SIZE")) == "IMAGE  SIZE"


def test_a_row_that_does_not_fit_the_header_is_an_error() -> None:
    with pytest.raises((ValueError, IndexError)):
        table([("one",)], ("IMAGE", "SIZE"))


MEGABYTE = 1_000_000


def test_a_bar_off_a_terminal_is_a_line_every_quarter() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream).step("Images") as step:
        for done in range(0, 400 * MEGABYTE + 1, MEGABYTE):
            step.bar(done, 400 * MEGABYTE)
    assert printed(stream)[:-1] == ["   25 % of 400 MB", "   50 % of 400 MB", "   75 % of 400 MB"]


def test_a_bar_on_a_terminal_grows_in_place_by_percents() -> None:
    stream = Terminal()
    with ProgressReporter(stream).step("Images") as step:
        for done in range(1001):
            step.bar(done, 1000)
    *bars, _ = stream.getvalue().split("\r\x1b[2K")[1:]
    assert len(bars) == 99
    assert bars[49] == " • Images … ██████████░░░░░░░░░░ 50 %"
    assert len({len(bar.partition("…")[2].split()[0]) for bar in bars}) == 1
    assert stream.getvalue().count("\n") == 1


def test_a_bar_of_more_than_was_expected_or_of_nothing_is_full() -> None:
    for total in (0, 5):
        stream = Terminal()
        with ProgressReporter(stream).step("Images") as step:
            step.bar(10, total)
        assert "%" not in stream.getvalue()
