"""Colours: readable in both themes, and a service's own."""

import io
from typing import Any

import pytest
from PIL import Image

from labkit.plots import DARK, LIGHT, topology
from labkit.plots.theme import Paint, Theme, node_paints, paints_of, service_paints
from tests.notebooks.execute import _PICTURES_AS_PNG
from tests.recorded import recorded

AA = 4.5  # Web Content Accessibility Guidelines 2.1, 1.4.3


def luminance(colour: str) -> float:
    """WCAG 2.1, "relative luminance"."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", ["ink", "muted", "good", "warn", "bad"])
def test_words_are_readable_on_both_grounds(theme: Theme, name: str) -> None:
    colour = theme.colours()[name]
    assert contrast(colour, theme.paper) >= AA
    assert contrast(colour, theme.panel) >= AA


@pytest.mark.parametrize(
    "paint",
    {
        **service_paints(f"service{number}" for number in range(8)),
        **node_paints(f"worker{number}" for number in range(9)),
    }.values(),
    ids=lambda paint: paint.fill,
)
def test_words_are_readable_on_what_they_stand_on(paint: Paint) -> None:
    assert contrast(paint.fill, paint.text) >= AA


def test_a_themes_colours_stand_for_one_thing_each() -> None:
    """A notebook replaces them by JupyterLab's: none may be another's, nor a service's or a node's."""
    paints = [*service_paints(str(number) for number in range(8)).values()]
    paints += node_paints(str(number) for number in range(9)).values()
    others = [colour for paint in set(paints) for colour in (paint.fill, paint.text)]
    for theme in (LIGHT, DARK):
        assert len(set(theme.colours().values())) == len(theme.colours())
        assert not set(theme.colours().values()) & set(others)


def test_a_new_service_changes_no_colour_of_another() -> None:
    names = [f"service{number}" for number in range(12)]
    for count in range(1, 12):
        before, after = service_paints(names[:count]), service_paints(names[: count + 1])
        assert {name: after[name] for name in before} == before


def test_eight_services_have_eight_colours_and_more_share_evenly() -> None:
    paints = list(service_paints(f"service{number}" for number in range(16)).values())
    assert len(set(paints[:8])) == 8
    assert all(paints.count(paint) == 2 for paint in paints)


def test_a_service_has_its_colour_in_every_swarm() -> None:
    assert paints_of(recorded("overlays"))["web"] == paints_of(recorded("half-updated"))["web"]


def test_the_older_service_keeps_the_colour_that_two_want() -> None:
    assert service_paints(["web"])["web"] == service_paints(["web", "big"])["web"]
    assert service_paints(["big"])["big"] != service_paints(["web", "big"])["big"]  # they do want the same
    snapshot = recorded("pending-and-failed")
    assert snapshot.services[0].name == "big"
    assert paints_of(snapshot)["big"] == service_paints(["big"])["big"]  # older there, by its creation


def test_nodes_have_colours_by_their_order_as_people_count() -> None:
    few = node_paints(["worker2", "manager1", "worker1"])
    more = node_paints(["worker10", "worker2", "manager1", "worker1"])
    assert {name: more[name] for name in few} == few
    assert len(set(few.values())) == 3


def test_a_node_has_the_same_color_in_every_picture() -> None:
    everyone = [f"manager{number}" for number in range(1, 4)] + [f"worker{number}" for number in range(1, 7)]
    together = node_paints(everyone)
    assert len(set(together.values())) == len(everyone)
    for name in everyone:
        assert node_paints([name])[name] == together[name]


def test_nodes_are_darker_than_services() -> None:
    """So a node's color can't be taken for a service's, with any kind of color vision."""
    nodes = [luminance(paint.fill) for paint in node_paints(f"worker{n}" for n in range(9)).values()]
    services = [luminance(paint.fill) for paint in service_paints(f"s{n}" for n in range(8)).values()]
    assert max(nodes) < min(services)


def test_committed_pictures_keep_their_colors() -> None:
    """A palette made by clustering drifts: the same node would look different in two chapters."""
    kernel: dict[str, Any] = {}
    exec(_PICTURES_AS_PNG.partition("get_ipython")[0], kernel)
    snapshot = recorded("overlays")
    data, _ = kernel["_as_png"](topology(snapshot))
    image = Image.open(io.BytesIO(data["image/png"])).convert("RGB")
    pixels = {f"#{red:02x}{green:02x}{blue:02x}" for _, (red, green, blue) in image.getcolors(1 << 24)}
    wanted = [*paints_of(snapshot).values(), *node_paints(node.name for node in snapshot.nodes).values()]
    assert {paint.fill for paint in wanted} <= pixels
