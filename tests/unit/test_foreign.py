"""What has a lab's names and isn't the lab's is named, whatever kind of thing it is."""

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError
from requests import Response

from labkit.cluster import provision
from labkit.engine import foreign
from labkit.engine.foreign import Names
from labkit.images import builder, dockerfile
from labkit.images.base_image import IMAGE_LABEL
from labkit.topology import topology
from labkit.topology.topology import CACHE_LABEL, LAB_LABEL
from labkit.util.errors import NameTaken

LAB = "e32"
MINE, OTHERS = {LAB_LABEL: LAB}, {LAB_LABEL: "e33"}
CREATED = 1795726093  # as /containers/json and /images/json have it; volumes and networks have text
TEXT = "2026-11-26T20:48:13.123456789Z"
UNLABELED = f", without the label {IMAGE_LABEL}"
NODE = builder.content_tag("node")


class Engine:
    """An engine with these things."""

    def __init__(self, **things: list[dict[str, Any]]) -> None:
        self.api, self._things = self, things

    def containers(self, *, all: bool) -> list[dict[str, Any]]:
        assert all  # a stopped container has a name too
        return self._things.get("containers", [])

    def volumes(self) -> dict[str, Any]:
        return {"Volumes": self._things.get("volumes")}

    def networks(self) -> list[dict[str, Any]]:
        return self._things.get("networks", [])

    def images(self, *, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert filters == {"reference": "labkit/*"}
        return self._things.get("images", [])


def container(name: str, labels: dict[str, str] | None) -> dict[str, Any]:
    names, image = [f"/{name}"], "nginx:1.27"
    return {"Names": names, "Image": image, "Labels": labels, "Created": CREATED, "State": "created"}


def volume(name: str, labels: dict[str, str] | None) -> dict[str, Any]:
    return {"Name": name, "Driver": "local", "Labels": labels, "CreatedAt": TEXT}


def network(name: str, labels: dict[str, str] | None) -> dict[str, Any]:
    return {"Name": name, "Driver": "overlay", "Labels": labels, "Created": TEXT}


def image(tags: list[str] | None, labels: dict[str, str] | None) -> dict[str, Any]:
    return {"RepoTags": tags, "Id": "sha256:0123456789abcdef", "Labels": labels, "Created": CREATED}


def require(engine: Engine) -> None:
    client: Any = engine
    foreign.require_own(client, foreign.names_of(topology.load(env={"LABKIT_LAB": LAB})))


@pytest.mark.parametrize(
    ("things", "what"),
    [
        (
            {"containers": [container("e32-manager1", None)]},
            "container e32-manager1: image nginx:1.27, created 2026-11-26 20:48:13, created",
        ),
        (
            {"containers": [container("e32-storage", OTHERS)]},
            "container e32-storage: image nginx:1.27, created 2026-11-26 20:48:13, created",
        ),
        (
            {"volumes": [volume("e32_worker1", {"com.example": "1"})]},
            "volume e32_worker1: driver local, created 2026-11-26 20:48:13",
        ),
        (
            {"volumes": [volume("labkit-cache", None)]},
            "volume labkit-cache: driver local, created 2026-11-26 20:48:13",
        ),
        (
            {"networks": [network("e32_lab", {})]},
            "network e32_lab: driver overlay, created 2026-11-26 20:48:13",
        ),
        (
            {"images": [image(["labkit/node:latest"], None)]},
            f"image labkit/node:latest: 0123456789ab, created 2026-11-26 20:48:13{UNLABELED}",
        ),
        (
            {"images": [image([NODE], {"maintainer": "somebody"})]},
            f"image {NODE}: 0123456789ab, created 2026-11-26 20:48:13{UNLABELED}",
        ),
        (  # `node` is missing here, so what `bank` is made of would be built and tagged
            {"images": [image(["labkit/nginx:latest"], None)]},
            f"image labkit/nginx:latest: 0123456789ab, created 2026-11-26 20:48:13{UNLABELED}",
        ),
    ],
)
def test_a_foreign_thing_is_named(things: dict[str, list[dict[str, Any]]], what: str) -> None:
    with pytest.raises(NameTaken) as caught:
        require(Engine(**things))
    assert caught.value.evidence == (what,)
    assert what.partition(": ")[0] in caught.value.what
    assert caught.value.next_step


def test_every_foreign_thing_is_named_at_once() -> None:
    names = ("e32_shared", "e32_trust")
    with pytest.raises(
        NameTaken, match="3 names are taken on this engine by something that isn't lab 'e32'"
    ) as caught:
        require(Engine(volumes=[volume(name, None) for name in names], networks=[network("e32_lab", None)]))
    assert len(caught.value.evidence) == 3
    assert "docker volume rm e32_trust" in caught.value.next_step


@pytest.mark.parametrize(
    "things",
    [
        {},
        {"containers": [container("e32-manager1", MINE), container("e32-manager11", None)]},
        {"volumes": [volume("e32_worker1", MINE), volume("e32_worker11", None)]},
        {
            "volumes": [
                volume("labkit-cache", {CACHE_LABEL: "docker-hub", "com.docker.compose.project": "e32"})
            ]
        },
        {"networks": [network("e32_lab", MINE), network("e32_lab2", None), network("e33_lab", OTHERS)]},
        {"images": [image([NODE, "labkit/node:latest"], {IMAGE_LABEL: "node"})]},
        {"images": [image(["labkit/node:mine", "labkit/other:latest"], None), image(None, None)]},
        {
            "images": [image(["labkit/base:latest", builder.content_tag("base")], None)]
        },  # Debian's own, pulled
    ],
)
def test_what_is_the_labs_or_has_another_name_is_none_of_it(things: dict[str, list[dict[str, Any]]]) -> None:
    require(Engine(**things))


def test_foundations_of_an_image_that_is_there_keep_their_tags() -> None:
    own = {IMAGE_LABEL: "x"}
    present = [image([builder.content_tag(name)], own) for name in ("node", "bank", "storage")]
    require(Engine(images=[*present, image(["labkit/nginx:latest"], None)]))


def refusal(status: int) -> APIError:
    response = Response()
    response.status_code = status
    return APIError("refused", response=response)


@pytest.mark.parametrize(
    ("status", "there", "error"),
    [(409, True, NameTaken), (409, False, APIError), (500, True, APIError)],
)
def test_the_engines_own_conflict_is_explained(status: int, there: bool, error: type[Exception]) -> None:
    """Somebody took the name after labkit had looked; a conflict of another kind stays what it is."""
    client: Any = Engine(containers=[container("e32-manager1", None)] if there else [])
    with pytest.raises(error), foreign.conflicts_named(client, Names(LAB, containers=("e32-manager1",))):
        raise refusal(status)


def test_volumes_that_the_engine_left_as_they_were_are_noticed() -> None:
    """The engine answers `volume create` for a name that exists with that volume, whoever made it."""
    wanted = topology.load(env={"LABKIT_LAB": LAB})
    made: list[str] = []
    engine: Any = Engine(volumes=[volume("e32_shared", None)])
    engine.volumes = SimpleNamespace(create=lambda name, **_: made.append(name))
    engine.api = Engine(volumes=[volume("e32_shared", None)])
    with pytest.raises(NameTaken, match="volume e32_shared"):
        provision.create_volumes(engine, wanted)
    assert made == list(wanted.volumes)


@pytest.mark.parametrize(
    ("labels", "removed"), [({IMAGE_LABEL: "vm"}, True), ({"a": "b"}, False), (None, False)]
)
def test_a_build_clears_away_only_what_a_build_has_left(labels: dict[str, str] | None, removed: bool) -> None:
    gone: list[str] = []
    client: Any = SimpleNamespace(
        api=SimpleNamespace(
            inspect_container=lambda _: {"Id": "1", "Config": {"Labels": labels}},
            remove_container=lambda entry, **_: gone.append(entry),
        )
    )
    dockerfile.remove_containers(client, "labkit-filling")
    assert bool(gone) is removed
