"""The grammar of the command line: which commands there are, and what they take.

`run` of the parsed options names the function that does it, as `module.function` below `labkit.cli`.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import labkit
from labkit.cli import workshop_parser
from labkit.util import command_hint

Add = Callable[[str, str | None, str], argparse.ArgumentParser]
"""Adds a command by its name, the function that runs it, and a summary."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command line. What follows `test`, or `--`, is another program's and stays as it is."""
    parser = make()
    ours, dashes, theirs = arguments, [], []
    if arguments[:1] == ["test"] and not {"-h", "--help"} & set(arguments):
        known = argparse.ArgumentParser(add_help=False, allow_abbrev=False, parents=[common()])
        known.add_argument("--full-kernel", action="store_true")
        known.add_argument("--all", action="store_true")
        options, pytest = known.parse_known_args(arguments[1:])
        options.run, options.pytest = "setup_commands.test", pytest
    else:
        if "--" in arguments:
            at = arguments.index("--")
            ours, dashes, theirs = arguments[:at], arguments[at : at + 1], arguments[at + 1 :]
        options = parser.parse_args(ours)
    options.lab, options.engine = getattr(options, "lab", None), getattr(options, "engine", None)
    if options.run == "lab_commands.execute":
        options.command += theirs
        if not options.command:
            parser.error("exec: which COMMAND?   labkit exec NODE -- COMMAND")
    elif options.run == "setup_commands.images":
        _check_images(parser, options.action, options.wanted)
    elif dashes:
        parser.error(f"unrecognized arguments: {' '.join(dashes + theirs)}")
    return options


def _check_images(parser: argparse.ArgumentParser, action: str, wanted: Sequence[str]) -> None:
    """End with a usage error if the arguments of `images` don't fit its action."""
    if action in ("push", "pull"):
        if len(wanted) != 1:
            parser.error(f"images {action}: name one registry, such as ghcr.io/OWNER/swarm-lab")
    elif wanted and action != "preload":
        parser.error(f"images {action}: only preload takes names")


