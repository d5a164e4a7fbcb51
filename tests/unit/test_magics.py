"""What `%%on` prints of a command's output."""

import pytest

from labkit.jupyter.magics import _Plain

PROGRESS = """overall progress: 0 out of 2 tasks
1/2:  
2/2:  
overall progress: 0 out of 2 tasks
overall progress: 2 out of 2 tasks
verify: Service web converged
"""  # noqa: W291


@pytest.mark.parametrize("size", [1000, 40])
def test_dockers_progress_is_printed_once(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    sink, text = _Plain(), f"id\n{PROGRESS}{PROGRESS}id\nid\nrest"
    for start in range(0, len(text), size):
        sink("manager1", "stdout", text[start : start + size])
    sink.finish()
    shown = PROGRESS.replace("2/2:  \noverall progress: 0 out of 2 tasks\n", "2/2:  \n")
    assert capsys.readouterr().out == f"id\n{shown}id\nid\nrest"


def test_output_is_printed_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    sink = _Plain()
    sink("manager1", "stdout", "Password: ")
    assert capsys.readouterr().out == "Password: "
    sink("manager1", "stderr", "no\n")
    assert capsys.readouterr().err == "no\n"
