"""The class page in a browser: keyboard, live changes, both themes, and text from somebody who means harm."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.jupyterlab import ARTIFACTS
from tests.classroom import LEARNERS, Service, Stream, record, running
from tests.helpers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

pytestmark = pytest.mark.browser

HOSTILE = LEARNERS[-1]
ATTACK = "</td><script>alert(1)</script><img src=x onerror=alert(2)> \"'`${alert(3)} javascript:alert(4)"
BOARD = (
    '<svg viewBox="0 0 90 40" onload="alert(5)"><script>alert(6)</script>'
    '<rect width="90" height="40" fill="#dde"/><image href="https://example.com/spy.png"/>'
    '<foreignObject><iframe src="javascript:alert(7)"/></foreignObject>'
    '<text x="5" y="20">worker1</text></svg>'
)


@pytest.fixture(scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("class")) as service:
        yield service


@pytest.fixture
def service(_service: Service) -> Service:
    """The service, with nothing in it."""
    _service.restarted = False
    assert _service.instructor.ask("DELETE", "learners").status_code == 200
    return _service


@pytest.fixture
def page(service: Service, _browser: "BrowserContext", request: pytest.FixtureRequest) -> "Iterator[Page]":
    """The page, opened by an instructor. Errors, dialogs, and requests to elsewhere fail the test."""
    opened = _browser.new_page()
    problems: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.goto(service.base)
    opened.locator('#connection[data-state="live"]').wait_for()
    yield opened
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    opened.screenshot(path=ARTIFACTS / f"class-{name}.png")
    opened.close()
    assert [said for said in problems if "ERR_" not in said] == []
    assert not problems or service.restarted
    own = (service.base, f"http://127.0.0.1:{service.hub.port}/", "data:")
    assert [url for url in asked if not url.startswith(own)] == []


def work(service: Service, name: str, *, chapter: str = "run-services", ago: float = 5.0) -> str:
    """Let a learner begin a chapter; returns their journal."""
    journal = str(uuid.uuid4())
    service.place(name).records(record(1, "chapter", chapter, ago=ago), journal=journal)
    return journal


def row(page: "Page", name: str) -> "Locator":
    return page.locator("#grid tbody tr").filter(has=page.get_by_role("button", name=name, exact=True))


def at(page: "Page", name: str, exercise: str) -> None:
    """Wait until a learner is at an exercise."""
    row(page, name).locator(".doing", has_text=exercise).wait_for()


def drawn(page: "Page") -> None:
    """Wait until the board is a picture. Not by `wait_for_function`, which the page's policy forbids."""
    seen = "document.getElementById('look-picture').naturalWidth"
    eventually(lambda: page.evaluate(seen), "the picture of the board")


def names(page: "Page") -> list[str]:
    return page.locator("#grid tbody th").all_inner_texts()


def test_an_empty_class_says_so_and_fills_by_itself(service: Service, page: "Page") -> None:
    page.get_by_text("Nobody has arrived yet").wait_for()
    with service.inbox("anna"):
        row(page, "anna").get_by_text("not started").wait_for()
        page.locator("#announcer", has_text="anna has arrived").wait_for()
        journal = work(service, "anna")
        at(page, "anna", "services.2")
        points = ["✗ no service is called agent", "✓ the swarm has three nodes"]
        service.place("anna").records(
            *(record(number, "exercise", "services.2", False, points=points) for number in (2, 3, 4)),
            *(record(number, "hint", "services.2", step=number - 4) for number in (5, 6)),
            journal=journal,
        )
        row(page, "anna").get_by_text("stuck").wait_for()
        row(page, "anna").get_by_text("✗ services.2: no service is called agent", exact=True).wait_for()
        row(page, "anna").get_by_text("3 refused checks in a row, 2 hints used").wait_for()
        page.locator("#announcer", has_text="anna: stuck, 3 refused checks").wait_for()
        page.locator("#summary", has_text="1 stuck").wait_for()
        service.place("anna").records(
            record(7, "exercise", "services.2"), record(8, "quiz", "services.1"), journal=journal
        )
        row(page, "anna").get_by_text("✓ solved").wait_for()
        row(page, "anna").get_by_text("1 of 5").wait_for()
        page.locator("#announcer", has_text="anna has solved services.2").wait_for()
    service.instructor.ask("DELETE", "learners/anna")
    page.get_by_text("Nobody has arrived yet").wait_for()


