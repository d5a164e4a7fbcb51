"""The live board without a page: what it shows, that there is one, and what it leaves behind."""

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import Lab
from labkit.course import progress
from labkit.observe.recording import Event, Frame
from labkit.widgets.board import Board
from tests.helpers import eventually
from tests.recorded import enlarged, recorded

pytestmark = pytest.mark.engine


@pytest.fixture
def board(swarm: Lab) -> Iterator[Board]:
    made = swarm.board()
    yield made
    made.close()


def painted(board: Board) -> str:
    return str(board.picture.value)


def followers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit-follow-")]


def memory() -> float:
    """What this process has in memory, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_shows_the_tasks_and_what_happened(swarm: Lab, board: Board) -> None:
    eventually(lambda: "no services yet" in painted(board), "the nodes")
    swarm.node("manager1").run(
        "docker service create --quiet --update-monitor 1s --name web --replicas 3 web:1", quiet=True
    )
    eventually(lambda: all(f">web.{slot}<" in painted(board) for slot in (1, 2, 3)), "three tasks")
    eventually(lambda: "service web: created" in board.news.value, "the news")


def test_a_lost_quorum_is_shown(swarm: Lab, board: Board) -> None:
    swarm.node("manager1").run("docker node promote worker1", quiet=True)
    second = swarm.node("worker1")
    eventually(lambda: second.run("docker node ls", check=False, quiet=True).exit_code == 0, "its answer")
    second.kill()
    eventually(lambda: "lost their quorum" in painted(board), "the lost quorum", seconds=60)


def test_there_is_one_for_a_lab(swarm: Lab, board: Board) -> None:
    assert swarm.board() is board
    assert repr(board) == f"<Board of lab {swarm.name}: live>"


def test_it_gives_way_to_the_board_of_a_later_lab_object_of_its_name(
    swarm: Lab, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_DATA_DIR", str(tmp_path))
    before, later = board.exercises.value, Lab(swarm.name)
    other = later.board()
    try:
        assert other is not board and not board.live
        assert later.board() is other
        eventually(lambda: "no services yet" in painted(other), "the nodes")
        progress.of(later).record("chapter", "create-a-swarm")
        assert "create.1" in other.exercises.value
        assert board.exercises.value == before
    finally:
        other.close()
    assert not followers()


def test_a_board_of_another_lab_stays(board: Board) -> None:
    other = Lab("no-such-lab").board()
    try:
        assert board.live and other.live
    finally:
        other.close()
    assert board.live


def test_closing_leaves_nothing_and_the_next_is_a_new_one(swarm: Lab, board: Board) -> None:
    eventually(followers, "the threads that follow")
    board.close()
    board.close()
    assert not followers()
    assert repr(board) == f"<Board of lab {swarm.name}: closed>"
    assert swarm.board() is not board
    swarm.board().close()


def test_the_end_of_its_only_view_closes_it(board: Board) -> None:
    for views in (1, 2):  # a reload of the page counts the view again
        board.picture._view_count = views
    assert board.live
    board.picture._view_count = 1
    assert not board.live
    assert not followers()


def test_five_hundred_changes_do_not_grow_the_memory(board: Board) -> None:
    snapshots = (recorded("overlays"), recorded("pending-and-failed"), enlarged(nodes=3, tasks=24))

    def paint(number: int) -> None:
        snapshot = snapshots[number % 3]
        state = ("running", "starting", "preparing")[number // 3 % 3]
        tasks = (replace(snapshot.tasks[0], state=state, changed=float(number)), *snapshot.tasks[1:])
        event = Event(float(number), "task", "start", f"web.{number}", "worker1")
        board.paint(Frame(float(number), replace(snapshot, tasks=tasks), (event,)))

    for number in range(50):  # fonts and caches
        paint(number)
    before = memory()
    for number in range(500):
        paint(number)
    assert "web.499 on worker1: started" in board.news.value
    assert memory() - before < 20
