"""Takes a workshop away: everything with its label, and its files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from docker.errors import APIError, NotFound

from labkit.engine.selection import EngineContext
from labkit.util import command_hint, lock
from labkit.util.deadline import Deadline
from labkit.util.errors import NotConverged
from labkit.util.parallel import in_parallel
from labkit.workshop import labels, networks, settings

T = TypeVar("T")

_REMOVE_SECONDS = 60.0
_IN_USE = (403, 409)
KEPT = (labels.HOME, labels.CLASS)
"""The volumes that `down --keep-data` keeps: notebooks and progress, and what the class page knows."""


@dataclass
class Removal:
    """What `down` has removed and kept, by name."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def down(context: EngineContext, name: str, *, keep_data: bool = False) -> Removal:
    """Remove everything with the workshop's label, and its files; with `keep_data` all but what `KEPT` names.

    Idempotent. Raises NotConverged when something is still in use after a while.
    """
    with lock.hold(f"workshop-{settings.require_name(name)}"):
        client, done = context.own_client(timeout=120), Removal()
        refusals: list[str] = []
        for _ in Deadline(_REMOVE_SECONDS).attempts(0.5):
            refusals = _remove_all(context, name, done, keep_data)
            if not refusals and not labels.containers(client.api, name):
                break
        else:
            raise NotConverged(
                f"not all of workshop '{name}' could be removed",
                evidence=refusals,
                next_step=command_hint.command("workshop", "down", "--name", name),
            )
        if keep_data:
            done.kept += [entry["Name"] for entry in labels.volumes(client.api, name)]
            done.kept += [str(settings.path(name))] if settings.path(name).exists() else []
        else:
            done.removed += [str(file) for file in settings.forget(name)]
        return done


def _remove_all(context: EngineContext, name: str, done: Removal, keep_data: bool) -> list[str]:
    """Remove what is there, and note it in `done`; return what the engine refuses because it's in use."""
    refusals: list[str] = []
    api = context.own_client(timeout=300).api

    def attempt(what: str, removal: Callable[[], object]) -> None:
        try:
            removal()
        except NotFound:
            return
        except APIError as error:
            if error.status_code not in _IN_USE:
                raise
            refusals.append(f"{what}: {error.explanation}")
            return
        if what not in done.removed:
            done.removed.append(what)

    def remove_container(entry: dict[str, Any]) -> None:
        own = context.own_client(timeout=300).api
        attempt(labels.name_of(entry), partial(own.remove_container, entry["Id"], force=True, v=True))

    def remove_volume(entry: dict[str, Any]) -> None:
        own = context.own_client(timeout=300).api
        attempt(entry["Name"], partial(own.remove_volume, entry["Name"], force=True))

    # The hub first, which would start another place, and the front last, whose network the others share.
    entries = labels.containers(api, name)
    first = [entry for entry in entries if entry["Labels"].get(labels.PART) == labels.HUB]
    last = [entry for entry in entries if entry["Labels"].get(labels.PART) == labels.FRONT]
    for group in (first, [entry for entry in entries if entry not in first + last], last):
        _in_groups(remove_container, group)
    volumes = labels.volumes(api, name)
    _in_groups(
        remove_volume,
        [each for each in volumes if not (keep_data and each["Labels"].get(labels.PART) in KEPT)],
    )
    for network in labels.networks(api, name):
        attempt(network["Name"], partial(networks.remove, api, network))
    return refusals


def _in_groups(work: Callable[[T], None], items: Sequence[T], size: int = 8) -> None:
    """Do `work` on all items, `size` at once."""
    for at in range(0, len(items), size):
        in_parallel(work, items[at : at + size])
