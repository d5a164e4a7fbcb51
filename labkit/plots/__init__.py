"""Pictures of the swarm: data in, `Picture` out. Nothing here asks an engine or needs a notebook."""

from labkit.plots.compare import compare, describe_compare
from labkit.plots.managers import describe_managers, managers
from labkit.plots.mesh import describe_mesh, mesh
from labkit.plots.picture import Picture
from labkit.plots.placement import describe_placement, placement
from labkit.plots.theme import DARK, LIGHT
from labkit.plots.timeline import describe_timeline, timeline
from labkit.plots.topology import describe_topology, topology

__all__ = [
    "DARK",
    "LIGHT",
    "Picture",
    "compare",
    "describe",
    "describe_compare",
    "describe_managers",
    "describe_mesh",
    "describe_placement",
    "describe_timeline",
    "describe_topology",
    "managers",
    "mesh",
    "placement",
    "timeline",
    "topology",
]


def describe(picture: Picture) -> str:
    """The picture in words, its conclusion first."""
    return picture.description
