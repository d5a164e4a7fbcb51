"""A prediction against what happened."""

from collections.abc import Mapping

from labkit.plots.lettering import fit
from labkit.plots.picture import Picture
from labkit.plots.theme import LIGHT, Theme
from labkit.util.text import counted, listed, natural

_WIDTH, _MARGIN, _LEFT, _BARS = 620.0, 16.0, 140.0, 250.0  # points; `bars`: the longest
_ROW, _ROWS = 44.0, 24
_REAL = "#0072b2"


def compare(prediction: Mapping[str, int], actual: Mapping[str, int], *, theme: Theme = LIGHT) -> Picture:
    """Draw for each label (a node, a state, …) the count that was expected above the real one.

    A label that only one side has counts as 0 on the other. Beyond 24 labels, those that differ come first.
    """
    labels = _labels(prediction, actual)
    chosen = sorted(labels, key=lambda label: prediction.get(label, 0) == actual.get(label, 0))[:_ROWS]
    shown = [label for label in labels if label in chosen]
    hidden = len(labels) - len(shown)
    height = 74 + _ROW * len(shown) + (20 if hidden else 0) if labels else 60
    picture = Picture(_WIDTH, height, describe_compare(prediction, actual), theme=theme)
    picture.write(_MARGIN, 28, _title(prediction, actual), size=15, bold=True)
    if not labels:
        return picture
    picture.boxes([(_LEFT, 44, 20, 9)], edge=theme.muted, width=1.2, radius=2, dashed=True)
    picture.write(_LEFT + 26, 52, "you expected", size=10, colour=theme.muted)
    picture.boxes([(_LEFT + 120, 44, 20, 9)], fill=_REAL, radius=2)
    picture.write(_LEFT + 146, 52, "what happened", size=10, colour=theme.muted)
    most = max(*prediction.values(), *actual.values(), 1)
    for place, label in enumerate(shown):
        expected, real, top = prediction.get(label, 0), actual.get(label, 0), 66 + place * _ROW
        picture.write(_LEFT - 12, top + 20, fit(label, _LEFT - _MARGIN - 12, 12), align="right")
        guess, truth = (max(_BARS * count / most, 2) for count in (expected, real))
        picture.boxes([(_LEFT, top + 1, guess, 12)], edge=theme.muted, width=1.2, radius=2, dashed=True)
        picture.boxes([(_LEFT, top + 16, truth, 12)], fill=_REAL, radius=2)
        picture.write(_LEFT + guess + 6, top + 11, str(expected), size=10.5, colour=theme.muted)
        picture.write(_LEFT + truth + 6, top + 26, str(real), size=10.5, bold=True)
        right = expected == real
        words = "✓ as you expected" if right else f"{_difference(expected, real)} than you expected"
        colour = theme.good if right else theme.warn
        picture.write(_LEFT + _BARS + 40, top + 19, words, size=11, bold=not right, colour=colour)
    if hidden:
        y = 66 + len(shown) * _ROW + 12
        picture.write(_LEFT, y, f"and {counted(hidden, 'more label')}", size=10.5, colour=theme.muted)
    return picture


def describe_compare(prediction: Mapping[str, int], actual: Mapping[str, int]) -> str:
    """What was expected and what is so, differences first to be told."""
    labels = _labels(prediction, actual)
    wrong = [label for label in labels if prediction.get(label, 0) != actual.get(label, 0)]
    right = [f"{label} {actual.get(label, 0)}" for label in labels if label not in wrong]
    lines = [f"{_title(prediction, actual)}."]
    for label in wrong:
        count = actual.get(label, 0)
        there = "there is 1" if count == 1 else f"there are {count}"
        lines.append(f"{label}: you expected {prediction.get(label, 0)}, {there}.")
    if right:
        lines.append(f"As you expected: {listed(right)}.")
    return "\n".join(lines)


def _labels(prediction: Mapping[str, int], actual: Mapping[str, int]) -> list[str]:
    return sorted({*prediction, *actual}, key=natural)


def _title(prediction: Mapping[str, int], actual: Mapping[str, int]) -> str:
    labels = _labels(prediction, actual)
    right = sum(prediction.get(label, 0) == actual.get(label, 0) for label in labels)
    if not labels:
        return "There is nothing to compare"
    if right == len(labels):
        return "It is just as you expected"
    return (
        f"You were right about {right} of {len(labels)}"
        if right
        else "It came out differently from what you expected"
    )


def _difference(expected: int, real: int) -> str:
    """`1 more`, `2 fewer`."""
    return f"{abs(real - expected)} {'more' if real > expected else 'fewer'}"
