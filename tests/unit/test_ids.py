"""Ids of exercises and scenarios stay what they are: progress files and learners' notebooks hold them."""

from pathlib import Path

from labkit import course
from labkit.course import exercises
from labkit.course.exam.registry import SCENARIOS
from labkit.course.exam_state import PREFIX

FILE = Path(__file__).parents[1] / "data" / "ids.txt"
RETIRED = "retired"


def committed() -> dict[str, str]:
    """What data/ids.txt says of each id: its function, `retired`, or `-> NEW-ID`."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = dict(line.split(maxsplit=1) for line in lines)
    assert len(found) == len(lines), "an id is listed twice"
    return found


def present() -> dict[str, str]:
    """Today's ids, each with the name of the function that grades it."""
    graded = {PREFIX + name: scenario.points for name, scenario in SCENARIOS.items()}
    graded |= {name: exercise.points for name, exercise in exercises.EXERCISES.items()}
    return {name: points.__name__ for name, points in graded.items()}


def test_no_id_is_lost_reused_or_means_something_else() -> None:
    now = present()
    for name, was in committed().items():
        if was.startswith("-> "):
            new = was.removeprefix("-> ")
            assert course.ALIASES.get(name) == new and new in now, (
                f"{name} needs an alias that leads to {new}"
            )
            assert name not in now, f"{name} was renamed, and is used again"
        elif was == RETIRED:
            assert name not in now, f"{name} is retired: choose another id"
        else:
            assert now.get(name) == was, f"{name} was {was}, and is {now.get(name)}: see {FILE}"


def test_each_new_id_is_written_down() -> None:
    assert present().keys() <= committed().keys(), f"add the new ids to {FILE}"
    assert set(course.ALIASES) <= committed().keys()
