"""labkit's structure: imports go downward only, and nothing is kept for the whole process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "labkit"
SOURCES = PACKAGE / "images" / "sources"  # what runs in containers, on its own

# The longest a function and a module may be, in lines: so that each can be read at once.
FUNCTION_LINES, MODULE_LINES = 60, 300
TOP_ENTRIES = 18
ENGINE_FOLDERS = ("workshop", "observe", "cluster", "engine", "images", "transport")


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `labkit`, which itself is `labkit`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if SOURCES in path.parents:
            continue
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or "labkit"] = path
    return found


MODULES = modules()


def folder(module: str) -> str:
    return module.partition(".")[0]


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def third_party(module: str) -> set[str]:
    """The packages that a module imports, in functions and for type checkers too."""
    found = set()
    for node in ast.walk(tree(module)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(name), level=0):
                found.add(name.partition(".")[0])
            case ast.ImportFrom():
                raise AssertionError("labkit imports by absolute names")
    return found


def test_imports_go_downward_only() -> None:
    """The order is in pyproject.toml; what only type checkers import counts too."""
    # A process of its own, because import-linter turns off the loggers of the one it runs in.
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_of_the_package_can_be_seen_at_once() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(entries) <= TOP_ENTRIES, sorted(entries)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "labkit"])
def test_nothing_of_labkit_is_imported_for_type_checkers_alone(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            assert "labkit" not in ast.unparse(node.body[0])


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_can_be_read_at_once(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= MODULE_LINES
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


_CHANGES = {
    "append",
    "add",
    "extend",
    "insert",
    "update",
    "setdefault",
    "pop",
    "popitem",
    "remove",
    "clear",
    "discard",
}
_CACHES = {"functools.cache", "functools.lru_cache", "cache", "lru_cache"}
_CONTAINERS = {"WeakSet", "WeakValueDictionary", "local", "Counter", "deque", "defaultdict", "list", "set"}
_PURE = {("plots.lettering", "_advance")}  # caches of what never changes: the widths of letters


def kept_state(module: str) -> Iterator[str]:
    """Names of a module that its functions change, and caches: state that all of a process would share."""
    parsed = tree(module)
    names = {
        target.id
        for node in parsed.body
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(parsed):
        match node:
            case ast.Global():
                yield f"global {', '.join(node.names)}"
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in names:
                yield f"{name}[…] is changed"
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=change)):
                if name in names and change in _CHANGES:
                    yield f"{name}.{change}(…)"
            case ast.FunctionDef(decorator_list=decorators, name=name) if (module, name) not in _PURE:
                for decorator in decorators:
                    used = decorator.func if isinstance(decorator, ast.Call) else decorator
                    if ast.unparse(used) in _CACHES:
                        yield f"{name} is cached"
    for node in parsed.body:
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func).rpartition(".")[2] in _CONTAINERS
        ):
            yield ast.unparse(node)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_kept_process_wide(module: str) -> None:
    """Two labs on two engines share a process: what belongs to a lab is kept by its `Cluster`."""
    assert list(kept_state(module)) == []


@pytest.mark.parametrize(
    "module",
    [name for name in MODULES if folder(name) not in ENGINE_FOLDERS],
)
def test_only_what_talks_to_engines_imports_docker(module: str) -> None:
    assert not third_party(module) & {"docker", "testcontainers"}


@pytest.mark.parametrize("module", [name for name in MODULES if folder(name) == "plots"])
def test_plots_need_nothing_but_matplotlib(module: str) -> None:
    """No engine, no notebook; nor pyplot, whose figures stay for the life of the process."""
    assert third_party(module) - sys.stdlib_module_names <= {"labkit", "matplotlib", "numpy"}
    assert "matplotlib.pyplot" not in MODULES[module].read_text()


@pytest.mark.parametrize("module", MODULES)
def test_only_widgets_and_jupyter_import_ipython(module: str) -> None:
    assert folder(module) in ("jupyter", "widgets") or not third_party(module) & {"IPython", "ipywidgets"}


@pytest.mark.parametrize("module", [name for name in MODULES if folder(name) in ("swarm", "topology")])
def test_the_pure_layer_talks_to_nobody(module: str) -> None:
    assert not third_party(module) & {"requests", "urllib3", "socket", "subprocess", "threading"}


def test_the_rules_are_checked_on_real_imports() -> None:
    assert "IPython" in third_party("jupyter.magics")
    assert "testcontainers" in third_party("cluster.containers")
    assert "ipywidgets" in third_party("widgets.panel")
