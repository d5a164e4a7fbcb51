"""The static website builds from the chapters as they are committed, and its links lead somewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from labkit.cli import website

NOTEBOOKS = sorted((website.ROOT / "notebooks").glob("*.ipynb"))


class Page(HTMLParser):
    """What a page links to, and the places in it that links may lead to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links, self.places = list[str](), set[str]()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.places.add(found.get("id") or "")
        link = found.get("src") if tag in ("img", "script") else found.get("href")
        self.links += [link] if link else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert website.build(folder).is_file()
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


def test_every_chapter_is_a_page_with_its_outputs(site: Path) -> None:
    for notebook in NOTEBOOKS:
        text = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert "manager1 · exit 0" in text, notebook.stem


def test_links_lead_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            place = unquote(parts.fragment) if target in pages else ""
            if not target.exists() or (place and place not in pages[target].places):
                broken.append(f"{file.name}: {link}")
    assert not broken
    assert sum(len(page.links) for page in pages.values()) > 500


def test_terms_lead_to_the_glossary(site: Path, pages: dict[Path, Page]) -> None:
    found = pages[site / "notebooks" / f"{NOTEBOOKS[0].stem}.html"].links
    assert "../docs/glossary.html#service" in found
