"""Pictures of the swarm: data in, `Picture` out. Nothing here asks an engine or needs a notebook."""

from labkit.plots.managers import describe_managers, managers
from labkit.plots.picture import Picture
from labkit.plots.placement import describe_placement, placement
from labkit.plots.theme import DARK, LIGHT

__all__ = [
    "DARK",
    "LIGHT",
    "Picture",
    "describe",
    "describe_managers",
    "describe_placement",
    "managers",
    "placement",
]


def describe(picture: Picture) -> str:
    """The picture in words, its conclusion first."""
    return picture.description
