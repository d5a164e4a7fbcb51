"""The labels of what belongs to a workshop: the only record of it, as nothing is found by its name."""

from collections.abc import Mapping
from typing import Any

import docker

WORKSHOP, PART, LEARNER, CONFIG = (
    "org.labkit.workshop",
    "org.labkit.part",
    "org.labkit.learner",
    "org.labkit.config",
)
FRONT, HUB, PROXY, CLASS, PLACE = ("front", "hub", "proxy", "class", "place")
"""A workshop's containers, in the order in which they start."""
HOME, ENGINE, SEED = "home", "engine", "seed"
"""A workshop's volumes, besides those of the parts `hub` and `class`."""


def of(workshop: str, part: str = "", learner: str = "") -> dict[str, str]:
    """The labels of a part of a workshop."""
    wanted = {WORKSHOP: workshop, PART: part, LEARNER: learner}
    return {label: value for label, value in wanted.items() if value}


def filters(workshop: str, part: str = "", learner: str = "") -> dict[str, list[str]]:
    """The engine's filter for what has these labels."""
    return {"label": [f"{label}={value}" for label, value in of(workshop, part, learner).items()]}


def containers(api: docker.APIClient, workshop: str, part: str = "") -> list[dict[str, Any]]:
    """The engine's entries for a workshop's containers, stopped ones too."""
    found: list[dict[str, Any]] = api.containers(all=True, filters=filters(workshop, part))
    return found


def container(api: docker.APIClient, workshop: str, part: str) -> dict[str, Any] | None:
    """The engine's entry for the one container of a part, if there is one."""
    return next(iter(containers(api, workshop, part)), None)


def volumes(api: docker.APIClient, workshop: str, part: str = "") -> list[dict[str, Any]]:
    """The engine's entries for a workshop's volumes."""
    found: list[dict[str, Any]] = api.volumes(filters=filters(workshop, part))["Volumes"] or []
    return found


def networks(api: docker.APIClient, workshop: str, part: str = "") -> list[dict[str, Any]]:
    """The engine's entries for a workshop's networks."""
    found: list[dict[str, Any]] = api.networks(filters=filters(workshop, part))
    return found


def name_of(entry: Mapping[str, Any]) -> str:
    """A container's name, as people read it."""
    return str(entry["Names"][0]).lstrip("/")
