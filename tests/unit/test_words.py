"""A net for words that a reader stumbles over; docs and chapters are plain American English without them."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from labkit.course.exam.registry import SCENARIOS
from labkit.course.exercises import EXERCISES

ROOT = Path(__file__).parents[2]

# Archaisms, words of another language's making, British spellings, and phrases that this project once used.
NET = re.compile(
    r"""\b(?:
    anew | for\ ever | thereby | thereof | whereof | amid | lest | betimes | hitherto | whilst | amongst
    | else\ (?:it|the|a|they|you|nobody|nothing) | mend(?:s|ed|ing)? | by\ and\ by | the\ way\ out
    | lies\ there | gives?\ away\ (?:all|its|every) | sees?\ to\ it | whatever\ becomes | c[ao]mes?\ about
    | is\ told\ (?:by|in) | says?\ of\ itself | slip\ of\ the\ pen | twice\ is\ fine
    | (?:colour|behaviour|neighbour|favour|honour)\w* | centre[sd]? | licence | catalogue | grey | cheque
    | programme | (?:travell|cancell|modell|labell)(?:ed|ing)
    | (?:recogn|organ|real|initial|summar|optim|synchron)is(?:e[sd]?|ing)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def texts() -> Iterator[tuple[str, str]]:
    """Every text for readers, with its place."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        yield path.stem, "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")]:
        yield path.name, re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for path in sorted((ROOT / "labkit" / "course" / "quizzes").glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["question"]:
            yield f"quiz {path.stem}", " / ".join([entry["ask"], *entry["choices"], entry["why"]])
    for name, exercise in {**EXERCISES, **SCENARIOS}.items():
        hints = [hint for hint in exercise.hints if isinstance(hint, str)]
        yield name, " / ".join([getattr(exercise, "task", ""), exercise.why, *hints])


@pytest.mark.parametrize(("place", "text"), [pytest.param(*found, id=found[0]) for found in texts()])
def test_no_word_makes_a_reader_stumble(place: str, text: str) -> None:
    found = [text[max(0, match.start() - 30) : match.end() + 30] for match in NET.finditer(text)]
    assert not found, f"in {place}: {found}"


@pytest.mark.parametrize(
    "bad",
    ["Start anew.", "the colour", "It lies there.", "two neighbours", "is labelled", "it came about"],
)
def test_the_net_catches(bad: str) -> None:
    assert NET.search(bad)


@pytest.mark.parametrize("good", ["colors", "Cancel it", "is labeled", "a neighbor", "something else"])
def test_the_net_lets_pass(good: str) -> None:
    assert not NET.search(good)
