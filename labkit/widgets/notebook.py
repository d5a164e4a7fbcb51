"""The lab of the notebook that runs."""

from IPython import get_ipython

from labkit.cluster.cluster import Cluster


def notebook_lab() -> Cluster:
    """What the notebook calls `lab`, or the default lab."""
    shell = get_ipython()
    found = shell.user_ns.get("lab") if shell else None
    return found if isinstance(found, Cluster) else Cluster()
