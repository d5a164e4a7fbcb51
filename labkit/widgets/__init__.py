"""Widgets for notebooks: each builds one command, shows it, runs it on a real node and shows what came of it.

`widgets.Scale(lab, "web")` as the last expression of a cell shows one. Those that run something have a
headless form, `.run(…)`: it waits, returns what came of it and raises what went wrong.
"""

from labkit.widgets.availability import Availability
from labkit.widgets.begin import Begin
from labkit.widgets.command import Command
from labkit.widgets.exam import Exam
from labkit.widgets.exercise import Exercise
from labkit.widgets.faults import Faults
from labkit.widgets.ports import Ports
from labkit.widgets.predict import Predict
from labkit.widgets.progress import Progress
from labkit.widgets.quiz import Quiz
from labkit.widgets.scale import Scale
from labkit.widgets.terminals import Terminals
from labkit.widgets.update import RollingUpdate

__all__ = [
    "Availability",
    "Begin",
    "Command",
    "Exam",
    "Exercise",
    "Faults",
    "Ports",
    "Predict",
    "Progress",
    "Quiz",
    "RollingUpdate",
    "Scale",
    "Terminals",
]
