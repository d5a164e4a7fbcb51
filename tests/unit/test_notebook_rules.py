"""The rules that every chapter keeps, as far as a machine can see them. Needs no engine."""

import itertools
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.course.exercises import EXERCISES

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SETUP = "%load_ext labkit\nfrom labkit import Lab, checks, plots, widgets\n\nlab = Lab().up()\nlab.board();"
SHOWN = re.compile(r"^(plots|widgets)\.\w+\(.*\)\Z", re.MULTILINE | re.DOTALL)  # the last expression
SECRET = re.compile(r"SWMTKN-1-[0-9a-z]{20,}|SWMKEY-1-[0-9A-Za-z+/]{20,}|PRIVATE KEY")
MACHINE_PATH = re.compile(rf"/(?:home|Users|root|tmp|opt)/|\b[A-Z]:\\+Users|{re.escape(str(FOLDER.parent))}")
ADDRESS = re.compile(r"172\.\d+\.\d+\.\d+")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def book(path: Path) -> NotebookNode:
    return read(path)


def code(book: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def text(book: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")


def prose(book: NotebookNode) -> str:
    """The text without its fenced code, tags and table rules."""
    return re.sub(r"<[^>]+>|\|[-|]+\|", "", re.sub(r"```.*?```", "", text(book), flags=re.DOTALL))


def headings(book: NotebookNode, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", text(book), re.MULTILINE)


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def outputs(cell: NotebookNode) -> str:
    """All that a cell's outputs hold, as text."""
    return nbformat.v4.writes_json(nbformat.v4.new_notebook(cells=[cell]), ensure_ascii=False)


def shown(cell: NotebookNode) -> str | None:
    """`plots` or `widgets`, where a cell ends in one of them."""
    found = SHOWN.search(cell.source) if cell.cell_type == "code" else None
    return found[1] if found else None


def exercise(cell: NotebookNode) -> str | None:
    """The exercise that a check cell grades."""
    found = re.fullmatch(r'lab\.check\("(.+)"\)', cell.source) if cell.cell_type == "code" else None
    return found[1] if found else None


def test_names_are_numbered_without_a_gap() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert names
    assert all(re.fullmatch(r"\d\d-[a-z]+(-[a-z0-9]+)+\.ipynb", name) for name in names), names
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))


def test_format_is_current_and_metadata_minimal(book: NotebookNode) -> None:
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) >= (4, 5)
    assert book.metadata.kernelspec.name == "python3"
    assert set(book.metadata) <= {"kernelspec", "language_info"}  # no widget state
    assert all(set(cell.metadata) <= {"tags", "jupyter"} for cell in book.cells)  # no timing
    assert len({cell.id for cell in book.cells}) == len(book.cells)


def test_begins_with_title_promise_time_and_starting_state(book: NotebookNode) -> None:
    assert len(headings(book, 1)) == 1
    title, promise, facts = book.cells[0].source.split("\n\n")
    assert title.startswith("# ")
    assert promise.endswith(".") and promise.count(".") == 1
    assert re.search(r"\*\*Time:\*\* \d+ minutes · \*\*You start with:\*\* .+", facts)


def test_sets_up_like_every_other_chapter(path: Path, book: NotebookNode) -> None:
    setup, begin = code(book)[:2]
    assert setup.source == SETUP
    assert begin.source == f'lab.begin("{path.stem[3:]}");'


def test_has_a_few_sections_that_claim_or_ask(book: NotebookNode) -> None:
    sections = headings(book, 2)
    assert 4 <= len(sections) <= 8
    assert all(len(section.split()) >= 3 for section in sections)  # no "Basics", no "Networking"


def test_cells_are_short_and_prose_comes_first(book: NotebookNode) -> None:
    for cell in code(book):
        assert len(cell.source.splitlines()) <= 12, cell.source
    kinds = itertools.groupby(cell.cell_type for cell in book.cells)
    assert max(len(list(run)) for kind, run in kinds if kind == "code") <= 2
    for cell in book.cells:
        last = cell.source.splitlines()[-1]
        assert cell.cell_type == "code" or not last.startswith("#"), f"nothing below the heading {last}"


def test_words_follow_on_each_picture_and_widget(book: NotebookNode) -> None:
    for cell, after in itertools.pairwise(book.cells):
        if shown(cell):
            assert after.cell_type == "markdown", f"nothing says what to see here: {cell.source}"


