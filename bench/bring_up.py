"""Times bringing a lab up against the bare engine commands and against `docker compose up --wait`.

    .venv/bin/python bench/bring_up.py [REPEATS]

Everything runs as whole processes, in turn, in one run: medians and ratios are what counts. The images are
there already (warm). `docker compose` is taken from Debian's package, as tests/compose.py does.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labkit import Lab
from labkit.topology import topology

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests import compose  # noqa: E402

LABKIT = str(Path(sys.executable).parent / "labkit")
LAB = "bench"
PREFIX = "172.30.120"
ENV = {**os.environ, "LABKIT_LAB": LAB, "LABKIT_NET": PREFIX}


def run(*command: str) -> None:
    subprocess.run(
        command, env=ENV, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120
    )


def options(flag: str, values: dict[str, str]) -> list[str]:
    return [f"{flag} {key}={value}" for key, value in values.items()]


def bare(form: bool) -> None:
    """The same containers by the engine's command line, in parallel, as a shell script would."""
    lab = topology.load(env=ENV)
    label = f"--label {topology.LAB_LABEL}={LAB}"
    script = ["set -e", f"docker network create --subnet {lab.subnet} {label} {lab.network}"]
    for name, labels in lab.volumes.items():
        script.append(f"docker volume create {' '.join(options('--label', labels))} {name} &")
    script.append("wait")
    for service in lab.services:
        flags = [f"--name {service.container_name} --hostname {service.hostname} --network {lab.network}"]
        flags += [f"--ip {service.address} --network-alias {service.name}"]
        flags += [f"--memory {service.memory} --pids-limit {service.pids_limit}"]
        flags += [f"--log-driver {service.log_driver}"]
        flags += [f"--cgroupns {service.cgroup}"] if service.cgroup else []
        flags += [f"--dns {server}" for server in service.dns]
        flags += [f"--cap-drop {cap}" for cap in service.cap_drop]
        flags += [f"--cap-add {cap}" for cap in service.cap_add]
        flags += [f"--security-opt {option}" for option in service.security_opt]
        flags += [f"--device-cgroup-rule '{rule}'" for rule in service.device_cgroup_rules]
        flags += [f"--tmpfs {path}" for path in service.tmpfs]
        flags += [f"--volume {source}:{target}:{mode}" for source, target, mode in service.volumes]
        flags += options("--label", service.labels) + options("--env", service.environment)
        start = f"docker run -d {' '.join(flags)} {service.image} {' '.join(service.command)}"
        script.append(f"({start} && docker exec {service.container_name} {' '.join(service.ready)}) &")
    script.append("wait")
    if form:
        manager, *workers = lab.nodes
        inside = f"docker exec {manager.container_name} docker"
        script.append(f"{inside} swarm init --advertise-addr {manager.address}")
        script.append(f"token=$({inside} swarm join-token -q worker)")
        script += [
            f"docker exec {worker.container_name} docker swarm join --token $token {manager.address}:2377 &"
            for worker in workers
        ]
        script.append("wait")
        ready = f"{inside} node ls --format '{{{{.Status}}}}' | grep -c Ready"
        script.append(f'until [ "$({ready})" = {len(lab.nodes)} ]; do :; done')
    run("bash", "-c", "\n".join(script))


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        docker_compose = str(compose.binary(Path(folder)))
        file = str(ROOT / topology.FILE_NAME)
        contestants: dict[str, Callable[[], None]] = {
            "labkit up": lambda: run(LABKIT, "up"),
            "docker compose up --wait": lambda: run(docker_compose, "-f", file, "up", "-d", "--wait"),
            "bare commands": lambda: bare(form=False),
            "labkit up --swarm": lambda: run(LABKIT, "up", "--swarm"),
            "bare commands, swarm": lambda: bare(form=True),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        Lab(LAB).down()
        for _ in range(repeats):
            for name, bring_up in contestants.items():
                started = time.monotonic()
                bring_up()
                seconds[name].append(time.monotonic() - started)
                Lab(LAB).down()
    for name, times in seconds.items():
        print(f"{name:<26} median {statistics.median(times):5.2f} s   {min(times):.2f}–{max(times):.2f}")
    for ours, theirs in (
        ("labkit up", "docker compose up --wait"),
        ("labkit up", "bare commands"),
        ("labkit up --swarm", "bare commands, swarm"),
    ):
        ratios = [a / b for a, b in zip(seconds[ours], seconds[theirs], strict=True)]
        print(f"{ours} / {theirs}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
