"""Times one command on a node: `node.run("true")`, a call of the node's API, and the `docker exec` process.

.venv/bin/python bench/run_command.py [REPEATS]
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from labkit import Lab
from labkit.util.console import ProgressReporter

LAB = "bench"


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    lab = Lab(LAB).up(reporter=ProgressReporter(quiet=True))
    node = lab.node("manager1")
    command_line = ["docker", "exec", node.container.name, "true"]
    contestants: dict[str, Callable[[], object]] = {
        'node.run("true")': lambda: node.run("true", quiet=True),
        "docker exec NODE true": lambda: subprocess.run(command_line, check=True),
        "node.api.ping()": node.api.ping,
        "lab.snapshot()": lab.snapshot,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    try:
        for _ in range(repeats):
            for name, call in contestants.items():
                started = time.monotonic()
                call()
                seconds[name].append(time.monotonic() - started)
    finally:
        lab.down()
    for name, times in seconds.items():
        print(f"{name:<24} median {1000 * statistics.median(times):6.1f} ms")
    pairs = zip(seconds['node.run("true")'], seconds["docker exec NODE true"], strict=True)
    print(f"node.run / docker exec: {statistics.median(ours / theirs for ours, theirs in pairs):.2f}")


if __name__ == "__main__":
    main()
