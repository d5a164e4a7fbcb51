"""`%%on` in a real kernel: streams while it runs, shows errors without a traceback, obeys an interrupt."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
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
        self.begin(f"%load_ext labkit\nfrom labkit import Lab\nlab = Lab({lab.name!r})")
        assert self.reply()["status"] == "ok"

    def begin(self, code: str) -> None:
        self._cell: str = self.client.execute(code)

    def stream_until(self, text: str) -> None:
        """Wait for output with `text` in it, of the cell that runs."""
        seen = ""
        while text not in seen:
            message = self._of_cell(lambda: self.client.get_iopub_msg(timeout=30))
            seen += message["content"].get("text", "") if message["msg_type"] == "stream" else ""

    def reply(self) -> dict[str, Any]:
        """The reply to the cell that was begun last."""
        return dict(self._of_cell(lambda: self.client.get_shell_msg(timeout=60))["content"])

    def _of_cell(self, receive: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The next message about the cell.

        Not simply the next one: until a kernel answers, `wait_for_ready` asks it for its info once a second,
        and takes one reply. On busy processors the others still come: taken for the replies to cells, they
        put a test one reply behind.
        """
        while (message := receive())["parent_header"].get("msg_id") != self._cell:
            pass
        return message


@pytest.fixture
def start(lab: Lab) -> Iterator[Callable[[Mapping[str, str]], Kernel]]:
    """Starts kernels with an environment of their own."""
    with contextlib.ExitStack() as started:

        def begin(env: Mapping[str, str]) -> Kernel:
            manager, client = start_new_kernel(kernel_name="python3", env={**os.environ, **env})
            started.callback(manager.shutdown_kernel, now=True)
            started.callback(client.stop_channels)
            return Kernel(manager, client, lab)

        yield begin


@pytest.fixture
def kernel(start: Callable[[Mapping[str, str]], Kernel]) -> Kernel:
    return start({})


def test_a_kernel_that_is_slow_to_start_is_not_one_reply_behind(
    start: Callable[[Mapping[str, str]], Kernel], tmp_path: Path
) -> None:
    """As on busy processors, where an interrupted cell once seemed to have no error."""
    (tmp_path / "sitecustomize.py").write_text("import threading; threading.Event().wait(2.5)")
    kernel = start({"PYTHONPATH": str(tmp_path)})
    kernel.begin("1 / 0")
    assert kernel.reply()["ename"] == "ZeroDivisionError"


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
