"""Finds what has one of a lab's names on the engine but doesn't belong to the lab. labkit never touches it.

Docker identifies objects by name, and anyone may have used the same one. A lab's own objects carry its label.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import docker
from docker.errors import APIError

from labkit.images import builder
from labkit.images.base_image import IMAGE_LABEL
from labkit.topology.topology import CACHE_LABEL, LAB_LABEL, Topology
from labkit.util import command_hint
from labkit.util.errors import NameTaken

_CONFLICT = 409
_SECOND = 19  # the length of a time to the second: 2026-11-26T20:48:13


@dataclass(frozen=True)
class Names:
    """The names that a lab needs. Containers and networks have the lab's label; volumes have these labels."""

    lab: str
    containers: tuple[str, ...] = ()
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


def names_of(wanted: Topology) -> Names:
    """The names that a lab needs on its engine."""
    return Names(
        wanted.lab,
        containers=tuple(service.container_name for service in wanted.services),
        volumes=wanted.volumes,
        networks=(wanted.network,),
        images=tuple(wanted.images),
    )


def require_own(client: docker.DockerClient, names: Names) -> None:
    """Raise NameTaken if an object that isn't the lab's has one of the names; the evidence lists it."""
    api = client.api
    found = [
        *_containers(names, api.containers(all=True) if names.containers else ()),
        *_volumes(names, (api.volumes()["Volumes"] or ()) if names.volumes else ()),
        *_networks(names, api.networks() if names.networks else ()),
        *_images(names, api.images(filters={"reference": "labkit/*"}) if names.images else ()),
    ]
    if not found:
        return
    things, ways_out = [thing for thing, _ in found], dict.fromkeys(way_out for _, way_out in found)
    what = f"the name {things[0].split(': ')[0]} is" if len(found) == 1 else f"{len(found)} names are"
    raise NameTaken(
        f"{what} taken on this engine by something that isn't lab '{names.lab}'",
        evidence=things,
        next_step="; ".join(ways_out),
    )


@contextlib.contextmanager
def conflicts_named(client: docker.DockerClient, names: Names) -> Iterator[None]:
    """If the engine refuses to create something because a name is taken, raise NameTaken instead."""
    try:
        yield
    except APIError as error:
        if error.status_code == _CONFLICT:
            require_own(client, names)
        raise


def _containers(names: Names, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for name in {each.lstrip("/") for each in entry["Names"] or ()} & set(names.containers):
            if (entry["Labels"] or {}).get(LAB_LABEL) != names.lab:
                thing = f"container {name}: image {entry['Image']}, created {_time(entry['Created'])}"
                way_out = f"rename it (docker rename {name} ANOTHER), or {_another_lab()}"
                yield f"{thing}, {entry['State']}", way_out


def _volumes(names: Names, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        labels, wanted = entry.get("Labels") or {}, names.volumes.get(entry["Name"])
        if wanted is None or any(labels.get(key) == value for key, value in wanted.items()):
            continue
        made = f", created {_time(entry['CreatedAt'])}" if entry.get("CreatedAt") else ""
        thing = f"volume {entry['Name']}: driver {entry['Driver']}{made}"
        if CACHE_LABEL in wanted:
            label = f"docker volume create --label {CACHE_LABEL}={wanted[CACHE_LABEL]} ANOTHER"
            yield (
                thing,
                f"let the cache have another volume: LABKIT_CACHE=ANOTHER (to make it yourself: {label})",
            )
        else:
            yield (
                thing,
                f"docker volume rm {entry['Name']}, if nobody needs what is in it, or {_another_lab()}",
            )


def _networks(names: Names, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if entry["Name"] in names.networks and (entry["Labels"] or {}).get(LAB_LABEL) != names.lab:
            thing = f"network {entry['Name']}: driver {entry['Driver']}, created {_time(entry['Created'])}"
            yield thing, f"docker network rm {entry['Name']}, if nobody needs it, or {_another_lab()}"


def _images(names: Names, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Images with the lab's tags that labkit didn't build: it would run them, or move their tags."""
    present = {tag: entry for entry in entries for tag in entry["RepoTags"] or ()}
    for tag in sorted(set(_tags(names.images, present))):
        entry = present.get(tag)
        if entry and IMAGE_LABEL not in (entry["Labels"] or {}):
            identity = entry["Id"].removeprefix("sha256:")[:12]
            made = f"{identity}, created {_time(entry['Created'])}, without the label {IMAGE_LABEL}"
            yield f"image {tag}: {made}", f"rename it: docker tag {tag} ANOTHER && docker rmi {tag}"


def _tags(images: Iterable[str], present: Mapping[str, Any]) -> Iterator[str]:
    """The tags of images and, for missing ones, of the images that they would be built on.

    The base is left out, because it may be Debian's own image, which doesn't have the lab's label.
    """
    for image in images:
        name = image.rpartition("/")[2].partition(":")[0]
        if name.startswith("base"):
            continue
        [content] = builder.content_tags([image])
        yield from (content, f"labkit/{name}:latest", image)
        if content not in present:
            yield from _tags([f"labkit/{below}" for below in builder.foundations(name).values()], present)


def _another_lab() -> str:
    return f"give the lab another name: {command_hint.command('up', lab='ANOTHER')}"


def _time(moment: int | str) -> str:
    """Format a time from the engine's lists, which is in seconds since the epoch or text."""
    if isinstance(moment, str):
        return f"{moment[:_SECOND].replace('T', ' ')}"
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"
