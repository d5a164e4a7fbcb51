"""Labs on virtual machines with a full kernel.

They run in a process of their own, whose labs are on machines where a test does not say otherwise:

    LABKIT_ENGINE=vm python -m pytest -m fullkernel

On a computer whose own kernel has ip_vs and ESP, the tests about these can do without a machine:

    LABKIT_ENGINE=docker python -m pytest -m fullkernel

Deadlines are those of a machine with KVM; labkit multiplies them where it emulates.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import Lab
from labkit.engine.selection import DOCKER, EngineContext
from tests.browser import chromium

LAB = os.environ.get("LABKIT_TEST_LAB", "labkit-test") + "-full"


FOLDER = Path(__file__).parent
NATIVE = ("swarm", "test_chapters.py")  # what is about the kernel, and not about the virtual machine


def pytest_runtest_setup(item: pytest.Item) -> None:
    context = EngineContext(LAB)
    native = context.kind == DOCKER and item.path.relative_to(FOLDER).parts[0] in NATIVE
    if not (native or context.wants_vm):
        pytest.skip("LABKIT_ENGINE is not vm: no virtual machine (./lab test --full-kernel provides one)")
    if item.get_closest_marker("browser"):
        chromium.require()


@pytest.fixture(scope="session")
def full_lab() -> Iterator[Lab]:
    """A lab that is down. What its machine saves serves all tests of the session, and is gone after them."""
    lab = Lab(LAB)
    forget(lab)  # what a killed run has left
    yield lab
    forget(lab)


def forget(lab: Lab) -> None:
    """Remove a lab, and what its machine has saved."""
    lab.down()
    for machine in lab.context.vms():
        machine.home.delete_state()
