"""The commands that start a lab, inspect it, work on its nodes, and remove it."""

import argparse
import contextlib
import json
import sys
from functools import partial

from labkit.cli import preparation, terminal
from labkit.cli import status as lab_status
from labkit.cli.consent import provide_engine
from labkit.cluster import provision
from labkit.cluster.cluster import Cluster
from labkit.cluster.subnets import Surroundings
from labkit.engine import doctor as probes
from labkit.engine import vm_probe
from labkit.engine.selection import DOCKER, EngineContext
from labkit.images import builder, engines
from labkit.jupyter import server
from labkit.util.console import ProgressReporter
from labkit.util.errors import EngineNotFound, EngineUnsuitable
from labkit.util.text import counted


def cluster_of(options: argparse.Namespace) -> Cluster:
    """The lab that a command is for. If its engine stops answering, `main` asks the lab why."""
    cluster = options.cluster = Cluster(options.lab, engine=options.engine)
    return cluster


def start(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    provide_engine(cluster.context)
    with contextlib.ExitStack() as stack:
        if preparation.needed(cluster.context):
            log = preparation.log_of(cluster.name)
            print(f"The nodes and their images are being prepared in the background; details: {log}")
            child = preparation.in_background(preparation.command(options), log, print)
            stack.enter_context(child)
        else:
            cluster.up(docker=engines.parse(options.docker))
        server.serve(
            cluster.context, port=options.port, browser=not options.no_browser, notebooks=options.notebooks
        )
    server.say_goodbye(cluster.context)
    return 0


def up(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    provide_engine(cluster.context)
    docker = engines.parse(options.docker)
    begin = partial(cluster.up, swarm=options.swarm, docker=docker, keep=options.keep)
    if options.early and preparation.needed(cluster.context):
        preparation.start_early(cluster.context, begin, ProgressReporter())
    else:
        begin()
    shell, down = cluster.context.hint("shell", "manager1"), cluster.context.hint("down")
    print(f"Lab '{cluster.name}' is up.   Open a terminal on a node: {shell}   Remove the lab: {down}")
    return 0


def upgrade(options: argparse.Namespace) -> int:
    cluster_of(options).upgrade(options.node, options.docker, fresh=options.fresh)
    return 0


def down(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    names = provision.all_labs(cluster.context) if options.all else [cluster.name]
    for name in names:
        with ProgressReporter().step(f"Lab '{name}'") as step:
            removed = Cluster(name, engine=options.engine).down()
            step.result = f"removed {counted(len(removed), 'object')}" if removed else "nothing to remove"
    if not names:
        print("No labs found.")
    if options.cache:
        removed = provision.remove_kept(cluster.context)
        print(f"Removed {', '.join(removed)}." if removed else "There was no cache to remove.")
    return 0


def status(options: argparse.Namespace) -> int:
    report = lab_status.report(cluster_of(options))
    print(json.dumps(report, indent=2) if options.json else lab_status.render(report))
    return 0


def doctor(options: argparse.Namespace) -> int:
    lines = examine(cluster_of(options))
    print(json.dumps(probes.as_json(lines), indent=2) if options.json else probes.table(lines))
    return 1 if probes.essentials_missing(lines) else 0


def examine(cluster: Cluster) -> list[probes.Probe]:
    """What `labkit doctor` shows about a lab and its engine, or about a missing engine."""
    context = cluster.context
    try:
        if context.kind != DOCKER and context.vm() is None:
            context = EngineContext(cluster.name, DOCKER)  # the engine that could run the VM
        lines = probes.examine(context, builder.installed_tag(context.client(), "node"))
        lines.append(Surroundings(context).examine())
        return [*lines, vm_probe.offer(cluster.context, lines), lab_status.stand_ins(cluster)]
    except (EngineNotFound, EngineUnsuitable) as error:
        return probes.no_engine(error)


def execute(options: argparse.Namespace) -> int:
    return terminal.attach_streams(cluster_of(options).node(options.node), options.command)


def shell(options: argparse.Namespace) -> int:
    return terminal.open_shell(cluster_of(options).node(options.node))


def logs(options: argparse.Namespace) -> int:
    sys.stdout.write(cluster_of(options).logs(options.node, options.lines))
    return 0


def reset(options: argparse.Namespace) -> int:
    cluster = cluster_of(options)
    with ProgressReporter().step(f"Lab '{cluster.name}'") as step:
        cluster.reset()
        step.result = "every node is a bare engine again"
    return 0
