"""Pictures of the swarm: data in, `Picture` out. Nothing here calls an engine or needs a notebook."""

from labkit.plots.backup_restore import backup_restore
from labkit.plots.managers import describe_managers, managers
from labkit.plots.mesh import describe_mesh, mesh
from labkit.plots.mesh_path import mesh_path
from labkit.plots.picture import Picture
from labkit.plots.placement import describe_placement, placement
from labkit.plots.raft_log import raft_log
from labkit.plots.secret_path import secret_path
from labkit.plots.task_states import task_states
from labkit.plots.theme import DARK, LIGHT
from labkit.plots.timeline import describe_timeline, timeline
from labkit.plots.topology import describe_topology, topology
from labkit.plots.vxlan_packet import vxlan_packet

__all__ = [
    "DARK",
    "LIGHT",
    "Picture",
    "backup_restore",
    "describe",
    "describe_managers",
    "describe_mesh",
    "describe_placement",
    "describe_timeline",
    "describe_topology",
    "managers",
    "mesh",
    "mesh_path",
    "placement",
    "raft_log",
    "secret_path",
    "task_states",
    "timeline",
    "topology",
    "vxlan_packet",
]


def describe(picture: Picture) -> str:
    """The picture in words, its conclusion first."""
    return picture.description
