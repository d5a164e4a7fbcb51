"""Wrong answers that learners might give, for each chapter in `wrong/KEY.toml`, and how they are tried.

    [["create.1"]]
    run = "docker swarm join-token --quiet manager > /lab/worker-token"
    says = "token for managers"     # part of what the check answers
    undo = "rm /lab/worker-token"   # where the next try would be disturbed
    on = "worker1"                  # manager1, where it is not said

For scenarios of the exam, `<name>` stands for the fact of this name. An answer that `spoils` one, so that it
cannot be solved any more, is tried by tests/swarm/test_exam.py alone.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from labkit.course.exam.scenario import Facts, fill
from labkit.course.retrying import with_retries
from labkit.swarm.model import Json

_FOLDER = Path(__file__).with_name("wrong")

# A cell for the notebook's kernel: a check refuses at once, and goes on to; `says` may take a moment. The
# hints that look at the swarm have something to say of any state in which they can.
REFUSED = """
import contextlib
from labkit.course import exercises, grading
from labkit.course.inspector import Inspector
from labkit.engine.selection import ERRORS
from labkit.util.deadline import Deadline
from labkit.util.errors import LabError

def refused(name, says=""):
    for hint in filter(callable, exercises.find(lab, name).hints):
        with contextlib.suppress(LabError, *ERRORS):
            assert hint(Inspector(lab)).strip()
    for _ in Deadline(60).attempts(every=0.5):
        grade = grading.grade(lab, name, exercises.find(lab, name), settle=0)
        assert not grade.solved, f"a wrong answer is accepted: {grade}"
        missing = "\\n".join(str(point) for point in grade.points if not point)
        if says in missing:
            return
    raise AssertionError(f"{says!r} is not in: {missing}")

def settled():
    before = None
    for _ in Deadline(60).attempts(every=0.5):
        snapshot = lab.snapshot()
        if not snapshot.quorum:
            return
        up = {node.name for node in snapshot.nodes if node.status == "ready"}
        waiting = {task.service for task in snapshot.tasks if task.wanted and task.state == "pending"}
        updating = {service.name for service in snapshot.services if service.update in UNDER_WAY}
        ending = {
            task.name
            for task in snapshot.tasks
            if not task.wanted and task.state == "running" and task.node in up
        }
        moving = updating - waiting | ending  # an update whose tasks wait for a node never ends
        manager = Inspector(lab, snapshot).manager
        now = {entry["ID"]: entry["Version"]["Index"] for entry in manager.services()}
        if not moving and now == before:
            return
        before = now
    raise AssertionError(f"still in motion: {moving or 'services change'}")

UNDER_WAY = ("updating", "rollback_started")
"""


def load(chapter: str) -> dict[str, list[Json]]:
    """The wrong answers to each exercise of a chapter's key, such as `create`."""
    return tomllib.loads((_FOLDER / f"{chapter}.toml").read_text(encoding="utf-8"))


def filled(answers: Sequence[Json], facts: Facts) -> list[Json]:
    """The answers with a scenario's facts in their places, without those that spoil it."""
    return [
        {key: fill(text, facts) for key, text in answer.items()}
        for answer in answers
        if "spoils" not in answer
    ]


def trial(exercise: str, answers: Sequence[Json]) -> list[str]:
    """Cells that try an exercise before anything is done, then with each wrong answer."""
    cells = [f"refused({exercise!r})"]
    for answer in answers:
        node = answer.get("on", "manager1")
        cells += [f"%%on {node}\n{with_retries(answer['run'])}", f"refused({exercise!r}, {answer['says']!r})"]
        if "undo" in answer:
            cells.append(f"%%on {node}\n{with_retries(answer['undo'])}")
    return [*cells, "settled()"]