def test_no_cell_needs_a_widget(book: NotebookNode) -> None:
    for cell in code(book):
        assert not re.search(r"=\s*widgets\.", cell.source), "nobody clicks in CI, or in Run All"


def test_length_suits_half_an_hour(book: NotebookNode) -> None:
    assert 1000 <= len(re.findall(r"[\w'’-]*\w", prose(book))) <= 1600


def test_asks_to_predict_and_offers_depth(book: NotebookNode) -> None:
    assert text(book).count("**Predict:**") >= 3
    assert "> **Under the hood:**" in text(book)


def test_fails_on_purpose_once_or_twice(book: NotebookNode) -> None:
    failing = [cell for cell in code(book) if "raises-exception" in tags(cell)]
    assert 1 <= len(failing) <= 2
    # nbval only allows these to fail; that they do, and for the reason that is taught, is compared
    assert all("nbval-check-output" in tags(cell) for cell in failing)
    assert all(any(output.output_type == "error" for output in cell.outputs) for cell in failing)


def test_compares_some_outputs_strictly(book: NotebookNode) -> None:
    strict = [cell for cell in code(book) if "nbval-check-output" in tags(cell)]
    assert strict
    assert all(cell.outputs for cell in strict)


def test_exercises_go_from_question_to_check(book: NotebookNode) -> None:
    found = [(index, name) for index, cell in enumerate(book.cells) if (name := exercise(cell))]
    assert len(found) >= 2
    chapter = found[0][1].partition(".")[0]
    assert [name for _, name in found] == [f"{chapter}.{number}" for number in range(1, len(found) + 1)]
    for index, name in found:
        question, empty, hints, solution = book.cells[index - 4 : index]
        assert name in EXERCISES
        assert question.cell_type == "markdown" and "**" in question.source
        assert empty.cell_type == "code" and empty.source == "# your turn"
        assert "<details><summary>Hint 1</summary>" in hints.source
        assert tags(solution) == ["solution"]
        assert solution.metadata.jupyter.source_hidden is True
    assert sum("solution" in tags(cell) for cell in book.cells) == len(found)
    assert text(book).count("### Your turn") == len(found)


def test_no_two_chapters_share_an_exercise() -> None:
    names = [name for path in NOTEBOOKS for cell in read(path).cells if (name := exercise(cell))]
    assert len(names) == len(set(names))


def test_ends_with_recap_quiz_clean_up_and_next(book: NotebookNode) -> None:
    end = text(book).rpartition("\n## ")[2]
    recap, quiz, rest = re.split(r"^### (?:Quiz|Clean up)$", end, flags=re.MULTILINE)
    assert len(re.findall(r"^- ", recap, re.MULTILINE)) == 3
    assert 2 <= len(re.findall(r"^\*\*\d\.\*\*", quiz, re.MULTILINE)) <= 3
    assert quiz.count("<summary>Answer</summary>") == len(re.findall(r"^\*\*\d\.\*\*", quiz, re.MULTILINE))
    assert "**Next:**" in rest


def test_folded_text_is_closed_and_links_lead_somewhere(book: NotebookNode) -> None:
    assert text(book).count("<details>") == text(book).count("</details>")
    for target in re.findall(r"\]\(([^)#:]+)\)", text(book)):
        assert (FOLDER / target).exists(), target


def test_commands_hold_on_every_machine(book: NotebookNode) -> None:
    for cell in code(book):
        assert not ADDRESS.search(cell.source), "each lab has a network of its own: use names, or eth0"


def test_was_run_from_top_to_bottom(book: NotebookNode) -> None:
    assert [cell.execution_count for cell in code(book)] == list(range(1, len(code(book)) + 1))
    for cell in code(book):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source


def test_committed_outputs_hold_no_secret_and_nothing_of_a_machine(book: NotebookNode) -> None:
    for cell in code(book):
        assert not SECRET.search(outputs(cell))
        for output in cell.outputs:
            assert not MACHINE_PATH.search(str(output)), cell.source
    assert not SECRET.search(text(book))


def test_committed_pictures_and_widgets_are_for_who_has_not_run_them(book: NotebookNode) -> None:
    pictures = 0
    for cell in code(book):
        for output in cell.outputs:
            kinds = set(output.get("data", ()))
            assert kinds <= {"text/plain", "image/png"}, (
                f"commit it by tests/notebooks/execute.py: {cell.source}"
            )
            assert ("image/png" in kinds) == (shown(cell) == "plots")
            pictures += "image/png" in kinds
    assert pictures == sum(shown(cell) == "plots" for cell in code(book))
