"""The rules that every chapter keeps, as far as a machine can see them. Needs no engine."""

import itertools
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.cluster.cluster import Cluster
from labkit.course import chapters, quiz
from labkit.course.exam.registry import SCENARIOS
from labkit.course.exam_state import PREFIX
from labkit.course.exercises import EXERCISES, tasks
from labkit.widgets import Quiz
from tests.notebooks.execute import minutes
from tests.notebooks.run import answers, code_cells, outcome, prediction, tags

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SETUP = "%load_ext labkit\nfrom labkit import Lab, checks, plots, widgets\n\nlab = Lab().up()\nlab.board();"
SHOWN = re.compile(r"^(plots|widgets)\.\w+\(.*\)\Z", re.MULTILINE | re.DOTALL)  # the last expression
SECRET = re.compile(r"SWMTKN-1-[0-9a-z]{20,}|SWMKEY-1-[0-9A-Za-z+/]{20,}|PRIVATE KEY")
MACHINE_PATH = re.compile(rf"/(?:home|Users|root|tmp|opt)/|\b[A-Z]:\\+Users|{re.escape(str(FOLDER.parent))}")
ADDRESS = re.compile(r"172\.\d+\.\d+\.\d+")


SOLUTION = "One solution is in the next cell. It runs only while the exercise isn't solved."


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def book(path: Path) -> NotebookNode:
    return read(path)


