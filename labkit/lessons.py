"""What a lab offers to a learner beside the swarm: chapters, exercises, the exam, explanations."""

from typing import TYPE_CHECKING, cast

from labkit import explain, features
from labkit.course import chapters, exercises, grading
from labkit.course.exam import rounds
from labkit.course.exam.state import PREFIX
from labkit.course.grading import Grade
from labkit.model import Snapshot

if TYPE_CHECKING:
    from labkit.lab import Lab


class Lessons:
    """The part of `Lab` that is about the course."""

    @property
    def _lab(self) -> "Lab":
        return cast("Lab", self)

    def begin(self, chapter: str, *, yes: bool = False) -> Snapshot:
        """Bring the lab, from any state, to the starting state of a chapter such as `create-a-swarm`.

        Raises WouldRemove, and changes nothing, while it holds something that you made, unless `yes`.
        """
        return chapters.begin(self._lab, chapter, yes)

    def can(self, feature: str) -> bool:
        """Whether the kernel has what a step needs, `mesh` or `encryption`; print one sentence where not.

        `if lab.can("mesh"):` skips the step by name. The kernel is asked once in a process.
        """
        if lacking := features.missing(feature):
            print(lacking)
        return not lacking

    def check(self, exercise: str = "") -> Grade:
        """Grade an exercise such as `create.1` by looking at the swarm. Raises NotSolved.

        Without a name, grade the scenario that runs.
        """
        if not exercise or exercise.startswith(PREFIX):
            return rounds.check(self._lab, exercise)
        return grading.check(self._lab, exercise, exercises.find(exercise))

    def hint(self, exercise: str) -> None:
        """Print the next hint to an exercise such as `create.1`; later ones look at the swarm."""
        print(grading.next_hint(self._lab, exercise, exercises.find(exercise)))

    def practice(self, scenario: str = "", *, seed: int | None = None, yes: bool = False) -> None:
        """Begin a scenario such as `pending-label` on a fresh swarm; print what is wrong, or list them all.

        Another seed is another case. Raises WouldRemove as `begin` does, unless `yes`.
        """
        print(rounds.practice(self._lab, scenario, seed, yes) if scenario else rounds.listing())

    def exam(
        self, minutes: float = 60, count: int = 5, *, seed: int | None = None, yes: bool = False
    ) -> None:
        """Start an exam: so many scenarios in so many minutes, without hints. It begins the first.

        `check()` grades each once, `next()` goes on. Raises WouldRemove as `begin` does, unless `yes`.
        """
        print(rounds.exam(self._lab, minutes, count, seed, yes))

    def next(self) -> None:
        """Go on to the exam's next scenario, or tell the score. Raises LabError when no exam runs."""
        print(rounds.go_on(self._lab))

    def explain(self, name: str) -> None:
        """Print in plain words how a service or a node stands, and why its tasks wait, fail or restart."""
        print(explain.explain(self._lab.snapshot(), name))
