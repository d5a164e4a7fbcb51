"""Times the virtual machine: cold, with a swarm, resumed; and commands on its nodes against native ones.

    .venv/bin/python bench/machine.py [REPEATS]

Everything runs as whole processes, in one run. The images are there already (warm).
"""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from labkit.engine.find import connect, own_engine
from labkit.images import builder

LABKIT = str(Path(sys.executable).parent / "labkit")
NATIVE, LAB = "bench", "bench-machine"
COMMANDS = ("true", "docker node ls", "docker run --rm busybox true")


def labkit(lab: str, *arguments: str, engine: str = "vm") -> tuple[float, str]:
    """Run labkit for a lab; the seconds that it took, and what it said."""
    begun = time.monotonic()
    command = [LABKIT, *arguments[:1], "--lab", lab, *arguments[1:]]
    done = subprocess.run(
        command,
        env={**os.environ, "LABKIT_ENGINE": engine},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    return time.monotonic() - begun, done.stdout


def of_step(title: str, said: str) -> float:
    """The seconds that labkit tells of one of its steps."""
    (seconds,) = re.findall(rf"✓ {title} .*\(([\d.]+) s\)", said)
    return float(seconds)


def forget() -> None:
    labkit(LAB, "down")
    for volume in connect(own_engine()).volumes.list(filters={"name": f"{LAB}-machine"}):
        volume.remove()


def row(name: str, seconds: list[float]) -> None:
    low, high = min(seconds), max(seconds)
    print(f"| {name} | {statistics.median(seconds):.1f} s | {low:.1f}–{high:.1f} s |", flush=True)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    builder.ensure(connect(own_engine(), 600), "machine", print)
    booted, cold, resumed, formed = [], [], [], []
    for _ in range(repeats):
        forget()
        seconds, said = labkit(LAB, "up", "--swarm")
        cold.append(seconds)
        booted.append(of_step("Virtual machine", said))
        labkit(LAB, "down")
        resumed.append(labkit(LAB, "up")[0])
        labkit(LAB, "down")
        formed.append(labkit(LAB, "up", "--swarm")[0])
    row("cold to the engine inside", booted)
    row("cold to a swarm of three, saved", cold)
    row("resumed with three bare nodes", resumed)
    row("resumed as a swarm of three", formed)
    labkit(NATIVE, "up", "--swarm", engine="docker")
    try:
        for command in COMMANDS:
            there, here = (
                [labkit(lab, "exec", "manager1", "--", *command.split(), engine=engine)[0] for _ in range(5)]
                for lab, engine in ((LAB, "vm"), (NATIVE, "docker"))
            )
            row(f"`{command}` on the machine", there)
            row(f"`{command}` natively", here)
            print(f"ratio {statistics.median(there) / statistics.median(here):.1f}")
    finally:
        labkit(NATIVE, "down", engine="docker")
        forget()


if __name__ == "__main__":
    main()
