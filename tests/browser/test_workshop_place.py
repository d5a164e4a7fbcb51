"""A learner's place in the browser: what an instructor sends appears in JupyterLab, below a hub's base URL.

JupyterLab's server runs as in a place, without a hub in front of it; a class service on a real port plays the
instructor's part. No lab is needed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from labkit.workshop import place
from tests.browser.jupyterlab import JupyterLab
from tests.class_service import TOKEN, ClassService
from tests.helpers import eventually, wait_for_line

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

pytestmark = pytest.mark.browser

PASSWORD = "the-browsers-token"
PREFIX = "/user/anna/"
CONFIG = Path(place.__file__).parent / "config"
# Orders are carried out in tests/unit and on real labs; here they succeed at once.
_ORDERS = """
from labkit.workshop.place import orders

async def carry_out(order, data):
    if data.get("chapter") == "overlays":
        return False, "LabBusy: another command is working on the lab"
    return True, "Done."

orders.carry_out = carry_out
"""


@dataclass
class Place:
    """A running place, with the class that it belongs to."""

    service: ClassService
    base: str
    folder: Path

    def ask(self, method: str, path: str, token: str = PASSWORD, **options: Any) -> requests.Response:
        headers = {"Authorization": f"token {token}"}
        return requests.request(method, self.base + path, headers=headers, timeout=30, **options)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    mine = tmp_path_factory.mktemp("place")
    own = mine / "config"
    own.mkdir()
    (own / "jupyter_server_config.py").write_text(_ORDERS)
    (own / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    with ClassService() as service:
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(own),
            "JUPYTER_CONFIG_PATH": str(CONFIG),
            "JUPYTER_DATA_DIR": str(mine / "data"),
            "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
            "JUPYTERHUB_API_TOKEN": TOKEN,
            "LABKIT_CLASS_URL": service.url,
            "LABKIT_NOTEBOOKS": str(mine / "notebooks"),
            "LABKIT_DATA_DIR": str(mine / "progress"),
            "LABKIT_STATE_DIR": str(mine / "state"),
            "LABKIT_LAB": "nobody-starts-this",
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--ServerApp.port=0"),
                *(f"--ServerApp.base_url={PREFIX}", f"--IdentityProvider.token={PASSWORD}"),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            found = wait_for_line(process, r"(http://127\.0\.0\.1:\d+/user/anna/)")
            yield Place(service, found[1], mine / "notebooks")
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture
def jupyterlab(running: Place, _browser: "BrowserContext") -> Iterator[JupyterLab]:
    lab = JupyterLab(_browser.new_page(), running.base, PASSWORD, running.folder)
    lab.open()
    yield lab
    numbers = [number for number, _, _ in running.service.events]
    running.ask("POST", "labkit/class/seen", json={"ids": numbers}).raise_for_status()
    lab.theme("light")
    lab.page.close()
    assert not lab.errors, "\n".join(lab.errors)


def notification(lab: JupyterLab, text: str) -> "Locator":
    return lab.page.locator(".Toastify__toast").filter(has_text=text)


def panel(lab: JupyterLab) -> "Locator":
    return lab.page.get_by_role("region", name="Instructor", exact=True)


def test_a_message_stays_until_it_was_read(running: Place, jupyterlab: JupyterLab) -> None:
    running.service.send("message", text="Coffee at <ten>", **{"from": "Maria"})
    shown = notification(jupyterlab, "Maria: Coffee at <ten>")
    shown.wait_for()
    assert shown.get_by_role("alert").count() == 1  # so that screen readers say it at once
    assert shown.get_attribute("id")  # by which the extension knows that it's shown
    shown.hover()  # waits until it has come to rest
    jupyterlab.screenshot("workshop-message")
    jupyterlab.open()  # it was not read, so it comes again
    shown.wait_for()
    with jupyterlab.page.expect_response(re.compile("/labkit/class/seen")):
        shown.get_by_role("button", name="Got it").click()
    shown.wait_for(state="detached")
    jupyterlab.open()
    jupyterlab.execute("swarm-lab:instructor")
    panel(jupyterlab).get_by_text("Coffee at <ten>").wait_for()
    assert notification(jupyterlab, "Coffee").count() == 0


def test_a_long_message_is_read_in_the_panel(running: Place, jupyterlab: JupyterLab) -> None:
    text = "A long story. " * 30 + "The end."
    running.service.send("message", text=text, **{"from": "Maria"})
    shown = notification(jupyterlab, "A long story")
    shown.get_by_role("button", name="Read all").click()
    row = panel(jupyterlab).get_by_role("listitem").filter(has_text="The end.")
    row.get_by_role("button", name="Got it").press("Enter")
    shown.wait_for(state="detached")
    row.get_by_role("button").wait_for(state="detached")


def test_the_learner_sees_who_watches(running: Place, jupyterlab: JupyterLab) -> None:
    notice = jupyterlab.page.get_by_role("status").filter(has_text="watching your lab")
    assert notice.count() == 0
    running.service.send("watch", who="Maria")
    notice.filter(has_text="Maria is watching your lab").wait_for()
    jupyterlab.screenshot("workshop-watched")
    running.service.send("watch", who="Ben, Maria")
    notice.filter(has_text="Ben and Maria are watching your lab").wait_for()
    running.service.send("unwatch")
    notice.wait_for(state="hidden")


def test_the_instructors_commands_are_there_to_copy(running: Place, jupyterlab: JupyterLab) -> None:
    jupyterlab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = {
        "node": "manager1",
        "command": "docker node ls\n",
        "output": "ID   <b>HOSTNAME</b>\n",
        "code": 0,
    }
    running.service.send("command", moment=1795752000.5, **command)
    notification(jupyterlab, "follow and copy").get_by_role("button", name="Show the commands").click()
    running.service.send(
        "command", moment=1795752001.5, **{**command, "command": "false", "output": "", "code": 1}
    )
    rows = panel(jupyterlab).get_by_role("list", name="The instructor's commands").get_by_role("listitem")
    rows.filter(has_text="exit 1").wait_for()
    first = rows.first
    assert first.locator("pre").all_inner_texts() == ["docker node ls\n", "ID   <b>HOSTNAME</b>\n"]
    assert first.locator("textarea, input, [contenteditable=true]").count() == 0

    first.locator("pre").first.focus()  # by the keyboard: Tab goes to the button, Enter copies
    for what, text in (("command", "docker node ls\n"), ("output", "ID   <b>HOSTNAME</b>\n")):
        button = first.get_by_role("button", name=f"Copy {what}")
        jupyterlab.page.keyboard.press("Tab")
        assert button.evaluate("button => button === document.activeElement")
        jupyterlab.page.keyboard.press("Enter")
        first.get_by_role("button", name="Copied").wait_for()
        assert jupyterlab.page.evaluate("navigator.clipboard.readText()") == text
        button.wait_for()
    for theme in ("light", "dark"):
        jupyterlab.theme(theme)
        assert _contrast(first.locator("pre").first) >= 4.5
        jupyterlab.screenshot(f"workshop-commands-{theme}")


def _contrast(shown: "Locator") -> float:
    """The contrast of an element's text on its ground, as WCAG counts it."""
    return float(
        shown.evaluate(
            """node => {
                const light = text => {
                    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(part => {
                        const share = part / 255;
                        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
                    });
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const style = getComputedStyle(node);
                const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05);
            }"""
        )
    )