def text(book: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")


def prose(book: NotebookNode) -> str:
    """The text without its fenced code, tags and table rules."""
    return re.sub(r"<[^>]+>|\|[-|]+\|", "", re.sub(r"```.*?```", "", text(book), flags=re.DOTALL))


def headings(book: NotebookNode, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", text(book), re.MULTILINE)


def outputs(cell: NotebookNode) -> str:
    """All that a cell's outputs hold, as text."""
    return nbformat.v4.writes_json(nbformat.v4.new_notebook(cells=[cell]), ensure_ascii=False)


def shown(cell: NotebookNode) -> str | None:
    """`plots` or `widgets`, where a cell ends in one of them."""
    found = SHOWN.search(cell.source) if cell.cell_type == "code" else None
    return found[1] if found else None


def about_prediction(cell: NotebookNode) -> bool:
    return prediction(cell) is not None or outcome(cell) is not None


def exercise(cell: NotebookNode) -> str | None:
    """The exercise that a check cell grades."""
    found = re.fullmatch(r'lab\.check\("(.+)"\)', cell.source) if cell.cell_type == "code" else None
    return found[1] if found else None


def test_names_are_numbered_without_a_gap() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert names
    assert all(re.fullmatch(r"\d\d-[a-z]+(-[a-z0-9]+)+\.ipynb", name) for name in names), names
    assert [int(name[:2]) for name in names] == list(range(len(names)))


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
    assert re.fullmatch(
        r"\*\*Time:\*\* \d+ minutes · \*\*You start with:\*\* .+ · \*\*Outputs from:\*\* Docker 26\.1", facts
    )


def test_sets_up_like_every_other_chapter(path: Path, book: NotebookNode) -> None:
    setup, begin = code_cells(book)[:2]
    assert setup.source == SETUP
    assert begin.source == f'lab.begin("{path.stem[3:]}");'


def test_has_a_few_sections_that_claim_or_ask(book: NotebookNode) -> None:
    sections = headings(book, 2)
    assert 4 <= len(sections) <= 8
    assert all(len(section.split()) >= 3 for section in sections)  # no "Basics", no "Networking"


def test_cells_are_short_and_prose_comes_first(book: NotebookNode) -> None:
    for cell in code_cells(book):
        assert len(cell.source.splitlines()) <= 12, cell.source
    kinds = itertools.groupby(cell.cell_type for cell in book.cells if not about_prediction(cell))
    assert max(len(list(run)) for kind, run in kinds if kind == "code") <= 2
    for cell in book.cells:
        last = cell.source.splitlines()[-1]
        assert cell.cell_type == "code" or not last.startswith("#"), f"nothing below the heading {last}"


def test_words_follow_on_each_picture_and_widget(book: NotebookNode) -> None:
    for cell, after in itertools.pairwise(cell for cell in book.cells if not about_prediction(cell)):
        if shown(cell):
            assert after.cell_type == "markdown", f"nothing says what to see here: {cell.source}"


def test_no_cell_needs_a_widget(book: NotebookNode) -> None:
    for cell in code_cells(book):
        assert not re.search(r"=\s*widgets\.", cell.source), "nobody clicks in CI, or in Run All"


def test_length_leaves_room_for_explanations_and_no_more(book: NotebookNode) -> None:
    assert 1000 <= len(re.findall(r"[\w'’-]*\w", prose(book))) <= 3000


def test_the_minutes_are_computed(book: NotebookNode) -> None:
    found = re.search(r"\*\*Time:\*\* (\d+) minutes", text(book))
    assert found and minutes(book, seconds=0) <= int(found[1]) <= minutes(book, seconds=600)


def test_asks_to_predict_and_offers_depth(path: Path, book: NotebookNode) -> None:
    asked = [index for index, cell in enumerate(book.cells) if prediction(cell)]
    assert text(book).count("**Predict:**") == len(asked) >= 3
    for index in asked:
        question, name = book.cells[index - 1], prediction(book.cells[index])
        assert question.cell_type == "markdown" and "**Predict:**" in question.source.split("\n\n")[-1]
        assert name and name.partition(".")[0] == chapters.find(path.stem)[1].key
        compared = [at for at, cell in enumerate(book.cells) if outcome(cell) == name]
        assert len(compared) == 1 and index < compared[0] <= index + 6, f"where does {name} come out?"
        assert book.cells[compared[0] + 1].cell_type == "markdown", f"nothing explains {name}"
    assert "> **Under the hood:**" in text(book)
    assert all(cell.metadata.get("jupyter", {}).get("outputs_hidden") for cell in answers(book))


def test_predictions_have_names_of_their_own() -> None:
    names = [name for path in NOTEBOOKS for cell in read(path).cells if (name := prediction(cell))]
    assert len(names) == len(set(names))


def test_fails_on_purpose_once_or_twice(book: NotebookNode) -> None:
    failing = [cell for cell in code_cells(book) if "raises-exception" in tags(cell)]
    assert 1 <= len(failing) <= 2
    # nbval only allows these to fail; that they do, and for the reason that is taught, is compared
    assert all("nbval-check-output" in tags(cell) for cell in failing)
    assert all(any(output.output_type == "error" for output in cell.outputs) for cell in failing)


def test_compares_some_outputs_strictly(book: NotebookNode) -> None:
    strict = [cell for cell in code_cells(book) if "nbval-check-output" in tags(cell)]
    assert strict
    assert all(cell.outputs for cell in strict)


def test_exercises_go_from_question_to_check(path: Path, book: NotebookNode) -> None:
    found = [(index, name) for index, cell in enumerate(book.cells) if (name := exercise(cell))]
    names, known = [name for _, name in found], tasks(chapters.find(path.stem)[1].key)
    # The exam's chapter practises some of its scenarios, each as one seed has it; the others are the exam's.
    assert names == list(known) or (names == list(dict.fromkeys(names)) and set(names) < exam_names())
    assert len(found) >= 4
    for index, name in found:
        question, empty, watch, folded, solution = book.cells[index - 5 : index]
        assert question.cell_type == "markdown" and "**" in question.source
        assert empty.cell_type == "code" and empty.source == "# your turn"
        assert watch.source == f'widgets.Exercise(lab, "{name}")'
        assert folded.source == SOLUTION
        heading = "### Drill" if name in EXERCISES and EXERCISES[name].drill else "### Your turn"
        assert heading in question.source
        assert tags(solution) == ["solution"]
        assert re.match(rf"%%on [a-z0-9 ]+ --unless {re.escape(name)}\b", solution.source)
        assert solution.metadata.jupyter.source_hidden is True
    assert sum("solution" in tags(cell) for cell in book.cells) == len(found)


def exam_names() -> set[str]:
    return {PREFIX + name for name in SCENARIOS}


def test_every_exercise_has_its_place_in_a_chapter() -> None:
    names = [name for path in NOTEBOOKS for cell in read(path).cells if (name := exercise(cell))]
    assert sorted(set(names) - exam_names()) == sorted(EXERCISES)
    assert len(names) == len(set(names))


def test_half_of_the_exercises_start_from_a_situation() -> None:
    for key, several in itertools.groupby(EXERCISES, lambda name: name.partition(".")[0]):
        drills = [EXERCISES[name].drill for name in several]
        assert 2 * sum(drills) <= len(drills), f"{key} has too many drills"


def test_ends_with_recap_quiz_clean_up_and_next(path: Path, book: NotebookNode) -> None:
    end = text(book).rpartition("\n## ")[2]
    recap, _, rest = re.split(r"^### (?:Quiz|Clean up)$", end, flags=re.MULTILINE)
    assert len(re.findall(r"^- ", recap, re.MULTILINE)) == 3
    key = chapters.find(path.stem)[1].key
    assert [cell.source for cell in code_cells(book)][-2:] == [f'widgets.Quiz("{key}", lab)', "lab.reset();"]
    place = NOTEBOOKS.index(path)
    for word, others in (("Next", NOTEBOOKS[place + 1 :]), ("Back", NOTEBOOKS[:place][::-1])):
        if others:
            title = read(others[0]).cells[0].source.partition("\n")[0].removeprefix("# ")
            assert f"**{word}:** [{title}]({others[0].name})" in rest


@pytest.mark.parametrize("key", [chapter.key for chapter in chapters.CHAPTERS.values()])
def test_a_quiz_asks_five_questions_and_explains_their_answers(key: str) -> None:
    questions = quiz.load(key)
    assert len(questions) == 5
    assert len({question.answer for question in questions}) > 1  # not always the first
    for question in questions:
        assert question.ask.endswith(("?", "…"))
        assert len(set(question.choices)) == len(question.choices) >= 3
        assert 0 <= question.answer < len(question.choices)
        assert len(question.why.split()) >= 6
    assert sum(bool(question.output) for question in questions) >= 2, "too little real output to read"


@pytest.mark.parametrize("key", [chapter.key for chapter in chapters.CHAPTERS.values()])
def test_the_length_of_a_choice_does_not_give_the_answer_away(key: str) -> None:
    longest = shortest = 0
    for question in quiz.load(key):
        others = [len(choice) for index, choice in enumerate(question.choices) if index != question.answer]
        right = len(question.choices[question.answer])
        assert right <= 1.1 * max(others), f"the right choice is the longest: {question.ask}"
        longest += right > max(others)
        shortest += right < min(others)
    assert longest <= 1
    assert shortest <= 3


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_says_why_it_matters_and_leads_on(name: str) -> None:
    found = EXERCISES[name]
    assert len(found.why.split()) >= 6 and not found.why.endswith(".")
    assert len(found.hints) >= 2 and any(map(callable, found.hints[1:]))  # a later one looks at the swarm
    assert len(found.task.split()) >= 4 and not found.task.endswith(".")


def test_folded_text_is_closed_and_links_lead_somewhere(book: NotebookNode) -> None:
    assert text(book).count("<details>") == text(book).count("</details>")
    for target in re.findall(r"\]\(([^)#:]+)\)", text(book)):
        assert (FOLDER / target).exists(), target


def test_commands_hold_on_every_machine(book: NotebookNode) -> None:
    for cell in code_cells(book):
        assert not ADDRESS.search(cell.source), "each lab has a network of its own: use names, or eth0"


def test_was_run_from_top_to_bottom(book: NotebookNode) -> None:
    assert [cell.execution_count for cell in code_cells(book)] == list(range(1, len(code_cells(book)) + 1))
    for cell in code_cells(book):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source


def test_committed_outputs_hold_no_secret_and_nothing_of_a_machine(book: NotebookNode) -> None:
    for cell in code_cells(book):
        assert not SECRET.search(outputs(cell))
        for output in cell.outputs:
            assert not MACHINE_PATH.search(str(output)), cell.source
    assert not SECRET.search(text(book))


def test_committed_pictures_and_widgets_are_for_who_has_not_run_them(book: NotebookNode) -> None:
    pictures = 0
    for cell in code_cells(book):
        for output in cell.outputs:
            kinds = set(output.get("data", ()))
            assert kinds <= {"text/plain", "image/png"}, (
                f"commit it by tests/notebooks/execute.py: {cell.source}"
            )
            assert ("image/png" in kinds) == (shown(cell) == "plots")
            pictures += "image/png" in kinds
    assert pictures == sum(shown(cell) == "plots" for cell in code_cells(book))


def test_the_committed_quiz_is_todays(path: Path, book: NotebookNode) -> None:
    [shown] = [cell for cell in code_cells(book) if cell.source.startswith("widgets.Quiz(")]
    quiz_now = repr(Quiz(chapters.find(path.stem)[1].key, Cluster("mine")))
    assert shown.outputs[0].data["text/plain"] == quiz_now


def test_the_committed_exercises_are_todays(book: NotebookNode) -> None:
    for cell in code_cells(book):
        found = re.match(r'(lab\.check|widgets\.Exercise)\((?:lab, )?"([\w.-]+)"\)', cell.source)
        if found and (now := EXERCISES.get(found[2])):
            said = now.why if found[1] == "lab.check" else now.task
            assert said in cell.outputs[-1].data["text/plain"], f"execute it again: {cell.source}"
