"""How labkit tells what it does: ordered steps with a status line each, and aligned tables."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

_GREEN, _RED, _GREY, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[90m", "\x1b[0m"


class Step:
    """A step under way. `note` shows what it is at, `result` is what its status line will end with."""

    def __init__(self, story: "Story", title: str) -> None:
        self._story, self.title, self.result = story, title, ""
        self._percent = 0

    def note(self, text: str) -> None:
        self._story.progress(self.title, text)

    def bar(self, done: int, total: int) -> None:
        """Show that `done` bytes of `total` are done: a bar on a terminal, elsewhere a line every quarter."""
        percent = min(100 * done // total, 100) if total else 100
        shown = percent if self._story.live else percent // 25 * 25
        if self._percent < shown < 100:
            self._percent = shown
            filled = "█" * (shown // 5)
            self.note(
                f"{filled:░<20} {shown} %" if self._story.live else f"{shown} % of {total / 1e6:.0f} MB"
            )


class Story:
    """Prints steps to a stream (standard output by default); a quiet one prints nothing."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._quiet = quiet
        self.live = not quiet and self._stream.isatty()

    def say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Announce a step, and close it with ✓, its result and its seconds, or with ✗ when it raises."""
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
        """Show what a long step is at: in place on a terminal, as lines elsewhere."""
        if self.live:
            line = f" • {title} … {text}"
            self._stream.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")
            self._stream.flush()
        else:
            self.say(f"   {text}")

    def _close(self, mark: str, colour: str, step: Step, started: float) -> None:
        seconds = f"{time.monotonic() - started:.1f} s"
        if self.live:
            self._stream.write("\r\x1b[2K")
            self.say(f" {colour}{mark}{_PLAIN} {step.title:<22} {step.result} {_GREY}{seconds}{_PLAIN}")
        else:
            self.say(f" {mark} {step.title:<22} {step.result} ({seconds})".replace("  (", " ("))


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Align `rows` under `header`, columns two spaces apart."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
