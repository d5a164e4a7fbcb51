"""Several questions in one round trip: what becomes of the connections when somebody interrupts it."""

from typing import Any

import pytest

from labkit import pipeline


class Asked:
    """A node, and its pipeline: it is interrupted when the answers are waited for, or before."""

    name = "manager1"

    def __init__(self, *, interrupted_at: str = "") -> None:
        self._interrupted_at = interrupted_at
        self.dropped = False

    @property
    def pipeline(self) -> "Asked":
        return self

    def drop_pipeline(self) -> None:
        self.dropped = True

    def send(self, *_: object) -> None:
        self._meet("send")

    def receive(self) -> None:
        self._meet("receive")

    def _meet(self, moment: str) -> None:
        if moment == self._interrupted_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["send", "receive"])
def test_an_interrupt_leaves_no_answer_for_the_next_question(moment: str) -> None:
    nodes: list[Any] = [Asked(), Asked(interrupted_at=moment), Asked()]
    with pytest.raises(KeyboardInterrupt):
        pipeline.ask(nodes, "/_ping")
    assert all(node.dropped for node in nodes)
