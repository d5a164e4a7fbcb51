"""Pictures of the swarm: data in, `Picture` out. Nothing here asks an engine or needs a notebook."""

from labkit.plots.picture import Picture
from labkit.plots.theme import DARK, LIGHT

__all__ = ["DARK", "LIGHT", "Picture", "describe"]


def describe(picture: Picture) -> str:
    """The picture in words, its conclusion first."""
    return picture.description
