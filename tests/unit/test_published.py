"""Images go to a registry and come back from it under names that fit the sources and the processor."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from labkit.cli import main
from labkit.images import builder, published
from labkit.util.console import ProgressReporter
from labkit.util.errors import ImageUnavailable

QUIET = ProgressReporter(quiet=True)
REGISTRY = "registry.example/me/swarm-lab"


class Engine:
    """An engine with some images, and a registry with others; notes what is done."""

    def __init__(self, has: set[str], registry: set[str], push: str = "") -> None:
        self.has, self.registry, self.push_error = has, registry, push
        self.images = SimpleNamespace(get=self._get, pull=self._pull, remove=self.has.discard)
        self.api = SimpleNamespace(push=self._push)

    def version(self) -> dict[str, str]:
        return {"Arch": "arm64"}

    def _get(self, tag: str) -> Any:
        if tag not in self.has:
            raise ImageNotFound("no such image")
        return SimpleNamespace(tag=self.has.add, tags=[f"{tag.partition(':')[0]}:latest"])

    def _pull(self, tag: str) -> Any:
        if tag not in self.registry:
            raise APIError("manifest unknown")
        self.has.add(tag)
        return self._get(tag)

    def _push(self, tag: str, **_: Any) -> Iterator[dict[str, str]]:
        yield {"status": "Pushing"}
        if self.push_error:
            yield {"error": self.push_error}
        self.registry.add(tag)


TAG = builder.content_tag("storage")
PUBLISHED = f"{REGISTRY}/storage:{TAG.rpartition(':')[2]}-arm64"


def test_a_pushed_image_is_named_by_its_sources_and_its_processor() -> None:
    engine = Engine({TAG}, set())
    published.push(engine, f"{REGISTRY}/", ["storage"], QUIET)  # type: ignore[arg-type]
    assert engine.registry == {PUBLISHED}
    assert engine.has == {TAG}  # the second name is gone


def test_a_pulled_image_is_the_one_that_a_lab_looks_for() -> None:
    engine = Engine(set(), {PUBLISHED})
    published.pull(engine, REGISTRY, ["storage"], QUIET)  # type: ignore[arg-type]
    assert engine.has == {TAG}


def test_what_is_there_is_not_pulled_again() -> None:
    published.pull(Engine({TAG}, set()), REGISTRY, ["storage"], QUIET)  # type: ignore[arg-type]


def test_a_registry_without_this_version_leads_to_building() -> None:
    with pytest.raises(ImageUnavailable, match=f"{PUBLISHED} could not be pulled") as failed:
        published.pull(Engine(set(), set()), REGISTRY, ["storage"], QUIET)  # type: ignore[arg-type]
    assert list(failed.value.evidence) == ["manifest unknown"]
    assert failed.value.next_step.endswith("labkit images build")


def test_a_refused_push_says_where_to_log_in_and_leaves_nothing() -> None:
    engine = Engine({TAG}, set(), push="denied")
    with pytest.raises(ImageUnavailable) as failed:
        published.push(engine, REGISTRY, ["storage"], QUIET)  # type: ignore[arg-type]
    assert list(failed.value.evidence) == ["denied"]
    assert failed.value.next_step.startswith("docker login registry.example,")
    assert engine.has == {TAG}


@pytest.mark.parametrize(
    "words", ["images push", "images pull one two", "images ls one"], ids=["none", "two", "ls takes none"]
)
def test_push_and_pull_take_one_registry(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(words.split())
    assert ended.value.code == 2
    assert f"{' '.join(words.split()[:2])}: " in capsys.readouterr().err
