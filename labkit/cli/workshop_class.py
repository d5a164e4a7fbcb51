"""The class of a workshop: status, messages, chapters, resets, export; each runs in the class container."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from labkit.util.errors import LabError

_CONTROL = ("python3", "-m", "labkit.workshop.classroom.control")
_ADVICE = "Try: "  # how a LabError's text introduces its next step


class Container(Protocol):
    """What is needed of docker-py's container."""

    def exec_run(self, cmd: list[str], *, demux: bool) -> Any:
        """Run a command; the result has its exit code and both streams."""


def status(container: Container, as_json: bool = False) -> str:
    """Where everybody is, as a table or as JSON."""
    return _control(container, "status", *(["--json"] if as_json else []))


def message(container: Container, text: str, to: Sequence[str] = ()) -> str:
    """Send a message to some learners, or to all; return to how many it was sent, as a sentence."""
    return _control(container, "message", *_to(to), "--", text)


def begin(container: Container, chapter: str, to: Sequence[str] = ()) -> str:
    """Bring the labs of some learners, or of all, into a chapter's starting state."""
    return _control(container, "begin", *_to(to), "--", chapter)


def reset(container: Container, name: str) -> str:
    """Turn the nodes of a learner's lab into bare engines."""
    return _control(container, "reset", "--", name)


def forget(container: Container, name: str = "") -> str:
    """Delete everything about a learner, or about all of them when none is named."""
    return _control(container, "forget", *(["--", name] if name else ["--all"]))


def export(container: Container, path: Path) -> str:
    """Write what everybody did to FILE.csv or FILE.json; return a sentence that says so.

    Raises LabError for another ending, or when the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("csv", "json"):
        raise LabError(
            f"cannot tell the format of {path}", next_step="end the file's name with .csv or .json"
        )
    text = _control(container, "export", kind)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(f"{path} cannot be written", evidence=[str(error)]) from None
    return f"Wrote {path}."


def _to(names: Sequence[str]) -> list[str]:
    return [f"--to={name}" for name in names]


def _control(container: Container, *arguments: str) -> str:
    """Run a command of `control`; return what it printed. Raises LabError with what it said."""
    code, streams = container.exec_run([*_CONTROL, *arguments], demux=True)
    said, complained = ((stream or b"").decode("utf-8", "replace") for stream in streams)
    if code == 0:
        return str(said)
    lines = complained.strip().splitlines() or said.strip().splitlines() or [f"exit code {code}"]
    what, *rest = lines
    advice = [line.removeprefix(_ADVICE) for line in rest if line.startswith(_ADVICE)]
    evidence = [line.strip() for line in rest if not line.startswith(_ADVICE)]
    raise LabError(what, evidence=evidence, next_step="".join(advice))
