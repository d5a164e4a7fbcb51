"""The concept drawing `secret_path`: how a secret reaches a container."""

from labkit.plots.picture import Picture
from labkit.plots.sketch import (
    INNER,
    MARGIN,
    WIDTH,
    Card,
    draw_arrow,
    draw_panel,
    draw_row,
    draw_text,
    row_height,
    text_height,
)
from labkit.plots.theme import LIGHT, Theme

_TITLE = "Only managers and the nodes of its tasks get a secret"
_MANAGER = (
    Card("1  CLI", "docker secret create sends it to a manager's API. Between machines, use TLS or SSH."),
    Card("2  Leader", "It writes the secret to the Raft log, which is encrypted on disk."),
    Card("3  All managers", "Each one gets a copy of the log over mutual TLS."),
)
_WORKER = (
    Card("4  Dispatcher", "A manager sends it over mutual TLS, only to nodes with such a task."),
    Card("5  Agent", "It keeps the secret in memory as long as a task needs it."),
    Card("6  Container", "A file on a tmpfs: /run/secrets/NAME."),
)
_NOTES = (
    "When the task ends, its file is unmounted. Once no task on the node needs the secret, it is dropped.",
    "A tmpfs lives in memory, but the kernel may swap it out to disk.",
    "The program can read the secret, and so can root on the task's node.",
)
_PANEL = 30.0


def secret_path(*, theme: Theme = LIGHT) -> Picture:
    """Draw the path of a secret from the command line to the file in the container, and where it ends."""
    room = INNER - 24
    first = 44.0
    second = first + _PANEL + row_height(_MANAGER, room) + 12 + 18
    notes = second + _PANEL + row_height(_WORKER, room) + 12 + 10
    height = notes + sum(text_height(note, INNER) + 4 for note in _NOTES) + 12
    description = "\n".join(
        [
            f"{_TITLE}.",
            "Into the swarm:",
            *(card.words for card in _MANAGER),
            "To the task's node:",
            *(card.words for card in _WORKER),
            *_NOTES,
        ]
    )
    picture = Picture(WIDTH, height, description, theme=theme)
    picture.write(MARGIN, 28, _TITLE, size=15, bold=True)
    draw_panel(picture, (MARGIN, first, INNER, second - first - 18), "Into the swarm")
    draw_row(picture, _MANAGER, first + _PANEL, left=MARGIN + 12, width=room)
    draw_panel(picture, (MARGIN, second, INNER, notes - second - 10), "To the task's node")
    draw_row(picture, _WORKER, second + _PANEL, left=MARGIN + 12, width=room)
    draw_arrow(picture, (WIDTH / 2, second - 18), (WIDTH / 2, second))
    for note in _NOTES:
        draw_text(picture, note, MARGIN, notes, INNER)
        notes += text_height(note, INNER) + 4
    return picture
