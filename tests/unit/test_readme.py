"""The README's table of systems keeps apart what was run, what others report, and what nobody knows."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ISSUE = re.compile(r"\[[\w.-]+ #(\d+)\]\(https://github\.com/[\w.-]+/[\w.-]+/(?:issues|pull)/(\d+)\)")


def rows() -> list[list[str]]:
    """The table's rows: system, what was done there, what is known."""
    table = README.partition("### Where it runs")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_each_system_says_how_its_facts_are_known() -> None:
    assert len(rows()) > 8
    assert all(len(row) == 3 for row in rows())
    assert {how for _, how, _ in rows()} == {"run", "reported", "not run", "refused", "no"}


def test_what_is_reported_names_a_public_report_and_what_was_run_needs_none() -> None:
    for system, how, known in rows():
        assert bool(ISSUE.search(known)) is (how == "reported"), system


def test_links_to_issues_lead_to_the_number_that_they_show() -> None:
    found = ISSUE.findall(README)
    assert len(found) >= 8
    assert [shown for shown, linked in found if shown != linked] == []


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    targets = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert targets
    assert targets <= anchors
