"""pytest's option `--outer NAME`: the tests use this engine instead of the machine's own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from labkit.engine.find import connect, own_engine
from tests.engines import outer
from tests.engines.outer import OUTERS

_RUNNING = pytest.StashKey[ExitStack]()
_MISSING = pytest.StashKey[str]()


def add_options(parser: pytest.Parser) -> None:
    parser.addoption(
        "--outer",
        choices=[*OUTERS],
        help="run the tests on this engine, which is started beside the machine's own and gets its images",
    )


def begin(config: pytest.Config) -> None:
    """Start the chosen engine, and let every process that finds an engine find this one."""
    name = config.getoption("--outer")
    if not name or hasattr(config, "workerinput"):  # xdist's workers inherit the environment
        return
    config.stash[_MISSING] = outer.lacks()
    if not config.stash[_MISSING]:
        config.stash[_RUNNING] = ExitStack()
        config.stash[_RUNNING].enter_context(_chosen(name))


def end(config: pytest.Config) -> None:
    """Stop it again."""
    if running := config.stash.get(_RUNNING, None):
        running.close()


def skip(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip all tests where the chosen engine cannot run, and without one those that are about it."""
    reason = config.stash.get(_MISSING, "")
    for item in items:
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"--outer {reason}"))
        elif item.get_closest_marker("matrix") and not config.getoption("--outer"):
            item.add_marker(pytest.mark.skip(reason="is about an engine that --outer chooses"))


@contextmanager
def _chosen(name: str) -> Iterator[None]:
    own = own_engine()
    with outer.running(OUTERS[name]) as engine, pytest.MonkeyPatch.context() as patch:
        outer.provide(connect(own, timeout=600), engine)
        for variable in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            patch.delenv(variable, raising=False)
        patch.setenv("DOCKER_HOST", engine.url)
        yield
