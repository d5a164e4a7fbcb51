"""The commands that set a computer up: images, bundles, the engine in the background, the tests."""

import argparse

from labkit.bundle.load import load
from labkit.bundle.save import save
from labkit.cli import testing, website
from labkit.cli.consent import provide_own_engine
from labkit.cli.lab_commands import cluster_of
from labkit.course import chapters
from labkit.engine import daemon
from labkit.images import builder, catalog, engines, published
from labkit.topology import topology
from labkit.util.console import ProgressReporter, table


def images(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    if options.action == "preload":
        cluster.pull(chapters.images(*options.wanted), ProgressReporter())
    elif options.action == "build":
        provide_own_engine()
        builder.ensure_all(cluster.context.own_client(), topology.load().images, ProgressReporter())
    elif options.action in ("push", "pull"):
        provide_own_engine()
        move = published.push if options.action == "push" else published.pull
        names = [engines.name_of(image) for image in topology.load().images]
        move(cluster.context.own_client(timeout=600), options.wanted[0], names, ProgressReporter())
    elif options.action == "rm":
        for tag in builder.remove_all(cluster.context.own_client()):
            print(f"removed {tag}")
    else:
        installed = builder.installed(cluster.context.own_client())
        rows = [
            (image.tag, f"{image.size / 1e6:.0f} MB", image.origin, "" if image.current else "outdated")
            for image in installed
        ]
        print(table(rows, ("IMAGE", "SIZE", "MADE FROM", "")))
        print()
        built = {image.tag.partition(":")[0] for image in installed if image.current}
        print(table(engines.overview(built), ("NODES RUN", "PACKAGES FROM", "")))
        print()
        print(table(catalog.overview(), ("NODES PULL", "WHAT IT IS", "TAGS")))
    return 0


def bundle_save(options: argparse.Namespace) -> int:
    provide_own_engine()
    save(cluster_of(options).context, options.file, options.python, dockers=options.docker)
    return 0


def bundle_load(options: argparse.Namespace) -> int:
    load(cluster_of(options).context, options.file, provide_own_engine)
    return 0


def engine(_: argparse.Namespace) -> int:
    daemon.stop(print)
    return 0


def docs(options: argparse.Namespace) -> int:
    print(website.build(options.folder))
    return 0


def test(options: argparse.Namespace) -> int:
    if not testing.only_unit(options.pytest):
        provide_own_engine()
    return testing.run(cluster_of(options).context, options.pytest, options.full_kernel, options.all)
