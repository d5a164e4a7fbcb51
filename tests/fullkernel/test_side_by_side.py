"""A native lab and a lab on a virtual machine, side by side in one process: each by its own engine."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from labkit import Lab, checks, load
from labkit.engine.find import connect, own_engine
from labkit.observe import watcher
from labkit.observe.recording import Frame
from labkit.util.console import ProgressReporter
from labkit.util.parallel import in_parallel
from tests.fullkernel.conftest import LAB
from tests.helpers import A_LAB, eventually, leftovers

pytestmark = [pytest.mark.fullkernel, pytest.mark.engine]

QUIET = ProgressReporter(quiet=True)


@pytest.fixture(scope="module")
def native() -> Iterator[Lab]:
    """A swarm on this computer's own engine, whatever LABKIT_ENGINE says."""
    lab = Lab(f"{LAB}-native", engine="docker")
    lab.down()  # what a killed run has left
    yield lab.up(swarm=True, reporter=QUIET)
    lab.down()


@pytest.fixture(scope="module")
def virtual(full_lab: Lab) -> Iterator[Lab]:
    """A swarm on a virtual machine."""
    lab = Lab(full_lab.name, engine="vm")
    yield lab.up(swarm=True, reporter=QUIET)
    lab.down()


def test_each_is_on_its_own_engine(native: Lab, virtual: Lab) -> None:
    assert native.context.endpoint() == own_engine()
    assert native.context.endpoint().vm is False
    assert virtual.context.endpoint().vm is True
    kernels = {lab.name: lab.node("worker1").run("uname -r", quiet=True).stdout for lab in (native, virtual)}
    assert "cloud" in kernels[virtual.name]
    assert kernels[native.name] != kernels[virtual.name]
    assert virtual.supports("mesh") and virtual.supports("encryption")
    with closing(connect(own_engine())) as outside, closing(virtual.context.client()) as inside:
        assert len(leftovers(native.name, outside)) == len(leftovers(virtual.name, inside)) == A_LAB
        assert leftovers(native.name, inside) == []


def test_what_is_asked_of_both_at_once_is_done_and_seen_by_each(native: Lab, virtual: Lab) -> None:
    labs = (native, virtual)
    before = dict(os.environ)
    frames: dict[str, list[Frame]] = {lab.name: [] for lab in labs}

    def made(lab: Lab) -> set[str]:
        events = [event for frame in list(frames[lab.name]) for event in frame.events]
        return {event.subject for event in events if event.subject.startswith("made-by-")}

    def make(lab: Lab) -> None:
        lab.node("manager1").run(f"docker network create --driver overlay made-by-{lab.name}", quiet=True)

    with ExitStack() as following:
        for lab in labs:
            following.enter_context(watcher.subscribe(lab, frames[lab.name].append))
        for lab in labs:
            eventually(lambda lab=lab: frames[lab.name], "a frame", 30 * lab.context.patience)  # type: ignore[misc]
        in_parallel(make, labs)
        for lab in labs:
            eventually(lambda lab=lab: made(lab), "the news", 30 * lab.context.patience)  # type: ignore[misc]
    for lab in labs:
        assert made(lab) == {f"made-by-{lab.name}"}
        networks = {network.name for network in lab.snapshot().networks}
        assert f"made-by-{lab.name}" in networks
        assert not {f"made-by-{other.name}" for other in labs if other is not lab} & networks
        (answer,) = load.send([lab.node("worker1")], 9, 1, patience=30)
        assert answer.error.startswith("refused")
    assert dict(os.environ) == before


def test_the_end_of_one_leaves_the_other(native: Lab, virtual: Lab) -> None:
    native.down()
    virtual.wait(checks.nodes_ready(3))
    assert virtual.node("worker2").run("hostname", quiet=True).stdout == "worker2\n"
    native.up(swarm=True, reporter=QUIET)
    virtual.down()
    assert virtual.context.vm() is None
    native.wait(checks.nodes_ready(3))
    assert native.node("worker2").run("hostname", quiet=True).stdout == "worker2\n"
