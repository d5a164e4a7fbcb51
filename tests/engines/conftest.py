"""The engines that the tests in this folder are about."""

import pytest

from tests.engines.inner import INNERS, Inner
from tests.engines.outer import OUTERS, Outer


@pytest.fixture
def outer_engine(request: pytest.FixtureRequest) -> Outer:
    """The engine that `--outer` has chosen."""
    return OUTERS[_chosen(request, "--outer")]


@pytest.fixture
def inner_engine(request: pytest.FixtureRequest) -> Inner:
    """The nodes' engine that `--inner` has chosen."""
    return INNERS[_chosen(request, "--inner")]


def _chosen(request: pytest.FixtureRequest, option: str) -> str:
    name: str | None = request.config.getoption(option)
    if name is None:
        pytest.skip(f"is about an engine that {option} chooses")
    return name
