"""docs/architecture.md names every module and only what exists, and its first page stays one page."""

import ast
import re
from pathlib import Path

import pytest

from labkit.course.chapters import CHAPTERS
from labkit.course.exercises import EXERCISES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FIRST_PAGE, _, REFERENCE = TEXT.partition("\n# Reference\n")
PAGE_LINES = 110

_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("labkit/", "tests/", "docs/", "notebooks/", "bench/")
_TOP_FILES = {path.name for path in ROOT.iterdir() if path.is_file()}


def section(title: str) -> str:
    """The text below a heading of the second level."""
    return re.split(r"^##? ", TEXT.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a text's tables, headers and all."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def paths(text: str) -> list[str]:
    """What a text calls a path of this repository; capitals stand for any name, as `*` does."""
    found = [code for code in _CODE.findall(text) if code.startswith(_FOLDERS) or code in _TOP_FILES]
    return [re.sub(r"\b[A-Z]{2,}\b", "*", path) for path in found]


def holds_code(path: Path) -> bool:
    """Whether a module is more than a docstring."""
    body = ast.parse(path.read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def test_the_list_of_modules_is_the_tree() -> None:
    listed = [row[0].strip("`") for row in rows(section("Modules")) if row[0].startswith("`")]
    sources = ROOT / "labkit" / "images" / "sources"
    there = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "labkit").rglob("*.py")
        if sources not in path.parents and holds_code(path)
    ]
    assert sorted(listed) == sorted(there)


def test_each_module_has_a_line_of_its_own() -> None:
    for row in rows(section("Modules")):
        if row[0].startswith("`"):
            module, sentence = row
            assert len(_CODE.findall(module)) == 1
            assert sentence, module


def test_every_path_exists() -> None:
    missing = [path for path in paths(TEXT) if not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


def test_the_tree_is_the_top_of_the_package() -> None:
    listed = {row[0].strip("`/") for row in rows(section("The tree")) if row[0].startswith("`")}
    assert listed == {path.name for path in (ROOT / "labkit").iterdir()} - {"__pycache__"}


def test_the_first_page_is_a_page() -> None:
    assert REFERENCE
    assert len(FIRST_PAGE.splitlines()) <= PAGE_LINES


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("how a node is started", "labkit/cluster/provision.py"),
        ("what `%%on` prints", "labkit/jupyter/magics.py"),
        ("an exercise, or a new one", "labkit/course/exercises/*.py"),
        ("a plot, or a new one", "labkit/plots/*.py"),
        ("a stand-in image", "labkit/images/catalog.py"),
    ],
)
def test_a_newcomer_finds_the_file_on_the_first_page(question: str, file: str) -> None:
    (answer,) = (row[1] for row in rows(FIRST_PAGE) if row[0].startswith(question))
    assert file in paths(answer)


def test_the_chapters_are_the_course() -> None:
    listed = [row for row in rows(section("The chapters")) if row[0].isdigit()]
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert len(listed) == len(notebooks) == len(CHAPTERS)
    for row, notebook, (name, chapter) in zip(listed, notebooks, CHAPTERS.items(), strict=True):
        number, file, begin, key, module = (cell.strip("`") for cell in row)
        assert (file, begin, key) == (f"notebooks/{notebook.name}", name, chapter.key)
        assert notebook.stem == f"{number}-{name}"
        if any(exercise.startswith(f"{key}.") for exercise in EXERCISES):
            assert module == f"labkit/course/exercises/{key}.py"


def test_each_decision_names_its_files() -> None:
    decisions = REFERENCE.split("\n## Decisions\n")[1].split("\n## ")[0]
    records = re.split(r"^- (?=\*\*)", decisions, flags=re.MULTILINE)[1:]
    assert records
    for record in records:
        _, _, files = re.split(r"\n(?:\n|```)", record)[0].partition("Files:")
        assert paths(files), record