def test_whoever_is_stuck_comes_first(service: Service, page: "Page") -> None:
    with service.inbox("anna"), service.inbox("bo"), service.inbox("chris"):
        for name, ago in (("anna", 2.0), ("bo", 40.0), ("chris", 16.0)):
            work(service, name, ago=ago)
        page.locator("#summary", has_text="1 may need help").wait_for()
        assert names(page) == ["bo", "chris", "anna"]
        page.get_by_label("Order").select_option(label="By name")
        assert names(page) == ["anna", "bo", "chris"]


def test_the_focus_stays_when_rows_move(service: Service, page: "Page") -> None:
    with service.inbox("anna"), service.inbox("bo"):
        for name, ago in (("anna", 10.0), ("bo", 5.0)):
            work(service, name, ago=ago)
        for name in ("anna", "bo"):
            at(page, name, "services.2")
        row(page, "bo").get_by_role("button").focus()
        assert names(page) == ["anna", "bo"]
        wrong = [record(number, "exercise", "services.2", False) for number in (1, 2, 3)]
        service.place("bo").records(*wrong, journal=str(uuid.uuid4()))
        row(page, "bo").get_by_text("may need help").wait_for()
        assert names(page) == ["bo", "anna"]
        assert page.evaluate("document.activeElement.textContent") == "bo"


def test_everything_works_by_keyboard(service: Service, page: "Page") -> None:
    with service.inbox("anna") as anna:
        work(service, "anna")
        at(page, "anna", "services.2")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(6):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "name":
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "detail-name"
        page.keyboard.press("Tab")  # Close
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert "A hint for services.2" in page.get_by_role("textbox", name="Message").input_value()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert "A hint for services.2" in anna.wait("message")[0]["text"]
        page.get_by_role("status").filter(has_text="The message to anna was sent").wait_for()
        page.locator("#sent", has_text="arrived at").wait_for()
        page.get_by_role("button", name="Reset the lab").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Reset the lab of anna?")
        dialog.wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Cancel"
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        page.keyboard.press("Escape")
        page.locator("#detail").wait_for(state="hidden")
        assert page.evaluate("document.activeElement.textContent") == "anna"
    assert not [event for event, _, _ in anna.events if event == "reset"]


def test_a_chapter_for_everyone_and_a_reset_for_one(service: Service, page: "Page") -> None:
    with service.inbox("anna") as anna, service.inbox("bo") as bo:
        work(service, "anna")
        work(service, "bo")
        at(page, "bo", "services.2")
        page.get_by_role("button", name="Begin a chapter").click()
        page.get_by_label("Chapter", exact=True).last.select_option(label="05 connect overlays")
        page.get_by_role("button", name="Begin for everyone").click()
        for inbox in (anna, bo):
            assert inbox.wait("begin") == [{"chapter": "connect-overlays"}]
        page.get_by_role("status").filter(has_text="begins for 2 learners").wait_for()
        (number,) = (number for event, _, number in anna.events if event == "begin")
        done = {"id": int(number), "ok": False, "text": "the engine doesn't answer"}
        service.place("anna").ask("POST", "done", done)
        page.locator("#notice[data-bad]", has_text="the engine doesn't answer").wait_for()
        row(page, "bo").get_by_role("button").click()
        page.get_by_role("button", name="Reset the lab").click()
        page.get_by_role("dialog").get_by_role("button", name="Reset the lab").click()
        assert bo.wait("reset") == [{}]
        assert not [event for event, _, _ in anna.events if event == "reset"]


def test_watching(service: Service, page: "Page") -> None:
    with service.inbox("anna") as anna:
        work(service, "anna")
        row(page, "anna").get_by_role("button").click()
        page.get_by_role("button", name="Watch").click()
        assert anna.wait("watch") == [{"who": "ines"}]
        command = {"moment": 1.0, "node": "manager1", "command": "docker node ls", "code": 1}
        view = {"board": BOARD, "text": "Three nodes, no tasks.", "commands": [command]}
        assert service.place("anna").ask("POST", "view", view).json() == {"watched": True}
        picture = page.get_by_role("img", name="Three nodes, no tasks.")
        picture.wait_for()
        drawn(page)
        page.locator("#look-commands", has_text="docker node ls").wait_for()
        page.locator("#look-commands", has_text="✗ exit code 1").wait_for()
        service.place("anna").ask("POST", "view", {**view, "board": "no picture"})
        page.get_by_text("The board can't be shown").wait_for()
        page.get_by_role("button", name="Stop watching").click()
        assert anna.wait("unwatch") == [{}]