def common() -> argparse.ArgumentParser:
    """The options that every command takes."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lab", metavar="NAME", default=argparse.SUPPRESS, help="which lab (swarm-lab)")
    common.add_argument(
        "--engine",
        choices=command_hint.ENGINE_KINDS,
        default=argparse.SUPPRESS,
        help="what the nodes run on: this computer's Docker, or a virtual machine with a full kernel",
    )
    return common


def make() -> argparse.ArgumentParser:
    """The parser with all commands."""
    shared = common()
    parser = argparse.ArgumentParser(
        prog="labkit", description="Swarm Lab: a real three-node Docker swarm to learn on.", parents=[shared]
    )
    parser.add_argument("--version", action="version", version=f"labkit {labkit.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(name: str, run: str | None, summary: str) -> argparse.ArgumentParser:
        made = subparsers.add_parser(name, help=summary, description=summary, parents=[shared])
        made.set_defaults(run=run)
        return made

    _add_lab_commands(command)
    _add_node_commands(command)
    _add_course_commands(command)
    _add_image_commands(command)
    _add_setup_commands(command)
    says = "run a class: a place for each learner in a browser, on this computer"
    workshop_parser.add(command("workshop", None, says), common)
    return parser


def _add_lab_commands(command: Add) -> None:
    start = command("start", "lab_commands.start", "set up everything, start the nodes, and open JupyterLab")
    start.add_argument("--no-browser", action="store_true", help="only print JupyterLab's URL")
    start.add_argument("--port", type=int, default=8888, help="first port to try (8888)")
    start.add_argument(
        "--notebooks",
        metavar="FOLDER",
        type=Path,
        help="work on copies of the notebooks in FOLDER, which are created if missing",
    )
    _add_docker(start, "VERSION|NODE=VERSION", "Docker version of all nodes, or of one node (26.1)")

    up = command("up", "lab_commands.up", "start the nodes; if some are running, start what's missing")
    up.add_argument("--swarm", action="store_true", help="also form the swarm")
    up.add_argument(
        "--early",
        action="store_true",
        help="start as soon as the first chapter's images are built, and then build the others",
    )
    up.add_argument(
        "--keep", action="store_true", help="leave a failed start as it is, so you can inspect it"
    )
    _add_docker(up, "VERSION|NODE=VERSION", "Docker version of all nodes, or of one node (26.1)")

    upgrade = command("upgrade", "lab_commands.upgrade", "upgrade a node to a newer Docker version")
    upgrade.add_argument("node", metavar="NODE")
    upgrade.add_argument("--docker", metavar="VERSION", required=True, help="such as 28.5")
    upgrade.add_argument(
        "--fresh", action="store_true", help="wipe the node, install any version, and rejoin the swarm"
    )

    down = command("down", "lab_commands.down", "remove the lab: containers, networks, and volumes")
    down.add_argument("--all", action="store_true", help="remove every lab on this engine")
    down.add_argument("--cache", action="store_true", help="also remove the images kept from Docker Hub")


def _add_node_commands(command: Add) -> None:
    status = command("status", "lab_commands.status", "show the nodes and their roles in the swarm")
    status.add_argument("--json", action="store_true")

    doctor = command(
        "doctor",
        "lab_commands.doctor",
        "find out what this computer can do, and suggest what to do about the rest",
    )
    doctor.add_argument("--json", action="store_true")

    execute = command("exec", "lab_commands.execute", "run a command on a node")
    execute.add_argument("node", metavar="NODE")
    execute.add_argument("command", nargs="*", metavar="COMMAND", help="put -- before it")

    shell = command("shell", "lab_commands.shell", "open a terminal on a node")
    shell.add_argument("node", metavar="NODE")

    logs = command(
        "logs",
        "lab_commands.logs",
        "print the log of a node's engine, of the registry, or of the storage server",
    )
    logs.add_argument("node", metavar="NODE")
    logs.add_argument("-n", "--lines", type=int, help="print only the last LINES")

    command(
        "reset",
        "lab_commands.reset",
        "turn the nodes into bare engines again: no swarm, no containers, no data",
    )


def _add_docker(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    parser.add_argument("--docker", metavar=metavar, action="append", default=[], help=help)


def _add_course_commands(command: Add) -> None:
    begin = command("begin", "course_commands.begin", "bring the lab into a chapter's starting state")
    begin.add_argument("chapter", metavar="CHAPTER")
    begin.add_argument("--yes", action="store_true", help="remove what you've created without asking")

    practice = command(
        "practice", "course_commands.practice", "begin one of the exam's scenarios, with hints, or list them"
    )
    practice.add_argument("scenario", nargs="?", default="", metavar="SCENARIO", help="such as pending-label")
    practice.add_argument("--seed", type=int, help="use the same number to get the same case again")
    practice.add_argument("--yes", action="store_true", help="remove what you've created without asking")

    exam = command(
        "exam", "course_commands.exam", "start an exam, go on to its next scenario, or show its status"
    )
    exam.add_argument("action", nargs="?", choices=("start", "next", "status"), default="start")
    exam.add_argument("--minutes", type=float, default=60, help="time limit (60)")
    exam.add_argument("--count", type=int, default=5, help="number of scenarios (5)")
    exam.add_argument("--seed", type=int, help="use the same number to get the same exam again")
    exam.add_argument("--yes", action="store_true", help="remove what you've created without asking")

    check = command("check", "course_commands.check", "grade an exercise by inspecting the swarm")
    check.add_argument(
        "exercise",
        nargs="?",
        default="",
        metavar="EXERCISE",
        help="such as create.1 (default: the current scenario)",
    )

    hint = command("hint", "course_commands.next_hint", "print the next hint for an exercise")
    hint.add_argument("exercise", metavar="EXERCISE")

    explain = command(
        "explain", "course_commands.explain", "explain the state of a service or a node in plain words"
    )
    explain.add_argument("name", metavar="SERVICE|NODE")

    progress = command("progress", "course_commands.progress", "show which exercises you've solved")
    form = progress.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--html", metavar="FILE", type=Path, help="write it to an HTML page")
    form.add_argument("--export", metavar="FILE", type=Path, help="write it to FILE, for another computer")
    form.add_argument(
        "--import", metavar="FILE", type=Path, dest="load", help="add what you exported on another computer"
    )


def _add_image_commands(command: Add) -> None:
    images = command(
        "images", "setup_commands.images", "list, build, remove, preload, push, or pull the lab's images"
    )
    doings = ("ls", "build", "rm", "preload", "push", "pull")
    images.add_argument("action", nargs="?", choices=doings, default="ls")
    images.add_argument(
        "wanted",
        nargs="*",
        metavar="IMAGE|CHAPTER|REGISTRY",
        help="what to preload on the nodes (the course's own images), or where to push to or pull from",
    )

    bundle = command(
        "bundle", None, "save or load everything that a computer without a network needs, as one file"
    )
    actions = bundle.add_subparsers(required=True, metavar="ACTION")
    says = "write the project, its Python packages, and its images to FILE (--engine vm: the machine, too)"
    save = actions.add_parser("save", help=says, description=says, parents=[common()])
    save.add_argument("file", metavar="FILE", type=Path)
    save.add_argument(
        "--python",
        metavar="X.Y",
        action="append",
        default=[],
        type=_python,
        help="also add packages for this Python",
    )
    _add_docker(save, "VERSION", "also add the nodes' image with this Docker version")
    save.set_defaults(run="setup_commands.bundle_save")
    says = "check FILE, and then load its images, or, without Docker, its virtual machine"
    load = actions.add_parser("load", help=says, description=says, parents=[common()])
    load.add_argument("file", metavar="FILE", type=Path)
    load.set_defaults(run="setup_commands.bundle_load")


def _add_setup_commands(command: Add) -> None:
    engine = command("engine", "setup_commands.engine", "stop the Docker engine, if labkit started it")
    engine.add_argument("action", choices=("stop",))

    support = command(
        "support", "support.pack", "pack versions, states, and logs (but no secrets) for a bug report"
    )
    support.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        type=Path,
        help="the archive to write (swarm-lab-support-DATE.tar.gz)",
    )

    completion = command("completion", "completion.show", "print completions for your shell")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    bash, zsh, fish = (command_hint.command("completion", shell) for shell in ("bash", "zsh", "fish"))
    completion.epilog = (
        f'Add to ~/.bashrc: eval "$({bash})". To ~/.zshrc, below compinit: eval "$({zsh})". '
        f"To config.fish: {fish} | source."
    )

    docs = command("docs", "setup_commands.docs", "build the course and the docs as a static website")
    docs.add_argument("folder", nargs="?", metavar="FOLDER", type=Path, default=Path(".site"))

    test = command("test", "setup_commands.test", "run the tests; other arguments are passed to pytest")
    test.add_argument("--full-kernel", action="store_true", help="run only the tests that need a full kernel")
    test.add_argument("--all", action="store_true", help="run the slow tests, too")
    test.add_argument("pytest", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT")


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a version of Python such as 3.12")
    return text
