"""What widgets show as HTML: command lines, output, errors. Pure; everything that comes in is escaped."""

import re
from html import escape
from itertools import groupby

from labkit.course.grading import Grade
from labkit.swarm.checks import Verdict
from labkit.util.errors import LabError

KEPT_CHARACTERS = 20_000

# JupyterLab's own variables, so that both themes fit. `column-reverse` keeps the output's end in sight.
STYLE = """<style>
.labkit-title { font-weight: 600; line-height: 1.5; }
.labkit-note { line-height: 1.5; padding: 3px 0; }
.labkit-prose { line-height: 1.5; padding: 3px 0; color: var(--jp-content-font-color1); }
.labkit-note, .labkit-where { color: var(--jp-ui-font-color2); }
.labkit-line { display: flex; align-items: start; gap: 8px; line-height: 1.5; }
.labkit-line, .labkit-output pre, .labkit-error { font-family: var(--jp-code-font-family);
    font-size: var(--jp-code-font-size); }
.labkit-line code { flex: 1; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; background: none;
    color: var(--jp-content-font-color1); }
.labkit-where { white-space: nowrap; user-select: none; }
.labkit-button { font: inherit; font-family: var(--jp-ui-font-family); font-size: var(--jp-ui-font-size1);
    padding: 2px 10px; white-space: nowrap; cursor: pointer; border-radius: 2px;
    border: 1px solid var(--jp-border-color1); color: var(--jp-ui-font-color1);
    background: var(--jp-layout-color2); }
.labkit-button:hover { background: var(--jp-layout-color3); }
.labkit-button:focus-visible, .labkit-output:focus-visible {
    outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
.labkit-output { display: flex; flex-direction: column-reverse; max-height: 16em; overflow: auto;
    border: 1px solid var(--jp-border-color2); background: var(--jp-layout-color1); }
.labkit-points { list-style: none; margin: 0; padding: 0 0 0 1em; }
.labkit-output pre { flex: none; overflow: visible; margin: 0; padding: 6px 10px; line-height: 1.4;
    white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; background: none;
    color: var(--jp-content-font-color1); }
.labkit-example pre { margin: 4px 0; padding: 6px 10px; line-height: 1.4; overflow-x: auto; white-space: pre;
    font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size);
    background: var(--jp-layout-color2); color: var(--jp-content-font-color1); }
.labkit-code textarea { font-family: var(--jp-code-font-family); }
.widget-toggle-button { margin-top: 2px; margin-bottom: 2px; } /* between rows, too, where they wrap */
.widget-toggle-button i { margin-left: 6px; }
.labkit-links { display: flex; flex-flow: row wrap; gap: 6px; align-items: center; line-height: 2; }
a.labkit-button { text-decoration: underline; }
.labkit-error { padding: 6px 10px; line-height: 1.4; white-space: pre-wrap;
    overflow-wrap: anywhere; border-left: 4px solid var(--jp-error-color1);
    color: var(--jp-content-font-color1); background: var(--jp-layout-color2); }
</style>"""

# Where a page may not write to the clipboard (plain HTTP from another machine), the text is selected.
_COPY = """
const say = words => { this.textContent = words; setTimeout(() => { this.textContent = 'copy'; }, 1500); };
const select = () => {
    getSelection().selectAllChildren(this.parentNode.querySelector('code')); say('press Ctrl+C'); };
navigator.clipboard ? navigator.clipboard.writeText(this.dataset.text).then(() => say('copied'), select)
    : select();
"""
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_IN_BACKTICKS = re.compile(r"`([^`]+)`")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n|$)")


def title(text: str) -> str:
    """A widget's heading."""
    return f'<div class="labkit-title">{_with_code(text)}</div>'


def prose(text: str) -> str:
    """Text to read, with what stands in backticks as code; empty for none."""
    return f'<div class="labkit-prose">{_with_code(text)}</div>' if text else ""


def _with_code(text: str) -> str:
    return _IN_BACKTICKS.sub(r"<code>\1</code>", escape(text))


def note(text: str) -> str:
    """A quiet line of text; empty for none."""
    return f'<div class="labkit-note">{escape(text)}</div>' if text else ""


def verdict(found: Verdict) -> str:
    """A check's words; what does not hold may still come about."""
    return f"{'✓' if found else '…'} {found.text}"


def points(grade: Grade) -> str:
    """How an exercise stands, point by point; once it is solved, why it matters."""
    rows = "".join(f"<li>{escape(str(point))}</li>" for point in grade.points)
    head = "✓ Solved" if grade.solved else "Not solved yet"
    why = f"<div>Why it matters: {escape(grade.why)}</div>" if grade.solved else ""
    return (
        f'<div class="labkit-prose" aria-live="polite"><strong>{head}</strong>'
        f'<ul class="labkit-points">{rows}</ul>{why}</div>'
    )


def copy_button(text: str) -> str:
    """A button that copies `text`, and says so."""
    return (
        f'<button type="button" class="labkit-button" title="copy the command" aria-live="polite" '
        f'data-text="{escape(text)}" onclick="{escape(_COPY)}">copy</button>'
    )


def command_line(where: str, command: str) -> str:
    """A command as one types it on `where`, with a button to copy it."""
    return (
        f'<div class="labkit-line"><span class="labkit-where">{escape(where)} $</span>'
        f"<code>{escape(command)}</code>{copy_button(command)}</div>"
    )


def output(text: str, dropped: int = 0) -> str:
    """A command's output, `dropped` characters of which are not in `text` any more; empty for none."""
    if not text:
        return ""
    said = f"… {dropped} earlier characters are not shown\n" if dropped else ""
    return (
        '<div class="labkit-output" tabindex="0" role="log" aria-label="output">'
        f"<pre>{escape(said + plain(text))}</pre></div>"
    )


def example(text: str) -> str:
    """What a command printed, all of it, to be read; empty for none."""
    return f'<div class="labkit-example"><pre>{escape(text)}</pre></div>' if text else ""


def error(problem: BaseException) -> str:
    """An error in its three parts, without a traceback."""
    told = problem.report() if isinstance(problem, LabError) else f"{type(problem).__name__}: {problem}"
    return f'<div class="labkit-error" role="alert">{escape(told)}</div>'


def plain(text: str) -> str:
    """Terminal output as lines of text: no colours, no overwritten lines, a line said often said once."""
    lines = _OVERWRITTEN.sub("", _ESCAPE_SEQUENCE.sub("", text)).rstrip().splitlines()
    return "\n".join(_said(line, len(list(same))) for line, same in groupby(lines))


def _said(line: str, times: int) -> str:
    return f"{line}  (× {times})" if times > 2 and line else "\n".join([line] * times)


class Tail:
    """The end of a text that grows; how much of its beginning was dropped is in `dropped`."""

    def __init__(self, keep: int = KEPT_CHARACTERS) -> None:
        self._keep = keep
        self.text, self.dropped = "", 0

    def add(self, more: str) -> None:
        """Append; drop whole lines from the beginning as far as needed."""
        text = self.text + more
        if len(text) > self._keep:
            start = len(text) - self._keep
            start = text.find("\n", start) + 1 or start
            self.dropped += start
            text = text[start:]
        self.text = text
