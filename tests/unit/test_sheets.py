"""What docs/ derives from the chapters is what they say now, and all of the course's source is taught."""

from collections.abc import Callable

import pytest

from tests.notebooks import sheets
from tests.notebooks.sheets import Note


@pytest.mark.parametrize(("name", "text"), sheets.SHEETS.items())
def test_docs_are_as_the_chapters_are(name: str, text: Callable[[], str]) -> None:
    written = (sheets.ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == text(), "regenerate it: python -m tests.notebooks.sheets"


@pytest.mark.parametrize("note", sheets.notes(), ids=lambda note: note.said[:60])
def test_each_note_of_the_source_is_taught(note: Note) -> None:
    assert note.cell(sheets.cells()), f"no cell fits {note.taught!r}"


def test_the_glossary_defines_what_learners_meet_first() -> None:
    defined = sheets.terms()
    assert {
        "swarm",
        "node",
        "manager",
        "worker",
        "service",
        "task",
        "desired state",
        "join token",
    } <= defined.keys()
    for term, (sentence, _) in defined.items():
        assert len(sentence.split()) > 4, f"*{term}* is not defined by: {sentence}"


def test_commands_are_found_in_cells() -> None:
    found = sheets.commands()
    assert {"docker node ls", "docker swarm init", "docker swarm join"} <= found.keys()
    assert all(line.count("docker") for line, _ in found.values())
