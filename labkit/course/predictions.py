"""Predictions: what a learner expected before a step ran, beside what happened."""

from dataclasses import dataclass

from labkit.cluster.cluster import Cluster
from labkit.course import progress


@dataclass(frozen=True)
class Outcome:
    """What happened, and what was predicted; `predicted` is None where nobody committed a prediction."""

    predicted: str | None
    actual: str

    @property
    def right(self) -> bool:
        """Whether the prediction came true, capitals and spaces aside."""
        return self.predicted is not None and _plain(self.predicted) == _plain(self.actual)

    def __repr__(self) -> str:
        if self.predicted is None:
            return f"What happened: {self.actual}"
        return f"You predicted: {self.predicted}\nWhat happened: {self.actual}{'  ✓' if self.right else ''}"


def commit(lab: Cluster, name: str, answer: str) -> None:
    """Record what a learner predicts for a question such as `services.dip`."""
    progress.of(lab).note("prediction", name, answer=answer)


def outcome(lab: Cluster, name: str, actual: object) -> Outcome:
    """Compare with the prediction that was committed since the chapter began, and record that.

    Without one, nothing is recorded.
    """
    predicted: str | None = None
    for entry in progress.of(lab).records("chapter", "prediction"):
        if entry.kind == "chapter":
            predicted = None
        elif entry.name == name:
            predicted = entry.detail["answer"]
    found = Outcome(predicted, str(actual))
    if predicted is not None:
        progress.of(lab).note("outcome", name, ok=found.right, predicted=predicted, actual=found.actual)
    return found


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
