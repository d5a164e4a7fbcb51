"""A bundle that was saved on one engine is loaded on another, which keeps images in another kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.engine.find import connect
from labkit.images import builder, engines
from labkit.topology import topology
from tests.engines import outer
from tests.engines.outer import OUTERS, Outer
from tests.helpers import labkit

pytestmark = [pytest.mark.engine, pytest.mark.core, pytest.mark.matrix]

LAB = "test-engines"


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "lab.bundle"
    yield file
    file.unlink(missing_ok=True)  # pytest would keep hundreds of megabytes


def test_a_bundle_saved_here_starts_a_lab_on_an_engine_of_another_kind(
    outer_engine: Outer, bundle: Path
) -> None:
    saved = labkit("bundle", "save", str(bundle), timeout=300)
    assert saved.returncode == 0, saved.stdout + saved.stderr
    other = OUTERS["20.10" if outer_engine.containerd else "28.5-containerd"]
    with outer.running(other) as there:
        loaded = labkit("bundle", "load", str(bundle), timeout=300, DOCKER_HOST=there.url)
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        client = connect(there)
        for image in topology.load().images:
            assert builder.installed_tag(client, engines.name_of(image)), image
        started = labkit("up", "--swarm", "--lab", LAB, timeout=300, DOCKER_HOST=there.url)
        assert started.returncode == 0, started.stdout + started.stderr
        removed = labkit("down", "--lab", LAB, DOCKER_HOST=there.url)
        assert removed.returncode == 0, removed.stdout + removed.stderr
