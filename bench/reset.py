"""Times `lab.reset()` against removing the lab and bringing up a new one.

    .venv/bin/python bench/reset.py [REPEATS]
    LABKIT_DOCKER=28.5 .venv/bin/python bench/reset.py

LABKIT_DOCKER chooses the nodes' engine. Before each round the lab is a swarm with nine tasks of two services,
a volume, and a network, so there's something to remove.
"""

import statistics
import sys
import time

from labkit import Lab, checks
from labkit.util.console import ProgressReporter

LAB = "bench"
QUIET = ProgressReporter(quiet=True)
USE = (
    "docker network create -d overlay shop && docker volume create kept && "
    "docker service create -q -d --name web --replicas 6 --network shop web:1 && "
    "docker service create -q -d --name agent --mode global --network shop web:1"
)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    lab = Lab(LAB)
    seconds: dict[str, list[float]] = {"lab.reset()": [], "lab.down(), lab.up()": []}
    try:
        for _ in range(repeats):
            for name, times in seconds.items():
                lab.up(swarm=True, reporter=QUIET)
                lab.node("manager1").run(USE, quiet=True)
                lab.wait(checks.running("web", 6), checks.running("agent", 3), timeout=120)
                started = time.monotonic()
                if name == "lab.reset()":
                    lab.reset()
                else:
                    lab.down()
                    lab.up(reporter=QUIET)
                times.append(time.monotonic() - started)
    finally:
        lab.down()
    for name, times in seconds.items():
        print(f"{name:<22} median {statistics.median(times):5.2f} s   {min(times):.2f}–{max(times):.2f}")
    pairs = zip(*seconds.values(), strict=True)
    print(f"reset / down and up: {statistics.median(ours / theirs for ours, theirs in pairs):.2f}")


if __name__ == "__main__":
    main()