def test_begin_opens_the_chapter_with_a_kernel(running: Place, jupyterlab: JupyterLab) -> None:
    running.service.send("begin", chapter="run-services")
    notification(jupyterlab, "at the start of run-services").wait_for()
    notebook = jupyterlab.notebook("04-run-services.ipynb")
    first = notebook.ask("panel.sessionContext.session.kernel.id")

    running.ask("DELETE", f"api/kernels/{first}").raise_for_status()  # as culling ends it
    done = len(running.service.done)
    running.service.send("begin", chapter="run-services")
    running.service.wait(lambda: len(running.service.done) > done)
    notebook.wait_for("idle() && panel.sessionContext.session.kernel.id !== wanted", first, seconds=60)


def test_an_order_that_failed_says_why(running: Place, jupyterlab: JupyterLab) -> None:
    running.service.send("begin", chapter="overlays")
    shown = notification(jupyterlab, "order failed: LabBusy")
    shown.wait_for()
    shown.get_by_role("button", name="Got it").click()
    shown.wait_for(state="detached")


def test_an_order_that_came_while_no_browser_was_open_is_followed_later(
    running: Place, jupyterlab: JupyterLab
) -> None:
    jupyterlab.page.goto("about:blank")
    done = len(running.service.done)
    running.service.send("begin", chapter="keep-data")
    running.service.wait(lambda: len(running.service.done) > done)
    jupyterlab.open()
    jupyterlab.notebook("06-keep-data.ipynb")


def test_only_those_who_are_logged_in_hear_anything(running: Place) -> None:
    for token in ("", "another"):
        assert running.ask("GET", "labkit/class/events", token, stream=True).status_code == 403
        assert running.ask("POST", "labkit/class/seen", token, json={"ids": [1]}).status_code == 403
    assert running.ask("POST", "labkit/class/seen", json={"ids": "all"}).status_code == 400


def test_the_launcher_and_the_proxy_work_below_the_base_url(running: Place, jupyterlab: JupyterLab) -> None:
    jupyterlab.execute("launcher:create")
    jupyterlab.launcher_entry("Terminals on the nodes", "manager1").wait_for()
    port = re.search(r":(\d+)/", running.service.url)
    assert port
    answer = running.ask("GET", f"proxy/{port[1]}/services/class/api/inbox")
    assert answer.status_code == 403  # from the class service, which wants another token
    assert answer.headers["Server"].startswith("BaseHTTP")


def test_the_courier_survives_a_service_that_comes_back(running: Place, jupyterlab: JupyterLab) -> None:
    running.service.stop()
    running.service.send("message", text="We are back", **{"from": "Maria"})
    running.service.start()
    notification(jupyterlab, "We are back").wait_for()
    eventually(lambda: running.service.resumed[-1] not in (None, "0"), "an inbox that goes on where it was")
