"""One lab for all tests of this folder: a swarm of three on a full kernel."""

from collections.abc import Iterator

import pytest

from labkit import Lab
from labkit.util.console import ProgressReporter
from tests.fullkernel.swarm import services


@pytest.fixture(scope="package")
def _shared_lab(full_lab: Lab) -> Iterator[Lab]:
    yield full_lab.up(swarm=True, reporter=ProgressReporter(quiet=True))
    full_lab.down()


@pytest.fixture(scope="package")
def lab(_shared_lab: Lab) -> Lab:
    """The swarm. A test that breaks it mends it."""
    return _shared_lab


@pytest.fixture(scope="module")
def swarm(lab: Lab) -> Iterator[Lab]:
    """The lab, for the services and networks of a module's tests: after the last of them all are removed."""
    yield lab
    services.clear(lab)
