"""The concept drawing `backup_restore`: the steps of both, in the order of Docker's guide."""

from collections.abc import Sequence

from labkit.plots.picture import Picture
from labkit.plots.sketch import (
    INNER,
    MARGIN,
    WIDTH,
    Card,
    draw_panel,
    draw_row,
    draw_text,
    row_height,
    text_height,
)
from labkit.plots.theme import LIGHT, Theme

_TITLE = "Stop the engine before you copy, and before you restore"
_BACKUP = (
    Card("1  Stop", "Stop the engine of one manager. The others must still have a quorum."),
    Card("2  Copy", "Copy the whole folder /var/lib/docker/swarm."),
    Card("3  Start", "Start the engine. The manager catches up with the others."),
)
_RESTORE = (
    (
        Card("1  Stop", "Stop the engine of the new manager."),
        Card("2  Empty", "Remove everything in /var/lib/docker/swarm."),
        Card("3  Unpack", "Put the backup's content into that folder."),
    ),
    (
        Card("4  Start", "Start the engine. With autolock, unlock it with the saved key."),
        Card("5  Re-initialize", "docker swarm init --force-new-cluster: one manager, no old peers."),
        Card("6  Join", "Check the services, and add managers. At the same address, workers reconnect."),
    ),
)
_NOTES = (
    "With autolock, store the unlock key apart from the backup: you can't restore without it, and with it"
    " anyone can read the backup. Without autolock, the key is in the backup itself.",
    "The backup holds services, networks, configs, secrets, and the swarm's CA. Volumes and images aren't"
    " in it.",
)
_PANEL = 30.0


def backup_restore(*, theme: Theme = LIGHT) -> Picture:
    """Draw the steps to back up a swarm's state and to restore it."""
    room = INNER - 24
    first = 44.0
    second = first + _PANEL + row_height(_BACKUP, room) + 12 + 12
    notes = second + _PANEL + sum(row_height(row, room) + 10 for row in _RESTORE) + 2 + 10
    height = notes + sum(text_height(note, INNER) + 4 for note in _NOTES) + 12
    picture = Picture(WIDTH, height, _describe(), theme=theme)
    picture.write(MARGIN, 28, _TITLE, size=15, bold=True)
    draw_panel(picture, (MARGIN, first, INNER, second - first - 12), "Backup", note="on one manager")
    _draw_rows(picture, [_BACKUP], first + _PANEL)
    draw_panel(picture, (MARGIN, second, INNER, notes - second - 10), "Restore", note="on one server")
    _draw_rows(picture, _RESTORE, second + _PANEL)
    for note in _NOTES:
        draw_text(picture, note, MARGIN, notes, INNER)
        notes += text_height(note, INNER) + 4
    return picture


def _draw_rows(picture: Picture, rows: Sequence[Sequence[Card]], top: float) -> None:
    room = INNER - 24
    for row in rows:
        draw_row(picture, row, top, left=MARGIN + 12, width=room)
        top += row_height(row, room) + 10


def _describe() -> str:
    steps = [card.words for row in _RESTORE for card in row]
    return "\n".join(
        [
            f"{_TITLE}.",
            "Backup, on one manager:",
            *(card.words for card in _BACKUP),
            "Restore, on one server:",
            *steps,
            *_NOTES,
        ]
    )
