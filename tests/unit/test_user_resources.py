"""What `begin` lists before it removes it, where engines refuse to answer. A stand-in answers for them."""

from types import SimpleNamespace
from typing import Any

import pytest

from labkit.course.user_resources import user_resources
from labkit.swarm.model import Engine, Node, Service, Snapshot
from labkit.transport.tunnel import Answer
from labkit.util.errors import CommandFailed

MANAGER = Node("id1", "manager1", "manager", "active", "ready", "leader", "172.30.0.11", {})
SNAPSHOT = Snapshot(
    engines={
        "manager1": Engine("manager1", "running", "active", manager=True),
        "worker1": Engine("worker1", "running"),
    },
    nodes=(MANAGER,),
    services=(Service("id2", "web", "web:1", 2),),
    quorum=True,
)
FORMED = {"Spec": {"Labels": {"org.labkit.formed": "manager1:manager"}}}
BODIES: dict[str, Any] = {
    "/swarm": FORMED,
    "/secrets": [{"Spec": {"Name": "password"}}],
    "/configs": [],
    "/containers/json?all=1": [],
    "/volumes": {"Volumes": [{"Name": "data"}]},
    "/networks": [{"Scope": "local", "Name": "bridge"}],
    "/plugins": [],
}
ERROR = Answer(503, None, {"message": "This node is not a swarm manager."})


class StandIn:
    """A node whose engine answers what `refuses` does not name; None there stands for no answer at all."""

    def __init__(self, name: str, refuses: dict[str, Answer | None], files: str | None = "") -> None:
        self.name, self.refuses, self.files = name, refuses, files

    def ask(self, *paths: str, timeout: float) -> list[Answer] | None:
        assert timeout > 0
        answers = [self.refuses.get(path, Answer(200, None, BODIES[path])) for path in paths]
        return None if None in answers else [answer for answer in answers if answer]

    def run(self, command: str, **_: Any) -> SimpleNamespace:
        assert command == "ls -A /lab"
        if self.files is None:
            raise CommandFailed("the engine does not answer", exit_code=1)
        return SimpleNamespace(stdout=self.files)


def found(manager: StandIn, worker: StandIn) -> list[str]:
    nodes = {"manager1": manager, "worker1": worker}
    context = SimpleNamespace(patience=1.0)
    lab: Any = SimpleNamespace(
        context=context, nodes=nodes, node=nodes.__getitem__, snapshot=lambda **_: SNAPSHOT
    )
    return user_resources(lab)


ALL = ["service web", "secret password", "volume data on manager1", "volume data on worker1"]


def test_all_that_answers_is_listed() -> None:
    assert found(StandIn("manager1", {}), StandIn("worker1", {})) == ALL


@pytest.mark.parametrize("path", ["/swarm", "/secrets", "/configs"])
@pytest.mark.parametrize(
    ("answer", "reason"), [(ERROR, "manager1 answers with error 503"), (None, "manager1 does not answer")]
)
def test_a_manager_that_refuses_hides_what_is_in_the_swarm(
    path: str, answer: Answer | None, reason: str
) -> None:
    assert found(StandIn("manager1", {path: answer}), StandIn("worker1", {})) == [
        "service web",
        f"the swarm's members, secrets, and configs, which cannot be seen: {reason}",
        *ALL[2:],
    ]


@pytest.mark.parametrize("path", ["/containers/json?all=1", "/volumes", "/networks", "/plugins"])
@pytest.mark.parametrize(
    ("answer", "reason"), [(ERROR, "its engine answers with error 503"), (None, "its engine does not answer")]
)
def test_a_node_that_refuses_hides_what_is_on_it(path: str, answer: Answer | None, reason: str) -> None:
    assert found(StandIn("manager1", {}), StandIn("worker1", {path: answer})) == [
        *ALL[:3],
        f"everything on worker1, which cannot be seen: {reason}",
    ]


def test_the_shared_folder_is_seen_through_any_node() -> None:
    there = found(StandIn("manager1", {}, files=None), StandIn("worker1", {}, files="notes\n"))
    assert there == [*ALL, "in the folder /lab: notes"]
    hidden = found(StandIn("manager1", {}, files=None), StandIn("worker1", {}, files=None))
    assert hidden == [*ALL, "what is in the folder /lab, which cannot be seen: no node answers"]
