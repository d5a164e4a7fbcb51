"""`Lab`: what a learner uses in a notebook, a cluster plus the course."""

import contextlib
import time
from collections.abc import Iterator

from labkit.cluster import features
from labkit.cluster.cluster import Cluster
from labkit.cluster.features import Support
from labkit.course import chapters, exercises, grading, predictions
from labkit.course.exam import rounds
from labkit.course.grading import Grade
from labkit.course.predictions import Outcome
from labkit.observe import watcher
from labkit.observe.recording import Frame, Recording
from labkit.swarm import explain
from labkit.swarm.model import Snapshot
from labkit.util.console import ProgressReporter
from labkit.widgets.board import Board, board


class Lab(Cluster):
    """A lab of Docker engines in containers, with the course's chapters, exercises, and exam.

    `name` defaults to LABKIT_LAB, otherwise `swarm-lab`; `engine` is the same as for `Cluster`.
    """

    def board(self) -> Board:
        """The live board next to the notebook: the lab's open one, otherwise a new one."""
        return board(self)

    @contextlib.contextmanager
    def record(self) -> Iterator[Recording]:
        """Record the swarm while the block runs: `with lab.record() as recording:`."""
        recording = Recording([Frame(time.time(), self.snapshot())])
        with watcher.subscribe(self, recording.frames.append):
            yield recording
        recording.frames.append(Frame(time.time(), self.snapshot()))

    def preload(self, *wanted: str) -> None:
        """Pull images on all nodes in advance, and print each step.

        `wanted` are images such as `web:1` or chapters such as `run-services`, by default the course's own
        images. Raises CommandFailed if a node can't pull one.
        """
        self.pull(chapters.images(*wanted), ProgressReporter())

    # -- the course ---------------------------------------------------------------------------------

    def begin(self, chapter: str, *, yes: bool = False) -> Snapshot:
        """Bring the lab, from any state, to the starting state of a chapter such as `create-a-swarm`.

        If it holds something that you created, raises WouldRemove and changes nothing, unless `yes`.
        """
        return chapters.begin(self, chapter, yes)

    def supports(self, feature: str) -> Support:
        """Whether the kernel has what a step needs, `mesh` or `encryption`; its repr says what is missing.

        Use it as `if lab.supports("mesh"):`. The kernel is probed only once.
        """
        return features.support(self, feature)

    def check(self, exercise: str = "") -> Grade:
        """Grade an exercise such as `create.1` by inspecting the swarm. Raises NotSolved.

        Without a name, grade the current scenario.
        """
        return exercises.check(self, exercise)

    def outcome(self, prediction: str, actual: object) -> Outcome:
        """Compare what happened with the prediction that was committed, such as `services.dip`."""
        return predictions.outcome(self, prediction, actual)

    def hint(self, exercise: str) -> None:
        """Print the next hint for an exercise such as `create.1`; later hints inspect the swarm."""
        print(grading.next_hint(self, exercise, exercises.find(self, exercise)))

    def practice(self, scenario: str = "", *, seed: int | None = None, yes: bool = False) -> None:
        """Begin a scenario such as `pending-label` on a fresh swarm and print its story, or list them all.

        A different seed gives a different case. Raises WouldRemove as `begin` does, unless `yes`.
        """
        print(rounds.practice(self, scenario, seed, yes) if scenario else rounds.listing(self))

    def exam(
        self, minutes: float = 60, count: int = 5, *, seed: int | None = None, yes: bool = False
    ) -> None:
        """Start an exam: `count` scenarios in `minutes`, without hints. It begins the first one.

        `check()` grades each once; `next_scenario()` continues. Raises WouldRemove as `begin` does, unless
        `yes`.
        """
        print(rounds.exam(self, minutes, count, seed, yes))

    def next_scenario(self) -> None:
        """Begin the exam's next scenario, or print the score. Raises LabError if no exam is running."""
        print(rounds.go_on(self))

    def explain(self, name: str) -> None:
        """Explain the state of a service or a node, and why its tasks wait, fail, or restart."""
        print(explain.explain(self.snapshot(), name))

    # Their names until 0.1, which learners' copies of the notebooks still use.
    can = supports
    next = next_scenario
