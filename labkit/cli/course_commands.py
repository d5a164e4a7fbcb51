"""The commands of the course: chapters, exercises, the exam, progress."""

import argparse
import json

from labkit.cli.consent import provide_engine, with_consent
from labkit.cli.lab_commands import cluster_of
from labkit.course import chapters, exercises, grading, report
from labkit.course import progress as records
from labkit.course.exam import rounds
from labkit.swarm import explain as explanations
from labkit.util.errors import LabError
from labkit.util.text import counted


def begin(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    provide_engine(cluster.context)
    if not with_consent(lambda: chapters.begin(cluster, options.chapter, options.yes)):
        return 1
    print(f"Lab '{cluster.name}' is where the chapter starts.")
    return 0


def practice(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    if not options.scenario:
        print(rounds.listing(cluster))
        return 0
    begun = with_consent(lambda: rounds.practice(cluster, options.scenario, options.seed, options.yes))
    return 0 if begun else 1


def exam(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    if options.action == "next":
        print(rounds.go_on(cluster))
        return 0
    if options.action == "status":
        print(rounds.status(cluster))
        return 0
    started = with_consent(
        lambda: rounds.exam(cluster, options.minutes, options.count, options.seed, options.yes)
    )
    return 0 if started else 1


def check(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    print(exercises.check(cluster, options.exercise))
    return 0


def next_hint(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    print(grading.next_hint(cluster, options.exercise, exercises.find(cluster, options.exercise)))
    return 0


def explain(options: argparse.Namespace) -> int:
    print(explanations.explain(cluster_of(options).snapshot(), options.name))
    return 0


def progress(options: argparse.Namespace) -> int:
    if options.export:
        print(f"Wrote {counted(records.export(options.export), 'record')} to {options.export}.")
        return 0
    if options.load:
        print(f"Added {counted(records.load(options.load), 'new record')} from {options.load}.")
        return 0
    found = report.summary()
    if options.html:
        try:
            options.html.write_text(report.page(found), encoding="utf-8")
        except OSError as error:
            raise LabError(f"{options.html} cannot be written", evidence=[str(error)]) from None
        print(f"Wrote {options.html}.")
    else:
        print(json.dumps(found, indent=2) if options.json else report.render(found))
    return 0