def test_hostile_text_stays_text(service: Service, page: "Page") -> None:
    place = service.place(HOSTILE)
    with Stream(place, "inbox") as inbox:
        journal = work(service, HOSTILE)
        points = [f"✗ {ATTACK}", "✗ \u202eright to left"]
        place.records(record(2, "exercise", "services.2", False, points=points), journal=journal)
        row(page, HOSTILE).get_by_text("<script>alert(1)</script>").wait_for()
        row(page, HOSTILE).get_by_role("button").click()
        page.locator("#detail-name", has_text=HOSTILE).wait_for()
        page.get_by_role("button", name="Watch").click()
        inbox.wait("watch")
        command = {"moment": 1.0, "node": ATTACK, "command": ATTACK, "code": 0}
        place.ask("POST", "view", {"board": BOARD, "text": ATTACK, "commands": [command]})
        page.locator("#look-commands", has_text="<script>alert(1)</script>").wait_for()
        drawn(page)
        service.instructor.ask("POST", "messages", {"text": ATTACK, "to": [HOSTILE]})
        page.get_by_role("textbox", name="Message").fill(ATTACK)
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator("#sent", has_text="<script>alert(1)</script>").first.wait_for()
        page.locator("#announcer", has_text="<img src=x").wait_for()
    assert page.locator("main script, aside script, main img, main iframe, aside iframe").count() == 0
    assert page.locator("aside img").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(service: Service, page: "Page", scheme: str) -> None:
    """Every text has a contrast of at least 4.5 to 1, also in the dark, and also when the switch chose it."""
    with service.inbox("anna"), service.inbox("bo"), service.inbox("chris"):
        for name, ago in (("anna", 2.0), ("bo", 40.0), ("chris", 16.0)):
            work(service, name, ago=ago)
        work(service, "dora")
        page.locator("#summary", has_text="1 may need help").wait_for()
        row(page, "anna").get_by_role("button").click()
        page.get_by_label("Theme").select_option(scheme)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")
        assert page.evaluate(_CONTRASTS) == []
        page.reload()
        page.locator('#connection[data-state="live"]').wait_for()
        assert page.get_by_label("Theme").input_value() == scheme
        page.get_by_label("Theme").select_option("")
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        page.emulate_media(color_scheme="light")


def test_the_page_explains_its_rule_and_its_data(service: Service, page: "Page") -> None:
    work(service, "anna")
    row(page, "anna").wait_for()
    page.get_by_role("button", name="How this works").click()
    page.get_by_text("15 minutes at the exercise; 30 minutes count as a second sign").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export and delete").click()
    page.locator("#keep", has_text="is kept until 30 days after their place was last connected").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Table for a spreadsheet (CSV)").click()
    assert "learner,full_name,chapter,kind" in Path(download.value.path()).read_text()
    page.get_by_role("button", name="Delete everything about everyone").click()
    page.get_by_role("button", name="Delete everything", exact=True).click()
    page.get_by_text("Nobody has arrived yet").wait_for()


def test_the_page_returns_when_the_service_does(service: Service, page: "Page") -> None:
    work(service, "anna")
    row(page, "anna").wait_for()
    service.kill()
    page.get_by_text("The connection to the class service is lost").wait_for()
    service.start()
    page.locator('#connection[data-state="live"]').wait_for(timeout=60_000)
    work(service, "bo")
    row(page, "bo").wait_for()


def test_the_table_is_one_for_screen_readers(service: Service, page: "Page") -> None:
    work(service, "anna")
    row(page, "anna").wait_for()
    grid = page.get_by_role("table", name="Learners, what they're working on")
    grid.wait_for()
    heads = grid.get_by_role("columnheader").all_inner_texts()
    assert heads[:6] == ["Learner", "State", "Working on", "For", "Last check", "Hints"]
    assert grid.get_by_role("rowheader", name="anna").count() == 1
    assert (
        page.evaluate(
            "[...document.querySelectorAll('button, select, textarea, a, img')]"
            ".filter(it => it.checkVisibility() && !(it.textContent || it.labels?.length || it.alt)).length"
        )
        == 0
    )
    page.get_by_label("Exercises of", exact=True).select_option(label="all chapters")
    assert grid.get_by_role("columnheader").count() == 6 + 10 + 1


_CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (found) => {
    for (let it = found; it; it = it.parentElement) {
      const color = getComputedStyle(it).backgroundColor, parts = numbers(color);
      if (parts.length < 4 || parts[3] > 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  document.getAnimations().forEach((animation) => animation.finish());
  return [...document.querySelectorAll('body *')]
    .filter((it) => it.checkVisibility())
    .filter((it) => [...it.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .filter((it) => !it.disabled && !it.closest('[disabled], .hidden, .skip, option'))
    .map((it) => {
      const [one, other] = [getComputedStyle(it).color, ground(it)].map(light).sort((a, b) => b - a);
      return [it.textContent.trim().slice(0, 30), (one + 0.05) / (other + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);
}"""
