"""The routing mesh in the learner's browser."""

import pytest

from labkit import Lab
from labkit.observe.traffic.port_forward import PortForward
from tests.browser import chromium
from tests.fullkernel.swarm.services import TELL, ask, deploy
from tests.helpers import eventually

pytestmark = [pytest.mark.fullkernel, pytest.mark.browser]

PORT = 8081


def test_a_port_of_a_node_without_a_task_opens_in_the_browser(swarm: Lab) -> None:
    where = f"--constraint node.hostname==worker2 --publish {PORT}:80"
    deploy(swarm, "web", 1, f"{where} {TELL} --no-healthcheck web:1")
    eventually(lambda: {answer.node for answer in ask(swarm, PORT, 1)} == {"worker2"}, "answers of the task")
    with PortForward(swarm.node("worker1"), PORT) as link, chromium.launched() as browser:
        page = browser.new_page()
        page.goto(link.url, timeout=120_000)
        assert page.get_by_role("heading").inner_text() == "web version 1"
        assert page.locator("dt:text('node') + dd").inner_text() == "worker2"
