"""An engine of the matrix leaves nothing behind, even when its test is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.engine.endpoints import Endpoint
from labkit.engine.find import ask
from tests.engines import outer
from tests.engines.outer import OUTERS, Outer
from tests.helpers import eventually

pytestmark = [pytest.mark.engine, pytest.mark.core, pytest.mark.matrix]

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from tests.engines import outer
with outer.running(outer.OUTERS[sys.argv[1]]) as engine:
    print(engine.url, flush=True)
    sys.stdin.read()
"""


def processes(engine: Outer) -> list[str]:
    """The command lines of all processes that belong to an engine."""
    told = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    mine = str(outer.folder_of(engine)).encode(), outer.cgroup_of(engine).encode()
    return [line.decode() for line in told if any(mark in line for mark in mine)]


def test_a_test_that_is_killed_leaves_no_process_and_the_next_one_no_file(outer_engine: Outer) -> None:
    other = next(engine for engine in OUTERS.values() if engine != outer_engine)
    killed = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, other.name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert killed.stdout
    url = killed.stdout.readline().decode().strip()
    assert isinstance(ask(Endpoint(url, "test")), Endpoint)
    assert processes(other)
    killed.kill()
    killed.communicate()
    eventually(lambda: not processes(other), "the end of its processes")

    with outer.running(other) as engine:
        assert engine.url == url
    assert not processes(other)
    assert not outer.folder_of(other).exists()
    assert not outer.cgroups_of(other)
