"""`%%on` in a real kernel: streams while it runs, shows errors without a traceback, obeys an interrupt."""

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from labkit import Lab

pytestmark = pytest.mark.engine


class Kernel:
    """A kernel with the notebooks' set-up cell run."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient, lab: Lab) -> None:
        self.manager, self.client = manager, client
        self.client.execute(f"%load_ext labkit\nfrom labkit import Lab\nlab = Lab({lab.name!r})")
        assert self.reply()["status"] == "ok"

    def begin(self, code: str) -> None:
        self.client.execute(code)

    def stream_until(self, text: str) -> None:
        """Wait for output with `text` in it, of the cell that runs."""
        seen = ""
        while text not in seen:
            message: dict[str, Any] = self.client.get_iopub_msg(timeout=30)
            seen += message["content"].get("text", "") if message["msg_type"] == "stream" else ""

    def reply(self) -> dict[str, Any]:
        message: dict[str, Any] = self.client.get_shell_msg(timeout=60)
        return dict(message["content"])


@pytest.fixture
def kernel(lab: Lab) -> Iterator[Kernel]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield Kernel(manager, client, lab)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_output_reaches_the_notebook_while_the_command_runs(kernel: Kernel, lab: Lab) -> None:
    kernel.begin("%%on manager1\necho first; until [ -e /lab/go-on ]; do sleep 0.01; done; echo last")
    kernel.stream_until("first")
    lab.node("worker1").run("touch /lab/go-on", quiet=True)
    kernel.stream_until("manager1 · exit 0 · ")
    assert kernel.reply()["status"] == "ok"


def test_interrupting_the_kernel_stops_the_command_on_the_node(kernel: Kernel, lab: Lab) -> None:
    kernel.begin("%%on worker1 worker2\necho begun; sleep 4717")
    kernel.stream_until("begun")
    kernel.manager.interrupt_kernel()
    assert kernel.reply()["traceback"] == [
        "CommandInterrupted: interrupted; the command was stopped on worker1, worker2 too"
    ]
    for name in ("worker1", "worker2"):
        assert lab.node(name).run("pgrep -f 'sleep [4]717' || true", quiet=True).stdout == ""


def test_a_failing_command_fails_the_cell_without_a_traceback(kernel: Kernel) -> None:
    kernel.begin("%%on worker1\ndocker node ls")
    reply = kernel.reply()
    assert reply["ename"] == "CommandFailed"
    assert reply["traceback"][0] == "CommandFailed: on worker1, `docker node ls` exited 1"
    assert reply["traceback"][-1].startswith("Try: ")
    assert not any("Traceback" in line or ".py" in line for line in reply["traceback"])


def test_a_restarted_kernel_finds_its_lab_again(kernel: Kernel, lab: Lab) -> None:
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=60)
    kernel.begin(f"from labkit import Lab; assert list(Lab({lab.name!r}).nodes) == {list(lab.nodes)}")
    assert kernel.reply()["status"] == "ok"
