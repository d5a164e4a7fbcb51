"""Fixtures: one lab that all tests share, labs of their own for tests that break things, logs on failure."""

import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from labkit import Lab
from labkit.cli.testing import REQUIRE_ENGINE
from labkit.cluster.cluster import Cluster
from labkit.engine.selection import ERRORS, EngineContext
from labkit.images import builder
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from tests.engines import choice

MADE = pytest.StashKey[list[Lab]]()
"""The labs that `new_lab` has made for a test."""

CHAPTERS = "tests/notebooks/test_notebooks.py"

# Each of pytest-xdist's workers has one of its own.
SHARED = os.environ.get("LABKIT_TEST_LAB", "labkit-test") + os.environ.get("PYTEST_XDIST_WORKER", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    choice.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background jobs ignore it, and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes says how busy the computer is.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    choice.begin(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    choice.end(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choice.skip(config, items)


class ByFile(LoadScopeScheduling):
    """Runs the tests of one file in one worker, because they share labs and browsers; chapters' need not.

    Not with `--dist loadgroup`, whose marks have no effect with pytest 9.2: pytest-xdist issue 1386.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file == CHAPTERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine"):
        try:
            EngineContext(SHARED).own_client()
        except LabError as error:
            if os.environ.get(REQUIRE_ENGINE):
                raise
            pytest.skip(f"no engine: {error.what} (./lab test provides one)")


@pytest.fixture(scope="session", autouse=True)
def _progress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests keep away from what the user of this machine has learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_DATA_DIR", str(tmp_path_factory.mktemp("progress")))
        yield


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Nothing in labkit changes the environment of its process: that would be for all labs in it."""
    before = dict(os.environ)
    yield
    assert _ours(os.environ) == _ours(before)


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("LABKIT_", "DOCKER_"))}


@pytest.fixture(scope="session")
def _shared_lab() -> Iterator[Lab]:
    lab = Lab(SHARED)
    lab.down()  # what a killed run has left
    yield lab.up(reporter=ProgressReporter(quiet=True))
    lab.down()


@pytest.fixture
def lab(_shared_lab: Lab) -> Lab:
    """Bare engines, shared by all tests of the session: leave no more than `reset` can take away."""
    return _shared_lab.reset()


@pytest.fixture
def swarm(_shared_lab: Lab) -> Lab:
    """The shared lab as a swarm of three."""
    return _shared_lab.reset(swarm=True)


@pytest.fixture
def new_lab(request: pytest.FixtureRequest) -> Iterator[Callable[[], Lab]]:
    """Makes labs of the test's own, not up yet; they are removed after it."""
    labs = request.node.stash[MADE] = list[Lab]()

    def make() -> Lab:
        labs.append(Lab(f"test-{uuid.uuid4().hex[:8]}"))
        return labs[-1]

    yield make
    for lab in labs:
        lab.down()


@pytest.fixture
def base_image() -> Callable[[Lab, str], str]:
    """Loads the base image into one node of a lab, or into all (`*`), and returns its tag."""

    def load(lab: Lab, name: str) -> str:
        tag = builder.content_tag("base")
        archive = b"".join(lab.context.client().images.get(tag).save(named=True))
        for node in lab.nodes.values() if name == "*" else [lab.node(name)]:
            if not node.api.images(tag):
                node.api.load_image(archive)
        return tag

    return load


@pytest.fixture
def magic(_shared_lab: Lab, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], str]:
    """Runs `%%on LINE` with a cell in an IPython shell, on the shared lab; returns what it printed."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "labkit")
    shell.user_ns["lab"] = _shared_lab

    def run(line: str, cell: str) -> str:
        capsys.readouterr()
        shell.run_cell_magic("on", line, cell)
        return capsys.readouterr().out

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails prints the logs of the nodes that it used."""
    report = yield
    if report.failed:
        used = [*getattr(item, "funcargs", {}).values(), *item.stash.get(MADE, [])]
        labs = {lab.name: lab for lab in used if isinstance(lab, Cluster)}
        for lab in labs.values():
            with contextlib.suppress(LabError, *ERRORS):  # a node that is gone has no log
                for node in lab.nodes.values():
                    report.sections.append((f"log of {node.name} of lab {lab.name}", node.logs(30)))
    return report
