"""labkit's layers: what a module imports is on its own layer or below, and few may import what is special."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "labkit"

# From the bottom up. A package stands for its modules, which are then listed nowhere else.
LAYERS = {
    "base": "errors state deadline console hint parallel lock system",
    "pure": "composefile topology model film history healing traffic checks advice reasons explain",
    "plots": "plots",
    "docker": "engine execution running tunnel pipeline node faults outside load relay bringup blueprint "
    "formation images features bank baking dockerfile base_image",
    "sight": "events",
    "course": "course",
    "widgets": "widgets",
    "lab": "lab lessons status bundle",
    "cells": "magics",
    "entry": "cli commands jupyter jupyter_launcher node_terminals terminal testing labkit",
}
HEIGHT = {
    name: height for height, (_, names) in enumerate(LAYERS.items()) for name in names.split()
}  # of a module or package
DOCKER = {"docker", "testcontainers"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `labkit`, which itself is `labkit`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or "labkit"] = path
    return found


MODULES = modules()


def unit(module: str) -> str:
    """What the layer table calls a module: itself, or the package that it is in."""
    return module.partition(".")[0]


def layer(module: str) -> int:
    return HEIGHT[unit(module)]


def imports(node: ast.AST) -> Iterator[str]:
    """Every import below a node, in functions too, as `docker.errors`; `from a import b` as `a.b`.

    What only type checkers import does not count.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                for other in orelse:
                    yield from imports(ast.Module([other], []))
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError("labkit imports by absolute names")
            case _:
                yield from imports(child)


def imported(path: Path) -> set[str]:
    return set(imports(ast.parse(path.read_text())))


def own(names: set[str]) -> set[str]:
    """The modules of labkit among dotted names: the longest part of each that is one."""
    found = set()
    for name in names:
        if name.partition(".")[0] == "labkit":
            words = name.split(".")[1:]
            known = (".".join(words[:end]) for end in range(len(words), 0, -1))
            found.add(next((module for module in known if module in MODULES), "labkit"))
    return found


def third_party(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(MODULES[module])}


def test_every_module_has_its_layer_and_every_entry_its_module() -> None:
    assert {unit(module) for module in MODULES} == HEIGHT.keys()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upward(module: str) -> None:
    upward = {other for other in own(imported(MODULES[module])) if layer(other) > layer(module)}
    # `labkit` alone is the package's version, or its lazy `Lab`: only the entry layer may ask for it.
    assert upward == set()


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: own(imported(path)) - {module} for module, path in MODULES.items()}
    # A package's own __init__ gathers its modules; they may ask it for what stands in it, as `course` does.
    for package in [module for module in MODULES if MODULES[module].name == "__init__.py"]:
        graph[package] = {other for other in graph[package] if not other.startswith(f"{package}.")}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize(
    "module", [module for module in MODULES if unit(module) not in LAYERS["docker"].split()]
)
def test_only_the_docker_layer_imports_docker(module: str) -> None:
    names = {name for name in imported(MODULES[module]) if name.partition(".")[0] in DOCKER}
    assert names == set()


@pytest.mark.parametrize("module", [module for module in MODULES if unit(module) == "plots"])
def test_plots_need_nothing_but_matplotlib(module: str) -> None:
    """No engine, no notebook; nor pyplot, whose figures stay for the life of the process."""
    assert third_party(module) - sys.stdlib_module_names <= {"labkit", "matplotlib", "numpy"}
    assert not {name for name in imported(MODULES[module]) if name.startswith("matplotlib.pyplot")}


@pytest.mark.parametrize("module", MODULES)
def test_only_magics_and_widgets_import_ipython(module: str) -> None:
    assert unit(module) in ("magics", "widgets") or not third_party(module) & {"IPython", "ipywidgets"}


@pytest.mark.parametrize("module", [module for module in MODULES if unit(module) in LAYERS["pure"].split()])
def test_the_pure_layer_talks_to_nobody(module: str) -> None:
    assert not third_party(module) & {"requests", "urllib3", "socket", "subprocess", "threading"}


def test_the_rules_are_checked_on_real_imports() -> None:
    """The reader of imports sees those in functions, and leaves out those for type checkers."""
    assert "labkit.jupyter" in imported(MODULES["commands"])
    assert "labkit.lab.Lab" in imported(MODULES["commands"])
    assert own(imported(MODULES["course.chapters"])) >= {"checks", "course"}
    assert "lab" not in own(imported(MODULES["course.chapters"]))
    assert "IPython" in third_party("magics")
    assert "testcontainers" in third_party("blueprint")
