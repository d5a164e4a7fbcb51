"""Work on several things at once: whatever happens, nobody is at work any more when it is over."""

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests import Response

from labkit.cluster import provision
from labkit.cluster.cluster import Cluster
from labkit.engine.selection import EngineContext
from labkit.images import builder
from labkit.topology.topology import LAB_LABEL, NODE_LABEL, Service
from labkit.util import parallel
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError, NotConverged
from labkit.util.parallel import in_parallel

SECONDS = 20.0  # until a test gives up
IN_USE = "volume is in use"


def busy() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "labkit-parallel"]


def test_all_are_worked_on_at_once() -> None:
    together = threading.Barrier(3)
    met: list[int] = []
    in_parallel(lambda _: met.append(together.wait(SECONDS)), range(3))
    assert sorted(met) == [0, 1, 2]


def test_nothing_to_do_is_done() -> None:
    in_parallel(pytest.fail, [])


def test_a_failure_is_raised_after_the_others_have_finished() -> None:
    failed, created = threading.Event(), []

    def create(name: str) -> None:
        if name == "broken":
            failed.set()
            raise LabError("the real cause")
        assert failed.wait(SECONDS)
        created.append(name)

    with pytest.raises(LabError, match="the real cause"):
        in_parallel(create, ["slow", "broken", "slow too"])
    assert sorted(created) == ["slow", "slow too"]


def test_the_failure_that_came_first_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    crews: list[parallel._Crew[int]] = []

    class Crew(parallel._Crew[int]):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            crews.append(self)

    def work(number: int) -> None:
        if number == 0:
            while not crews[0].failures:
                pass
            raise LabError("a consequence")
        raise LabError("the cause")

    monkeypatch.setattr(parallel, "_Crew", Crew)
    with pytest.raises(LabError, match="the cause"):
        in_parallel(work, range(2))
    assert len(crews[0].failures) == 2


