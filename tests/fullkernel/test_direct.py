"""The machine without Docker and without root: a learner's whole place in one unprivileged container."""

import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
from docker.models.containers import Container

from labkit.bundle import wheels
from labkit.cli.testing import ROOT
from labkit.engine.find import connect, own_engine
from labkit.images import builder

pytestmark = [pytest.mark.fullkernel, pytest.mark.engine]

TAG = "labkit-test-place"
LEARNER = "12345:12345"
DOCKERFILE = """
ARG MACHINE
FROM ${MACHINE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
COPY . /place
RUN python3 -m venv /venv \
 && /venv/bin/pip install --quiet --no-index --find-links /place/wheels /place/project \
 && install -d -o 12345 -g 12345 /home/learner
ENV HOME=/home/learner PATH=/venv/bin:/usr/bin:/bin LABKIT_ENGINE=vm LABKIT_LAB=direct
ENTRYPOINT ["tini", "--", "sleep", "infinity"]
"""
PYTHON = "3.13"  # of Debian 13
ASK = """
from labkit import Lab, load
from labkit.util.deadline import Deadline
nodes = Lab().nodes
wanted = {(name, f"web.{slot}") for name in nodes for slot in (1, 2, 3)}
for _ in Deadline(60).attempts():  # nodes hear of tasks from each other
    answers = load.send(list(nodes.values()), 80, 6, patience=30)
    if {(answer.entered, answer.answered) for answer in answers} == wanted:
        break
else:
    raise SystemExit(f"not every node reached every task: {answers}")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container of the machine's image with labkit in it: no capability, no root, no Docker socket."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "wheels").mkdir()
    wheels.download([PYTHON], folder / "wheels", wheels.requirements())
    (folder / "Dockerfile").write_text(DOCKERFILE)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        target = folder / "project" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    with closing(connect(own_engine(), timeout=600)) as client:
        arguments = {"MACHINE": builder.ensure(client, "machine", print)}
        client.images.build(path=str(folder), tag=TAG, buildargs=arguments, rm=True, forcerm=True)
        container = client.containers.run(
            TAG, detach=True, user=LEARNER, cap_drop=["ALL"], security_opt=["no-new-privileges:true"]
        )
        yield container
        container.remove(force=True, v=True)
        client.images.remove(TAG, force=True)
        client.images.prune(filters={"dangling": True})


def run(place: Container, *command: str) -> str:
    code, said = place.exec_run(["timeout", "500", *command])
    assert code == 0, said.decode()
    return str(said.decode())


def test_an_ordinary_user_has_a_swarm_with_a_mesh_and_leaves_nothing(place: Container) -> None:
    said = run(place, "labkit", "up", "--swarm")
    assert "a process of this user" in said and "3 nodes ready" in said
    assert "cloud-amd64 in the virtual machine" in " ".join(run(place, "labkit", "doctor").split())
    # Without its probe, which costs an emulated processor more than the 2 s between two; with a slot to tell.
    create = "docker service create --quiet --name web --replicas 3 --publish 80:80 --no-healthcheck"
    create += " --env NODE={{.Node.Hostname}} --env SLOT={{.Task.Slot}} web:1"
    run(place, "labkit", "exec", "manager1", "--", *create.split())
    run(place, "python", "-c", ASK)
    run(place, "labkit", "down")
    assert "qemu" not in run(place, "sh", "-c", "cat /proc/[0-9]*/comm")
    left = run(place, "find", "/home/learner/.local/state/labkit", "-type", "f").split()
    assert all("/vm/direct/state/" in name or name.endswith(".lock") for name in left), left
