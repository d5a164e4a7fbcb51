"""Which engines nodes can run, how they are chosen, and which image each of them is."""

from pathlib import Path

import pytest

from labkit.images import base_image, builder, engines
from labkit.images.engines import ENGINES
from labkit.topology import topology
from labkit.util.errors import ImageUnavailable, LabError

NODES = ("manager1", "worker1", "worker2")


def test_the_topology_file_runs_the_default() -> None:
    for node in topology.load(env={}).nodes:
        assert engines.engine_of(node.image) == ENGINES[engines.DEFAULT]
        assert node.build_args["DOCKER"] == engines.DEFAULT


def test_the_dockerfile_runs_the_default() -> None:
    text = (builder.FOLDER / "node/Dockerfile").read_text()
    assert f"ARG DOCKER={engines.DEFAULT}\n" in text
    assert f"LABEL {engines.DOCKER_LABEL}=${{DOCKER}}\n" in text


@pytest.mark.parametrize("version", ENGINES)
def test_a_version_can_be_chosen_for_compose_too(version: str) -> None:
    for node in topology.load(env={"LABKIT_DOCKER": version}).nodes:
        assert engines.engine_of(node.image) == ENGINES[version]


def test_an_engine_has_an_image_of_its_own_on_its_own_debian() -> None:
    assert engines.name_of("labkit/node") == engines.name_of("labkit/node:26.1") == "node"
    assert engines.name_of("labkit/node:28.5") == "node-28.5"
    assert engines.name_of("labkit/bank") == "bank"
    bases = {version: builder.foundations(engine.name) for version, engine in ENGINES.items()}
    assert bases == {
        "20.10": {"BASE": "base-bookworm"},
        "26.1": {"BASE": "base"},
        "28.5": {"BASE": "base-forky"},
        "upstream": {"BASE": "base"},
    }
    tags = {builder.content_tag(engine.name) for engine in ENGINES.values()}
    assert len(tags) == len(ENGINES)
    assert builder.content_tag("base-forky").startswith("labkit/base-forky:")
    assert builder.content_tag("base-forky") != builder.content_tag("base")


def test_one_folder_makes_all_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"node/Dockerfile": "ARG BASE=debian:trixie-slim\nARG DOCKER", "base/build-root": "x"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(builder, "FOLDER", tmp_path)
    before = [builder.content_tag(engine.name) for engine in ENGINES.values()]
    (tmp_path / "node/entrypoint").touch()
    after = [builder.content_tag(engine.name) for engine in ENGINES.values()]
    assert not set(before) & set(after)


def test_the_tags_of_the_topology_file_move() -> None:
    assert engines.moving_tags("node") == ["labkit/node:26.1", "labkit/node:latest"]
    assert engines.moving_tags("node-28.5") == ["labkit/node:28.5"]
    assert engines.moving_tags("bank") == ["labkit/bank:latest"]


@pytest.mark.parametrize("image", ["labkit/node:27.0", "labkit/node:28.5.2", "labkit/node:trixie"])
def test_an_engine_that_nodes_cannot_run_is_refused_with_the_choices(image: str) -> None:
    with pytest.raises(LabError, match="nodes cannot run Docker") as refused:
        engines.engine_of(image)
    assert refused.value.next_step == "choose one of 20.10, 26.1, 28.5, upstream"


CHOICES: dict[str, tuple[list[str], dict[str, str]]] = {
    "nothing": ([], {}),
    "all": (["28.5"], {"manager1": "28.5", "worker1": "28.5", "worker2": "28.5"}),
    "one": (["worker2=28.5"], {"worker2": "28.5"}),
    "both": (["20.10", "worker2=28.5"], {"manager1": "20.10", "worker1": "20.10", "worker2": "28.5"}),
    "the last counts": (["20.10", "worker1=26.1", "worker1=28.5"], {"worker1": "28.5"}),
}


@pytest.mark.parametrize(("values", "wanted"), CHOICES.values(), ids=CHOICES)
def test_what_the_command_line_chooses(values: list[str], wanted: dict[str, str]) -> None:
    chosen = engines.choose(engines.parse(values), NODES)
    assert {name: chosen.get(name) for name in wanted} == wanted
    assert set(chosen) <= set(NODES)


def test_python_chooses_one_version_or_some() -> None:
    assert engines.choose("28.5", NODES) == dict.fromkeys(NODES, "28.5")
    assert engines.choose({"worker2": "28.5"}, NODES) == {"worker2": "28.5"}
    assert engines.choose(None, NODES) == {}


@pytest.mark.parametrize("values", [["27"], ["worker2=27"], ["worker9=28.5"], ["=28.6"], ["worker1="]])
def test_a_choice_that_does_not_exist_is_refused(values: list[str]) -> None:
    with pytest.raises(LabError, match=r"nodes cannot run Docker|is not a node") as refused:
        engines.choose(engines.parse(values), NODES)
    assert refused.value.next_step.startswith("choose one ")


def test_versions_have_an_order() -> None:
    assert engines.is_older("20.10", "26.1")
    assert engines.is_older("28.5", "upstream")
    assert not engines.is_older("28.5", "26.1")
    assert not engines.is_older("28.5", "28.5")


def failed(*evidence: str) -> ImageUnavailable:
    return engines.explain(ImageUnavailable("image x could not be built", evidence=evidence))


def test_a_debian_that_has_moved_on_says_what_it_has() -> None:
    said = "install-engine: Debian forky has Docker 29.1.3+dfsg1-1, not 28.5"
    script = (builder.FOLDER / "node/install-engine").read_text()
    assert '"install-engine: Debian $VERSION_CODENAME has Docker ${found:-(none)}, not $DOCKER"' in script
    error = failed("Step 6/9 : RUN install-engine", said)
    assert error.what == "Debian forky no longer has Docker 28.5; it has 29.1.3+dfsg1-1"
    assert error.next_step.startswith("choose one of 20.10, 26.1, upstream; ")


EXPIRED = "E: Release file for http://m.example/debian/dists/forky/InRelease is expired (invalid since 3d)."


def test_an_expired_release_file_is_accepted_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engines.ALLOW_EXPIRED, raising=False)
    assert "ALLOW_EXPIRED" not in engines.build_arguments("node")
    error = failed(EXPIRED)
    assert error.evidence == (EXPIRED,)
    assert error.next_step.endswith("LABKIT_ALLOW_EXPIRED_RELEASE=1")
    monkeypatch.setenv(engines.ALLOW_EXPIRED, "1")
    assert engines.build_arguments("node") == {"DOCKER": "26.1", "ALLOW_EXPIRED": "1"}
    assert engines.build_arguments("bank") == {}
    tag = builder.content_tag("node")
    monkeypatch.delenv(engines.ALLOW_EXPIRED)
    assert builder.content_tag("node") == tag  # the same content


def test_other_failures_stay_as_they_are() -> None:
    assert failed("no space left on device").what == "image x could not be built"


def test_the_list_says_what_is_built_and_what_nobody_ran() -> None:
    rows = {version: (origin, notes) for version, origin, notes in engines.overview({"labkit/node-28.5"})}
    assert rows["Docker 28.5"] == ("Debian testing (forky)", "built")
    assert rows["Docker 26.1"][1] == "the default, built when a lab first needs it"
    assert rows["Docker upstream"] == (
        "Docker's own repository",
        "built when a lab first needs it, not run here",
    )


def test_a_base_has_its_own_name_in_a_registry() -> None:
    assert base_image.upstream("forky") == "debian:forky-slim"
    assert base_image.upstream(ENGINES[engines.DEFAULT].suite) == base_image.UPSTREAM
