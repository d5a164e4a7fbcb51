"""Words in pictures."""

import pytest
from matplotlib.textpath import TextPath

from labkit.plots.lettering import fit, fit_name, width_of, wrap
from labkit.util.text import counted, listed, natural


@pytest.mark.parametrize("bold", [False, True])
def test_words_are_as_wide_as_matplotlib_draws_them(bold: bool) -> None:
    words = "manager1 ✓ ready · web.12 × 3"
    drawn = TextPath(
        (0, 0), words, 12, prop={"family": "DejaVu Sans", "weight": "bold" if bold else "normal"}
    )  # type: ignore[arg-type]
    assert width_of(words, 12, bold=bold) == pytest.approx(drawn.get_extents().width, rel=0.03)


def test_a_letter_that_the_font_lacks_has_a_width() -> None:
    assert width_of("\U0001f433", 12) == 12


def test_words_that_fit_stay() -> None:
    assert fit("web.1", 100, 12) == "web.1"


@pytest.mark.parametrize("width", [3, 20, 60, 200])
def test_words_that_do_not_fit_are_cut(width: float) -> None:
    cut = fit("no such image: registry.example.com/web:1", width, 12)
    assert cut.endswith("…")
    assert len(cut) == 1 or width_of(cut, 12) <= width


@pytest.mark.parametrize(
    ("name", "end"), [("a-long-name.12", "….12"), ("a-long-name × 3", "… × 3"), ("a-long-name", "…")]
)
def test_a_tasks_name_keeps_its_number(name: str, end: str) -> None:
    assert fit_name(name, 200, 12) == name
    cut = fit_name(name, 60, 12)
    assert cut.startswith("a-")
    assert cut.endswith(end)
    assert width_of(cut, 12) <= 60


def test_lines_are_broken_between_words() -> None:
    words = "There is a quorum again as soon as one of them comes back."
    lines = wrap(words, 150, 12, lines=4)
    assert " ".join(lines) == words
    assert len(lines) > 1
    assert all(width_of(line, 12) <= 150 for line in lines)


def test_no_more_lines_than_asked_for() -> None:
    first, last = wrap("There is a quorum again as soon as one of them comes back.", 100, 12, lines=2)
    assert not first.endswith("…")
    assert last.endswith("…")


def test_names_are_sorted_as_people_count() -> None:
    assert sorted(["worker10", "worker2", "manager1", "2nd"], key=natural) == [
        "2nd",
        "manager1",
        "worker2",
        "worker10",
    ]


def test_lists_and_counts_read_as_people_write_them() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [counted(1, "task"), counted(2, "task"), counted(0, "task")] == ["1 task", "2 tasks", "0 tasks"]
