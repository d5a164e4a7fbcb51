"""pytest's options `--outer NAME` and `--inner NAME`: other engines for labs and for their nodes."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from labkit.engine.find import connect, own_engine
from tests.engines import outer
from tests.engines.inner import INNERS
from tests.engines.outer import OUTERS

_RUNNING = pytest.StashKey[ExitStack]()
_MISSING = pytest.StashKey[str]()


def add_options(parser: pytest.Parser) -> None:
    parser.addoption(
        "--outer",
        choices=[*OUTERS],
        help="run the tests on this engine, which is started beside the machine's own and gets its images",
    )
    parser.addoption("--inner", choices=[*INNERS], help="the nodes of the tests' labs run this engine")


def begin(config: pytest.Config) -> None:
    """Start the chosen engine, and let every process of the tests find it, and start such nodes."""
    if hasattr(config, "workerinput"):  # xdist's workers inherit the environment
        return
    outside, inside = config.getoption("--outer"), config.getoption("--inner")
    config.stash[_MISSING] = outer.lacks() if outside else ""
    running = config.stash[_RUNNING] = ExitStack()
    if config.stash[_MISSING]:
        return
    if inside:
        running.enter_context(_nodes(inside))
    if outside:
        running.enter_context(_engine(outside))


def end(config: pytest.Config) -> None:
    """Stop it again."""
    if running := config.stash.get(_RUNNING, None):
        running.close()


def skip(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip all tests where the chosen engine cannot run, with the reason."""
    if reason := config.stash.get(_MISSING, ""):
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"--outer {reason}"))


@contextmanager
def _nodes(name: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for variable, value in INNERS[name].environment(Path(folder)).items():
            patch.setenv(variable, value)
        yield


@contextmanager
def _engine(name: str) -> Iterator[None]:
    own = own_engine()
    with outer.running(OUTERS[name]) as engine, pytest.MonkeyPatch.context() as patch:
        outer.provide(connect(own, timeout=600), engine)
        for variable in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            patch.delenv(variable, raising=False)
        patch.setenv("DOCKER_HOST", engine.url)
        yield
