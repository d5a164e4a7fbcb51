"""`labkit test`: checks style and types, and runs the tests, with the browser and images that they need."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.engine.host_info import this_host
from labkit.engine.selection import EngineContext
from labkit.images import architecture, builder, vm_disk
from labkit.topology import topology
from labkit.util import lock, packages
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError, SetupFailed

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / ".artifacts"
REQUIRE_ENGINE = "LABKIT_REQUIRE_ENGINE"
REQUIRE_BROWSER = "LABKIT_REQUIRE_BROWSER"

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

_STYLE = (
    ("Style (ruff check)", ("ruff", "check", ".")),
    ("Format (ruff format)", ("ruff", "format", "--check", ".")),
    ("Types (mypy)", ("mypy",)),
)

_CORE = ("tests/swarm", "tests/engines")  # the folders that have core tests
_ABOUT_NODES = "tests/engines/test_nodes.py"

# Tests mostly wait for a swarm. tests/conftest.py says which stay together; the short files stay last.
_SIDE_BY_SIDE = ("--numprocesses", "3", "--dist", "loadscope", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Group:
    """Tests that run together: those that the marker expression `select` matches, with more `options`."""

    title: str
    select: str
    options: tuple[str, ...] = ()
    on_vm: bool = False

    @property
    def file(self) -> str:
        """The name of its artifacts."""
        return self.title.lower().replace(" ", "-")


def _engine(name: str) -> Group:
    """The core of the swarm tests on another Docker engine (tests/engines/outer.py)."""
    return Group(f"Engine {name}", "core", ("--outer", name, *_CORE, "--ignore", _ABOUT_NODES))


def _nodes(name: str) -> Group:
    """The core of the swarm tests with another engine in the nodes (tests/engines/inner.py)."""
    return Group(f"Nodes {name}", "core", ("--inner", name, _CORE[0], _ABOUT_NODES))


def _course(name: str) -> Group:
    """The chapters on nodes with another engine."""
    return Group(f"Course {name}", "engine", ("--inner", name, "tests/notebooks", *_SIDE_BY_SIDE))


# Engine 28.5-like-29 is the strictest, and differs the most from the one that the other groups use.
_USUAL = (
    Group("Side by side", "not fullkernel and not alone and not matrix and not slow", _SIDE_BY_SIDE),
    Group("Alone", "alone and not fullkernel and not engines"),
    _engine("28.5-like-29"),
    Group("Full kernel smoke", "fullkernel and smoke", on_vm=True),
)
_SLOW = (
    *(_engine(name) for name in ("20.10", "26.1", "28.5", "28.5-containerd", "28.5-strict")),
    *(_nodes(name) for name in ("20.10", "28.5", "28.5-like-29")),  # the other groups have 26.1
    _course("28.5"),
    Group("Slow", "slow"),
    Group("Upgrades", "engines"),
    Group("Full kernel", "fullkernel and not smoke", on_vm=True),
)


def run(
    context: EngineContext, arguments: Sequence[str], full_kernel: bool = False, slow: bool = False
) -> int:
    """Run everything except slow tests, or only pytest with `arguments`; return an exit code.

    `slow` adds the slow tests; `full_kernel` runs only what needs a full kernel. JUnit XML, with the time of
    each test, and the coverage end up in `.artifacts`. Where the processor can't run the virtual machine, its
    tests are left out, and a line says so. Raises ImageUnavailable if an image can't be built, SetupFailed if
    there's no browser, EngineUnsuitable if `full_kernel` asks for a virtual machine that can't run.
    """
    if not (ROOT / "tests").is_dir():
        raise LabError(
            "no tests found",
            evidence=[f"looked in {ROOT / 'tests'}"],
            next_step="run ./lab test in a checkout of the project",
        )
    reporter = ProgressReporter()
    if only_unit(arguments):
        return 0 if _pytest(arguments) else 1
    if arguments and not full_kernel:
        _provide(context, reporter, vm=False)
        return 0 if _pytest(arguments) else 1
    groups = [Group("Full kernel", "fullkernel", tuple(arguments), on_vm=True)]
    failed = []
    if not full_kernel:
        groups = [*_USUAL, *(_SLOW if slow else ())]
        failed = [title for title, command in _STYLE if not _passes(reporter, title, command)]
    obstacle = "" if full_kernel else architecture.vm_obstacle(architecture.of_engine(context.own_client()))
    _provide(context, reporter, vm=not obstacle)
    for group in groups:
        if group.on_vm and obstacle:
            reporter.say(f"\n{group.title}: not run, because {obstacle}")
            continue
        reporter.say(f"\n{group.title}: {group.select}")
        if not _run_group(group):
            failed.append(group.title)
    for title in failed:
        reporter.say(f"failed: {title}")
    return 1 if failed else 0


def only_unit(arguments: Sequence[str]) -> bool:
    """Whether pytest's arguments name nothing but unit tests, which need neither an engine nor a browser."""
    paths = [Path(argument) for argument in arguments if argument.startswith("tests")]
    return bool(paths) and all(path.parts[:2] == ("tests", "unit") for path in paths)


def _provide(context: EngineContext, reporter: ProgressReporter, vm: bool) -> None:
    """Provide the browser and the images that tests need; with `vm`, the virtual machine's image too."""
    _provide_browser(reporter)
    client = context.own_client(timeout=600)
    builder.ensure_all(client, topology.load().images, reporter)
    if vm:
        builder.ensure_step(client, vm_disk.NAME, reporter)


def _run_group(group: Group) -> bool:
    ARTIFACTS.mkdir(exist_ok=True)
    kept = ["--junitxml", str(ARTIFACTS / f"{group.file}.xml")]
    kept += ["--cov", "labkit", "--cov-report", f"xml:{ARTIFACTS / f'{group.file}-coverage.xml'}"]
    env = {"LABKIT_ENGINE": "vm"} if group.on_vm else {}
    return _pytest(["-m", group.select, *group.options, *kept], **env)


def _pytest(arguments: Sequence[str], **env: str) -> bool:
    # Tests see labkit the way it is without ./lab.
    clean = {name: value for name, value in os.environ.items() if name != "LABKIT_COMMAND"}
    command = [sys.executable, "-m", "pytest", *arguments]
    required = {REQUIRE_ENGINE: "1", REQUIRE_BROWSER: "1"}
    return subprocess.run(command, cwd=ROOT, env={**clean, **required, **env}).returncode == 0


def find_browser() -> str | None:
    """Return the path of the browser that the tests drive: Chromium, or one based on it."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def _provide_browser(reporter: ProgressReporter) -> None:
    """Install Chromium on Debian, as root. Raises SetupFailed if the user has to install it."""
    with lock.hold("browser", say=reporter.say):
        if find_browser():
            return
        here = this_host()
        ubuntu = here.families[:1] == ("ubuntu",)  # has Chromium as a snap only
        if not here.debian_like or ubuntu or not here.root:
            apt = here.debian_like and not ubuntu
            raise SetupFailed(
                "the browser tests found no Chromium",
                evidence=[f"looked for {', '.join(_BROWSERS)}"],
                next_step="sudo apt-get install chromium" if apt else "install Chromium or Google Chrome",
            )
        packages.apt_install(("chromium",), reporter.say)


def _passes(reporter: ProgressReporter, title: str, command: Sequence[str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    failed = done.returncode != 0
    reporter.say(f" ✗ {title}\n{done.stdout}{done.stderr}" if failed else f" ✓ {title}")
    return not failed
