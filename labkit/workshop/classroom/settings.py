"""How the class service runs, read from its container's environment.

Besides what JupyterHub gives to services (JUPYTERHUB_API_TOKEN, which is needed, JUPYTERHUB_API_URL,
JUPYTERHUB_BASE_URL, JUPYTERHUB_SERVICE_NAME, and JUPYTERHUB_SERVICE_PREFIX), there are

    LABKIT_CLASS_DATA         the folder with its data, /srv/class by default
    LABKIT_CLASS_KEEP_DAYS    how long data is kept after a learner was last seen, 30 days by default
    LABKIT_CLASS_INSTRUCTORS  the hub's group of those who may see the page, `instructors` by default
    LABKIT_CLASS_ADDRESS      where it listens, 0.0.0.0:10101 by default
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How the service runs. `prefix` begins and ends with a slash."""

    token: str
    prefix: str
    hub_api: str
    hub_base: str
    name: str
    data: Path
    keep_days: float = 30.0
    instructors: str = "instructors"
    address: str = "0.0.0.0"
    port: int = 10101

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises KeyError where JUPYTERHUB_API_TOKEN is missing."""
        name = environment.get("JUPYTERHUB_SERVICE_NAME", "class")
        base = environment.get("JUPYTERHUB_BASE_URL", "/")
        prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", f"{base}services/{name}/")
        address, _, port = environment.get("LABKIT_CLASS_ADDRESS", "0.0.0.0:10101").rpartition(":")
        return cls(
            token=environment["JUPYTERHUB_API_TOKEN"],
            prefix=f"/{prefix.strip('/')}/",
            hub_api=environment.get("JUPYTERHUB_API_URL", f"http://127.0.0.1:8081{base}hub/api"),
            hub_base=base,
            name=name,
            data=Path(environment.get("LABKIT_CLASS_DATA", "/srv/class")),
            keep_days=float(environment.get("LABKIT_CLASS_KEEP_DAYS", "30")),
            instructors=environment.get("LABKIT_CLASS_INSTRUCTORS", "instructors"),
            address=address,
            port=int(port),
        )
