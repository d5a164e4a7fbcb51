"""A picture shows and describes itself, alike each time, and leaves the page and the process as they are."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import Image

from labkit.plots import DARK, LIGHT, Picture, describe
from labkit.plots.theme import Theme

SVG = "{http://www.w3.org/2000/svg}"


def drawn(description: str = "All is well.", theme: Theme = LIGHT) -> Picture:
    picture = Picture(200, 100, description, theme=theme)
    picture.boxes([(10, 10, 80, 30), (100, 10, 80, 30)], fill=theme.panel, edge=theme.line)
    picture.line([(10, 60), (190, 60)], colour=theme.bad)
    picture.write(20, 30, "<b>$5 & more")
    return picture


def striped(height: float) -> Picture:
    """With axes and a hatch, which SVG refers to by an identifier."""
    picture = Picture(200, 100, "Stripes.")
    picture.add_axes((0, 0, 1, 1)).bar([1, 2], [1, height], hatch="//")
    return picture


def svg_of(picture: Picture) -> ElementTree.Element:
    found = re.search("<svg.*</svg>", picture.html(), re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])


def test_text_is_text_as_it_was_written() -> None:
    assert [text.text for text in svg_of(drawn()).iter(f"{SVG}text")] == ["<b>$5 & more"]


def test_it_says_what_it_shows() -> None:
    svg = svg_of(drawn("2 of 3 run: web:1.2 is new. More."))
    assert (svg.get("role"), svg.get("aria-label")) == ("img", "2 of 3 run: web:1.2 is new.")
    assert describe(drawn()) == "All is well."


def test_a_short_description_stands_below_and_a_long_one_is_folded() -> None:
    html = drawn("All is well. Really.").html()
    assert re.search("<figcaption[^>]*>All is well. Really.</figcaption></figure>", html)
    folded = drawn("All is <well>.\n" + "One more line.\n" * 20).html()
    assert re.search("<figcaption[^>]*>All is &lt;well&gt;.</figcaption><details", folded)
    assert folded.count("One more line.") == 20


def test_the_html_is_well_formed() -> None:
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert dict(attrs) is not None
            open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Reader().feed(drawn('He said "no". ' * 20).html())
    assert open_tags == []


def test_a_notebook_gets_the_drawing_and_the_words() -> None:
    picture = drawn()
    assert picture._repr_mimebundle_() == {"text/plain": "All is well.", "text/html": picture.html()}


def test_it_follows_jupyterlabs_theme() -> None:
    html = drawn().html()
    style, _, svg = html.partition("</style>")
    assert "var(--jp-content-font-color0,#1b1f24)" in svg
    assert "var(--labkit-panel,#f2f4f7)" in svg
    assert f"--labkit-panel:{DARK.panel}" in style
    assert "data-jp-theme-light=false" in style
    left = re.sub(r"var\([^)]*\)", "", svg)
    assert not [colour for colour in LIGHT.colours().values() if colour in left]


def test_a_theme_that_was_chosen_stays() -> None:
    svg = drawn(theme=DARK).html().partition("</style>")[2]
    assert "var(" not in svg
    assert DARK.panel in svg


def test_it_is_never_much_wider_than_drawn() -> None:
    assert "max-width:240px" in drawn().html()
    assert "width:100%" in drawn().html()
    assert svg_of(drawn()).get("viewBox") == "0 0 200 100"


def test_the_drawing_does_not_depend_on_the_resolution() -> None:
    picture = drawn()
    before = picture.html()
    picture.set_dpi(200)
    assert picture.html() == before


def test_pictures_in_one_page_do_not_share_identifiers() -> None:
    one, other = striped(1), striped(2)
    of_one, of_other = ({*re.findall(r' id="([^"]+)"', picture.html())} for picture in (one, other))
    assert of_one
    assert not of_one & of_other
    for picture in (one, other):
        html = picture.html()
        assert {*re.findall(r'(?:url\(|href=")#([^")]+)', html)} == {*re.findall(r' id="([^"]+)"', html)}


def test_no_style_of_a_picture_holds_for_the_page() -> None:
    (style,) = re.findall("<style.*?</style>", drawn().html(), re.DOTALL)
    assert all(".labkit-picture" in rule for rule in re.findall(r"[^{}>]+(?={)", style))


def test_drawing_leaves_matplotlibs_settings() -> None:
    before = dict(matplotlib.rcParams)
    drawn().html()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["picture.svg", "picture.png"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    drawn().save(tmp_path / name)
    first = (tmp_path / name).read_bytes()
    drawn().save(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == first
    assert striped(1).html() == striped(1).html()


def test_files_carry_the_description(tmp_path: Path) -> None:
    words = "All is <well>. Indeed."
    drawn(words).save(tmp_path / "picture.svg")
    svg = ElementTree.parse(tmp_path / "picture.svg").getroot()
    assert (svg.findtext(f"{SVG}title"), svg.findtext(f"{SVG}desc")) == ("All is <well>.", words)
    drawn(words).save(tmp_path / "picture.png", dpi=72)
    with Image.open(tmp_path / "picture.png") as png:
        assert png.info["Description"] == words
        assert png.size == (200, 100)


def test_savefig_works_as_for_any_figure(tmp_path: Path) -> None:
    drawn().savefig(tmp_path / "picture.pdf")
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")
