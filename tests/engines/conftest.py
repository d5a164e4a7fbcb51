"""The engine that the tests in this folder are about."""

import pytest

from tests.engines.outer import OUTERS, Outer


@pytest.fixture
def outer_engine(request: pytest.FixtureRequest) -> Outer:
    """The engine that `--outer` has chosen."""
    return OUTERS[request.config.getoption("--outer")]