def test_an_interrupt_is_raised_after_those_at_work_have_finished() -> None:
    interrupted, finished = threading.Event(), []

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    def work(number: int) -> None:
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.wait(SECONDS)
        finished.append(number)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_parallel(work, range(2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 in finished


def test_however_often_it_is_interrupted_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupts = iter([KeyboardInterrupt(), KeyboardInterrupt()])
    go_on, finished = threading.Event(), []
    join = parallel._Crew.join

    def joined(crew: "parallel._Crew[int]") -> None:
        for interrupt in interrupts:
            raise interrupt
        go_on.set()
        join(crew)

    def work(number: int) -> None:
        assert go_on.wait(SECONDS)
        finished.append(number)

    monkeypatch.setattr(parallel._Crew, "join", joined)
    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(3))
    assert sorted(finished) == [0, 1, 2]


def test_a_system_without_threads_is_told_after_those_at_work_have_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused, finished = threading.Event(), []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if busy():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(number: int) -> None:
        assert refused.wait(SECONDS)
        finished.append(number)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        in_parallel(work, range(3))
    assert finished == [0]


# -- what `up` makes of it ------------------------------------------------------------------------------


class Engine:
    """An engine that keeps what it creates; a volume cannot be removed while there is a container."""

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self.containers_there: dict[str, dict[str, Any]] = {}
        self.volumes_there: dict[str, dict[str, Any]] = {}
        self.cleaning = threading.Event()
        self.in_use_forever = False
        self.refusals = 0  # how often a container is "being removed already"

    def create(self, name: str) -> None:
        self.containers_there[name] = {
            "Id": name,
            "Names": [f"/{name}"],
            "State": "running",
            "Labels": {LAB_LABEL: self.lab, NODE_LABEL: name},
        }

    def containers(self, **_: object) -> list[dict[str, Any]]:
        return list(self.containers_there.values())

    def remove_container(self, name: str, **_: object) -> None:
        self.cleaning.set()
        if self.refusals:
            self.refusals -= 1
            raise refusal("removal is already in progress")
        self.containers_there.pop(name)

    def volumes(self, **_: object) -> dict[str, Any]:
        return {"Volumes": list(self.volumes_there.values()) or None}

    def images(self, **_: object) -> list[dict[str, Any]]:
        return []

    def remove_volume(self, name: str, **_: object) -> None:
        self.cleaning.set()
        if self.containers_there or self.in_use_forever:
            raise refusal(IN_USE)
        if self.volumes_there.pop(name, None) is None:
            raise NotFound("no such volume")

    def networks(self, filters: object = None, **_: object) -> list[dict[str, Any]]:
        config = [{"Subnet": "172.30.77.0/24"}]
        own = {
            "Name": f"{self.lab}_lab",
            "Id": "1",
            "Labels": {LAB_LABEL: self.lab},
            "IPAM": {"Config": config},
        }
        return [] if filters else [own]  # there, and never in the way when the lab is removed


def refusal(words: str) -> APIError:
    response = Response()
    response.status_code = 409
    return APIError(words, response=response, explanation=words)


class Context(EngineContext):
    """The context of a lab on an `Engine`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.lab, "docker")
        self.fake: Any = SimpleNamespace(
            api=engine,
            version=lambda: {"Version": "28"},
            info=lambda: {"DockerRootDir": "/no-such-folder"},
            volumes=SimpleNamespace(
                create=lambda name, labels: engine.volumes_there.update(
                    {name: {"Name": name, "Labels": labels}}
                )
            ),
            images=SimpleNamespace(get=lambda tag: SimpleNamespace(id=tag)),
            containers=SimpleNamespace(get=self._gone),
        )

    def _gone(self, _: str) -> None:
        raise NotFound("no such container")

    def endpoint(self) -> Any:
        return SimpleNamespace(vm=False, url="unix:///nowhere")

    def client(self, timeout: float = 60) -> Any:
        assert timeout > 0
        return self.fake

    def thread_client(self) -> Any:
        return self.fake


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    monkeypatch.setenv("LABKIT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(
        builder, "ensure_all", lambda _client, images, _, **__: dict(zip(images, images, strict=True))
    )
    monkeypatch.setattr(provision, "_REMOVE_SECONDS", 0.3)
    return Engine("x")


def up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a lab up whose second node cannot be created, while the first one still is."""
    failed = threading.Event()

    class LabContainer:
        def __init__(self, _client: object, _topology: object, service: Service, _image: str) -> None:
            self._name = service.name

        def start(self) -> Any:
            if self._name == "worker1":
                failed.set()
                raise LabError("the real cause")
            assert failed.wait(SECONDS)
            engine.cleaning.wait(0.2)  # until somebody cleans up, which nobody may do before this has ended
            engine.create(self._name)
            return SimpleNamespace(get_wrapped_container=lambda: SimpleNamespace(id=self._name))

    monkeypatch.setattr(provision, "LabContainer", LabContainer)
    lab = Cluster("x", engine="docker")
    lab.context = Context(engine)
    lab.up(reporter=ProgressReporter(quiet=True))


def test_a_failed_up_leaves_nothing_that_was_still_being_created(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="the real cause"):
        up(engine, monkeypatch)
    assert (engine.containers_there, engine.volumes_there) == ({}, {})


def test_a_failed_up_tells_its_cause_even_when_it_cannot_clean_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.in_use_forever = True
    with pytest.raises(LabError, match="the real cause"):
        up(engine, monkeypatch)
    assert engine.containers_there == {}


def test_what_is_being_removed_by_others_is_waited_for(engine: Engine) -> None:
    engine.create("manager1")
    engine.refusals = 1
    assert provision.remove(Context(engine)) == ["manager1"]


def test_removal_gives_up_with_what_is_in_use(engine: Engine) -> None:
    engine.volumes_there["data"] = {"Name": "data"}
    engine.in_use_forever = True
    with pytest.raises(NotConverged, match="not all of lab 'x' could be removed") as caught:
        provision.remove(Context(engine))
    assert caught.value.evidence == (f"data: {IN_USE}",)


def test_removal_gives_up_when_containers_keep_coming(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.create("manager1")
    monkeypatch.setattr(engine, "remove_container", lambda *_, **__: None)
    with pytest.raises(NotConverged) as caught:
        provision.remove(Context(engine))
    assert caught.value.evidence == ("something keeps starting its containers",)
