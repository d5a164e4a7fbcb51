"""Generates the pages in docs/ that are derived from the chapters, so that they can't drift apart.

    python -m tests.notebooks.sheets

`glossary.md` has the sentences that define a term, which chapters set in italics. `commands.md` has each
docker command with its first example. `coverage.md` says where each command and concept of the course's
source, as listed in `course-notes.toml`, is taught.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from labkit.util.console import table

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTES = Path(__file__).with_name("course-notes.toml")

_TERM = re.compile(r"(?<![*\w])\*([^*\s][^*\n]*)\*(?![*\w])")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?:])\)?\s+(?=\(?[A-Z`*])")
_NEEDS_SENTENCE_BEFORE = re.compile(
    r"(?:That|This|These|It|They|Both|There|From then"
    r"|The (?:one|first|last|second|third)|Each (?:of them|computer))\b"
)
_ONLY_STRESSED = {"not"}
_GROUPS = {"container", "image", "system"} | {
    "node",
    "service",
    "swarm",
    "network",
    "volume",
    "plugin",
    "stack",
    "secret",
    "config",
}
_COMMAND = re.compile(r"(?<![\w/.-])docker ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")


@dataclass(frozen=True)
class Cell:
    """A cell with its place: the chapter's file and title, and the section that it's in."""

    chapter: Path
    title: str
    section: str
    kind: str
    source: str

    @property
    def link(self) -> str:
        return f"[{self.chapter.stem[:2]}](../notebooks/{self.chapter.name})"


def cells() -> list[Cell]:
    """Every cell of the course in its order; text is cut at its headings."""
    found = []
    for path in CHAPTERS:
        title = section = ""
        for cell in nbformat.read(path, as_version=4).cells:
            parts = (
                re.split(r"^(?=##? )", cell.source, flags=re.MULTILINE) if _is_text(cell) else [cell.source]
            )
            for part in filter(None, parts):
                if _is_text(cell) and (heading := re.match(r"(##?) (.+)", part)):
                    title, section = (heading[2], "") if heading[1] == "#" else (title, heading[2])
                found.append(Cell(path, title, section, cell.cell_type, part))
    return found


def _is_text(cell: nbformat.NotebookNode) -> bool:
    return bool(cell.cell_type == "markdown")


# -- glossary -------------------------------------------------------------------------------------------


def terms() -> dict[str, tuple[str, list[Cell]]]:
    """Each term, with the sentence that first defines it and all cells that do; acronyms keep capitals."""
    found: dict[str, tuple[str, list[Cell]]] = {}
    for cell in cells():
        if cell.kind != "markdown":
            continue
        for term, sentence in _defined(cell.source):
            sentence = re.sub(r":$", ".", sentence)
            first = found.setdefault(term if term.isupper() else term.lower(), (sentence, []))
            if cell not in first[1]:
                first[1].append(cell)
    return dict(sorted(found.items(), key=lambda entry: entry[0].lower()))


def _defined(source: str) -> Iterator[tuple[str, str]]:
    for block in re.split(r"\n\s*\n|\n(?=- |\d+\. |\|)", _FENCED.sub("", source)):
        if block.lstrip().startswith("|"):
            continue
        flat = re.sub(r"^(?:- |\d+\. |> )+", "", " ".join(block.split()))
        before = ""
        for sentence in _SENTENCE_ENDS.split(flat):
            if sentence.count("(") != sentence.count(")"):  # several sentences in parentheses
                sentence = sentence.removeprefix("(").removesuffix(")")
            leans = _NEEDS_SENTENCE_BEFORE.match(sentence)
            for match in _TERM.finditer(sentence):
                if match[1] not in _ONLY_STRESSED:
                    yield match[1], f"{before} {sentence}".strip() if leans else sentence
            before = sentence


def glossary() -> str:
    lines = ["# Glossary", ""]
    lines += ["Each definition is quoted from the chapter that introduces the term. The numbers link to the"]
    lines += ["chapters that define it.", ""]
    for term, (sentence, where) in terms().items():
        links = " ".join(dict.fromkeys(cell.link for cell in where))
        lines += [f"## {term}", "", f"{sentence} {links}", ""]
    return "\n".join(lines)


# -- commands -------------------------------------------------------------------------------------------


def commands() -> dict[str, tuple[str, Cell]]:
    """Each docker command of the course, such as `docker node update`, with its first line and cell."""
    found: dict[str, tuple[str, Cell]] = {}
    for cell in cells():
        if cell.kind == "code" and cell.source.startswith("%%on"):
            for line in cell.source.replace("\\\n", " ").splitlines()[1:]:
                line = re.sub(r"^until (.+); do (?::|sleep [\d.]+); done$", r"\1", line)
                for words in _COMMAND.findall(line):
                    group, _, action = words.partition(" ")
                    name = f"docker {group} {action}" if group in _GROUPS and action else f"docker {group}"
                    found.setdefault(name, (" ".join(line.split()), cell))
    return dict(sorted(found.items()))


def command_sheet() -> str:
    rows = [(name, line, cell) for name, (line, cell) in commands().items()]
    lines = ["# Commands", "", "Every docker command in the course, with the first example of its use.", ""]
    lines += ["| Command | Example | Chapter and section |", "|---|---|---|"]
    lines += [f"| `{name}` | `{_in_table(line)}` | {cell.link} {cell.section} |" for name, line, cell in rows]
    return "\n".join(lines) + "\n"


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


# -- coverage -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """A command or concept of the source; `taught` is a pattern that a cell of the course fits."""

    said: str
    taught: str
    kind: str
    remark: str = ""

    def cell(self, among: list[Cell]) -> Cell | None:
        """The first cell that teaches it: for a command one that runs it."""
        wanted = "code" if self.kind == "command" else "markdown"
        pattern = re.compile(self.taught, re.DOTALL)
        return next((cell for cell in among if cell.kind == wanted and pattern.search(cell.source)), None)


def notes() -> list[Note]:
    listed = tomllib.loads(NOTES.read_text(encoding="utf-8"))
    return [Note(**entry, kind=kind) for kind in ("command", "concept") for entry in listed[kind]]


def coverage() -> str:
    among = cells()
    lines = ["# Where each topic of the source is taught", ""]
    lines += [
        "This table lists the commands and concepts of the material that the course is based on, and where"
    ]
    lines += ["the course teaches each of them. Remarks correct or update the source where necessary.", ""]
    lines += ["| In the source | Chapter and section | Remark |", "|---|---|---|"]
    for note in notes():
        cell = note.cell(among)
        said = f"`{_in_table(note.said)}`" if note.kind == "command" else _in_table(note.said)
        where = f"{cell.link} {cell.section or cell.title}" if cell else "nowhere"
        lines.append(f"| {said} | {where} | {_in_table(note.remark)} |")
    return "\n".join(lines) + "\n"


SHEETS = {"glossary.md": glossary, "commands.md": command_sheet, "coverage.md": coverage}


if __name__ == "__main__":
    for name, text in SHEETS.items():
        (ROOT / "docs" / name).write_text(text(), encoding="utf-8")
    untaught = [note.said for note in notes() if note.cell(cells()) is None]
    print(table([(said,) for said in untaught], ("NOT TAUGHT YET",)) if untaught else "everything is taught")
