"""`labkit start`: JupyterLab as a learner gets it, with a kernel that reaches the nodes."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from labkit import Lab
from tests.helpers import spawn, wait_for_line

pytestmark = pytest.mark.engine


@dataclass
class Served:
    process: "subprocess.Popen[str]"
    base: str
    token: str

    def get(self, path: str, token: str | None = None) -> requests.Response:
        headers = {"Authorization": f"token {token}"} if token else {}
        return requests.get(f"{self.base}{path}", headers=headers, timeout=30, allow_redirects=False)


@pytest.fixture
def served(lab: Lab) -> Iterator[Served]:
    process = spawn("start", "--no-browser", "--lab", lab.name)
    found = wait_for_line(process, r"(http://127\.0\.0\.1:\d+/)lab\?token=([\w-]{40,})")
    yield Served(process, found[1], found[2])
    process.kill()
    process.communicate()


def test_jupyterlab_wants_the_token_and_serves_the_notebooks(served: Served) -> None:
    assert served.get("api/contents").status_code == 403
    assert served.get("api/contents", token="guess").status_code == 403
    names = [entry["name"] for entry in served.get("api/contents", token=served.token).json()["content"]]
    assert "01-create-a-swarm.ipynb" in names
    assert served.get("lab", token=served.token).status_code == 200


def test_jupyterlab_listens_on_loopback_alone(served: Served) -> None:
    port = int(served.base.rpartition(":")[2].strip("/"))
    outside = socket.gethostbyname(socket.gethostname())
    if outside.startswith("127."):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
            outside = probe.getsockname()[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outside, port), timeout=5)


def test_a_second_start_takes_the_next_port(served: Served, lab: Lab) -> None:
    second = spawn("start", "--no-browser", "--lab", lab.name)
    try:
        assert wait_for_line(second, r"http://127\.0\.0\.1:\d+/")[0] != served.base
    finally:
        second.kill()
        second.communicate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_the_nodes_and_says_how_to_stop_them(
    served: Served, lab: Lab, end: signal.Signals
) -> None:
    served.process.send_signal(end)
    output, _ = served.process.communicate(timeout=30)
    assert served.process.returncode == 0
    assert f"The nodes of lab '{lab.name}' still run" in output
    assert f"labkit down --lab {lab.name}" in output
    assert lab.node("manager1").container.status == "running"
    with pytest.raises(requests.ConnectionError):
        served.get("api")
