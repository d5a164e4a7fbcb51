"""Labs on virtual machines with a full kernel.

They run in a process of their own, because all labs of a process share one engine:

    LABKIT_ENGINE=vm python -m pytest -m fullkernel

Deadlines are those of a machine with KVM; labkit multiplies them where it emulates.
"""

import os
from collections.abc import Iterator

import pytest

from labkit import Lab, engine
from labkit.engine import vm
from tests.browser import chromium

LAB = os.environ.get("LABKIT_TEST_LAB", "labkit-test") + "-full"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if engine.kind() not in (engine.VM, engine.VM_DIRECT):
        pytest.skip("LABKIT_ENGINE is not vm: no virtual machine (./lab test --full-kernel provides one)")
    if item.get_closest_marker("browser"):
        chromium.require()


@pytest.fixture(scope="session")
def full_lab() -> Iterator[Lab]:
    """A lab that is down. What its machine saves serves all tests of the session, and is gone after them."""
    lab = Lab(LAB)
    _forget(lab)  # what a killed run has left
    yield lab
    _forget(lab)


def _forget(lab: Lab) -> None:
    lab.down()
    for machine in vm.homes(lab.name):
        machine.home.forget()
