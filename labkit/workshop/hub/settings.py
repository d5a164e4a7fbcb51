"""What the hub is told: one file in its volume, and one with the hashes of the codes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit.workshop.codes import Hashed

FOLDER = Path("/srv/hub")
SETTINGS, CODES, DATABASE = "settings.json", "codes.json", "jupyterhub.sqlite"
HOUSE_TOKEN, CLASS_TOKEN, OPEN_CODE, INSTRUCTOR_CODE = (
    "LABKIT_HOUSE_TOKEN",
    "LABKIT_CLASS_TOKEN",
    "LABKIT_OPEN_CODE",
    "LABKIT_INSTRUCTOR_CODE",
)
"""Variables of the hub's container that hold secrets. The last two are for an open workshop alone."""
HUB_PORT, CLASS_PORT, PROXY_PORT = 8081, 10101, 8443
CLASS_PREFIX = "/services/class"
INSTRUCTORS = "instructors"
"""JupyterHub's group of those who teach."""


@dataclass(frozen=True)
class HubSettings:
    """What the hub has to know about its workshop.

    `memory` is in bytes, `cpus` a number of cores, `at_once` how many places may start together. `pools` are
    where places have their networks, and `avoid` are subnets in use that the engine doesn't know of.
    """

    workshop: str
    image: str
    public_url: str
    instructors: list[str]
    seats: int
    open: bool
    memory: int
    cpus: float
    processes: int
    at_once: int
    pools: list[str]
    avoid: list[str]
    internet: bool
    idle_hours: float
    runtime: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def read(folder: Path = FOLDER) -> HubSettings:
    """The settings in the hub's volume."""
    return HubSettings(**json.loads((folder / SETTINGS).read_text()))


def codes_to_json(codes: Mapping[str, Hashed]) -> str:
    return json.dumps({login: hashed.to_json() for login, hashed in codes.items()}, indent=1)


def read_codes(file: Path) -> dict[str, Hashed]:
    """The codes' hashes by login. `add` and `cards --renew` change them while the hub runs."""
    return {login: Hashed(**hashed) for login, hashed in json.loads(file.read_text()).items()}
