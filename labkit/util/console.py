"""Prints what labkit does: steps, each with a status line, and aligned tables."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

Say = Callable[[str], None]
"""Prints a line about what was just done."""

_GREEN, _RED, _GREY, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[90m", "\x1b[0m"


class Step:
    """A running step. `note` shows its progress; `result` is what its status line will end with."""

    def __init__(self, reporter: "ProgressReporter", title: str) -> None:
        self._reporter, self.title, self.result = reporter, title, ""
        self._percent = 0

    def note(self, text: str) -> None:
        self._reporter.progress(self.title, text)

    def bar(self, done: int, total: int) -> None:
        """Show that `done` of `total` bytes are done: a bar on a terminal, otherwise a line every quarter."""
        percent = min(100 * done // total, 100) if total else 100
        shown = percent if self._reporter.live else percent // 25 * 25
        if self._percent < shown < 100:
            self._percent = shown
            filled = "█" * (shown // 5)
            self.note(
                f"{filled:░<20} {shown} %" if self._reporter.live else f"{shown} % of {total / 1e6:.0f} MB"
            )


class ProgressReporter:
    """Prints steps to a stream (standard output by default); a quiet one prints nothing."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._quiet = quiet
        self.live = not quiet and self._stream.isatty()

    def say(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(f"{text}\n")  # in one piece, because threads report too
            self._stream.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Announce a step; when it ends, print ✓, its result, and its duration, or ✗ if it raised."""
        step = Step(self, title)
        if self.live:
            self._stream.write(f" • {title} …")
            self._stream.flush()
        started = time.monotonic()
        try:
            yield step
        except BaseException:
            self._close("✗", _RED, step, started)
            raise
        self._close("✓", _GREEN, step, started)

    def progress(self, title: str, text: str) -> None:
        """Show the progress of a long step: in place on a terminal, otherwise on lines of its own."""
        if self.live:
            line = f" • {title} … {text}"
            self._stream.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")
            self._stream.flush()
        else:
            self.say(f"   {text}")

    def _close(self, mark: str, color: str, step: Step, started: float) -> None:
        seconds = f"{time.monotonic() - started:.1f} s"
        if self.live:
            self._stream.write("\r\x1b[2K")
            self.say(f" {color}{mark}{_PLAIN} {step.title:<22} {step.result} {_GREY}{seconds}{_PLAIN}")
        else:
            self.say(f" {mark} {step.title:<22} {step.result} ({seconds})".replace("  (", " ("))


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Align `rows` under `header`, with two spaces between columns."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
